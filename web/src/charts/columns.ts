// All lines of the charts on one grid of 5 minutes, from what the hub has answered so far.

import type { Forecast, ForecastSeries, PastForecast, Plan, Prices, Regular, Series } from "../api/types.ts";
import type { Span } from "../api/client.ts";
import { plannedSoc } from "../lib/plan.ts";
import { before, either, grid, onGrid, scaled, type Column } from "../lib/series.ts";

const STEP_MS = 300_000;
const KW = 1 / 1000;
const CENTS = 100;

export interface Expectation {
  low: Column;
  middle: Column;
  high: Column;
}

export interface Columns {
  times: number[];
  importCents: Column;
  exportCents: Column;
  pv: Column;
  pvExpected: Expectation;
  load: Column;
  loadExpected: Expectation;
  soc: Column;
  socPlanned: Column;
}

export interface Sources {
  series: Series | null;
  prices: Prices | null;
  forecast: Forecast | null;
  past: PastForecast | null;
  plan: Plan | null;
  socNow: number | null;
}

function expectation(
  times: number[],
  issued: Regular | null,
  series: ForecastSeries | undefined,
  past: Regular | null,
  pastMiddle: (number | null)[] | undefined,
): Expectation {
  const power = (source: Regular | null, values: (number | null)[] | undefined): Column =>
    scaled(onGrid(times, source, values), KW);
  return {
    low: power(issued, series?.p10_w),
    // what was expected a day ahead for the hours gone by, and the newest forecast from now on
    middle: either(power(issued, series?.p50_w), power(past, pastMiddle)),
    high: power(issued, series?.p90_w),
  };
}

export function columns(span: Span, now_ms: number, from: Sources): Columns {
  const times = grid(span.start_ms, span.end_ms, STEP_MS);
  const target = (name: string): ForecastSeries | undefined =>
    from.forecast?.series.find((entry) => entry.target === name);
  const measured = (values: (number | null)[] | undefined, factor: number): Column =>
    scaled(before(times, onGrid(times, from.series, values), now_ms), factor);
  return {
    times,
    importCents: scaled(onGrid(times, from.prices, from.prices?.import_eur_per_kwh), CENTS),
    exportCents: scaled(onGrid(times, from.prices, from.prices?.export_eur_per_kwh), CENTS),
    pv: measured(from.series?.pv_w, KW),
    pvExpected: expectation(times, from.forecast, target("pv"), from.past, from.past?.pv_p50_w),
    load: measured(from.series?.load_w, KW),
    loadExpected: expectation(times, from.forecast, target("load"), from.past, from.past?.load_p50_w),
    soc: measured(from.series?.soc_percent, 1),
    socPlanned: from.plan === null ? times.map(() => null) : plannedSoc(from.plan, times, from.socNow),
  };
}
