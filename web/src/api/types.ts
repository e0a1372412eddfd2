// The hub's answers, as its HTTP interface states them. Powers in W with the house's signs (grid + = import,
// battery + = discharge, consumers + when they consume), instants in ms since 1970 UTC, null = missing.

export type Maybe = number | null;

export interface Clock {
  now_ms: number;
  speed: number;
}

export interface HomeEntry {
  home: string;
  name: string;
  /** online, stopped, lost, or unknown before the first word of its agent. */
  state: string | null;
  /** Unknown until the agent has announced its home. */
  timezone: string | null;
}

export interface DeviceInfo {
  device: string;
  kind: string | null;
  manufacturer?: string;
  model?: string;
  controlled?: boolean;
}

export interface BatteryFacts {
  capacity_wh: number;
  max_charge_w: number;
  max_discharge_w: number;
  min_soc_percent?: number;
  max_soc_percent?: number;
}

export interface Home extends HomeEntry {
  currency: string;
  devices: DeviceInfo[];
  battery: BatteryFacts | null;
}

export interface Flows {
  grid_w: Maybe;
  pv_w: Maybe;
  battery_w: Maybe;
  house_w: Maybe;
  ev_w: Maybe;
  heat_pump_w: Maybe;
  load_w: Maybe;
}

export interface DeviceNow {
  device: string;
  kind: string | null;
  at_ms: Maybe;
  age_s: Maybe;
  points: Record<string, Maybe>;
}

export interface Now {
  at_ms: Maybe;
  state: string | null;
  mode: string | null;
  reason: string | null;
  plan_version: Maybe;
  lag_s: Maybe;
  flows: Flows;
  soc_percent: Maybe;
  stored_wh: Maybe;
  import_eur_per_kwh: Maybe;
  export_eur_per_kwh: Maybe;
  devices: DeviceNow[];
}

/** Columns of equal length: value i covers `start_ms + i * step_s` for `step_s`. */
export interface Regular {
  start_ms: number;
  step_s: number;
}

export interface Series extends Regular {
  grid_w: Maybe[];
  pv_w: Maybe[];
  battery_w: Maybe[];
  load_w: Maybe[];
  ev_w: Maybe[];
  heat_pump_w: Maybe[];
  soc_percent: Maybe[];
}

export interface Prices extends Regular {
  import_eur_per_kwh: Maybe[];
  export_eur_per_kwh: Maybe[];
}

export interface ForecastSeries {
  target: string;
  model: string;
  p10_w: number[];
  p50_w: number[];
  p90_w: number[];
}

export interface Forecast extends Regular {
  issued_ms: number;
  series: ForecastSeries[];
}

export interface PastForecast extends Regular {
  load_p50_w: Maybe[];
  pv_p50_w: Maybe[];
}

export interface Slot {
  start_ms: number;
  mode: string;
  reason: string;
  power_w: number;
  import_eur_per_kwh: number;
  export_eur_per_kwh: number;
  marginal_eur_per_kwh: number;
  load_w: number;
  pv_w: number;
  battery_w: number;
  grid_w: number;
  /** Expected at the end of the step. */
  soc_percent: number;
}

export interface Plan {
  home: string;
  version: number;
  issued_ms: number;
  valid_from_ms: number;
  valid_until_ms: number;
  step_s: number;
  slots: Slot[];
  policy?: string;
  headline?: string;
  broken_wishes?: string[];
}

export interface Costs {
  realised_eur: Maybe;
  no_battery_eur: Maybe;
  self_consumption_eur: Maybe;
  night_timer_eur: Maybe;
  perfect_foresight_eur: Maybe;
  regret_eur: Maybe;
}

export interface DayCosts extends Costs {
  /** Local date, YYYY-MM-DD. */
  day: string;
  complete: boolean;
}

export interface Savings {
  days: DayCosts[];
  total: (Costs & { saved_eur: Maybe }) | null;
}

export interface Accuracy {
  load_skill: Maybe;
  pv_skill: Maybe;
  load_mae_w: Maybe;
  pv_mae_w: Maybe;
  days: Maybe;
}

export interface HomeEvent {
  at_ms: number;
  level: string;
  kind: string;
  device: string | null;
  text: string;
}
