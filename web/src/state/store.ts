// Everything the page knows about the chosen home, as signals; who fills them is in refresh.ts.

import { computed, signal } from "@preact/signals";
import type { Link } from "../api/live.ts";
import type {
  Accuracy,
  Forecast,
  Home,
  HomeEntry,
  HomeEvent,
  Now,
  PastForecast,
  Plan,
  Prices,
  Savings,
  Series,
} from "../api/types.ts";
import { isThere } from "../lib/format.ts";
import { now } from "./clock.ts";

export const link = signal<Link>({ state: "connecting" });
export const homes = signal<HomeEntry[] | null>(null);
export const homeId = signal<string | null>(null);

export const home = signal<Home | null>(null);
export const current = signal<Now | null>(null);
export const series = signal<Series | null>(null);
export const prices = signal<Prices | null>(null);
export const forecast = signal<Forecast | null>(null);
export const pastForecast = signal<PastForecast | null>(null);
export const plan = signal<Plan | null>(null);
export const savings = signal<Savings | null>(null);
export const accuracy = signal<Accuracy | null>(null);
export const events = signal<HomeEvent[] | null>(null);

/** When each flow was last measured, by name of the flow [ms of the home's clock]. */
export const lastMeasured = signal<Record<string, number>>({});

export const zone = computed(() => home.value?.timezone ?? "UTC");
export const hubIsAway = computed(() => link.value.state === "away");

/** The time shown everywhere: the clock's, or the newest reading's where the clock is behind it. */
export const nowMs = computed<number | null>(() => now.value ?? current.value?.at_ms ?? null);

/** States in which nobody reports from the home; before its first word it is unknown, which is neither. */
const SILENT: ReadonlySet<string> = new Set(["lost", "stopped"]);

export const homeIsSilent = computed(() => SILENT.has(current.value?.state ?? ""));

/** True when what is on the page is what the home does now. */
export const isFresh = computed(() => !hubIsAway.value && !homeIsSilent.value);

export function forgetHome(): void {
  for (const part of [home, current, series, prices, forecast, pastForecast, plan, savings, accuracy, events]) {
    part.value = null;
  }
  lastMeasured.value = {};
}

/** Take in a live event. */
export function receive(event: Now): void {
  current.value = event;
  const at_ms = event.at_ms;
  if (!isThere(at_ms)) return;
  const seen = { ...lastMeasured.value };
  for (const [name, value] of Object.entries({ ...event.flows, soc_percent: event.soc_percent })) {
    if (isThere(value)) seen[name] = at_ms;
  }
  lastMeasured.value = seen;
}
