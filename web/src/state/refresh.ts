// Fills the store: live values come by themselves, the slower rest is asked for when it may have changed. Intervals are
// real time, because they spare the hub; whether data is due is judged by the home's clock, which may run fast.

import { effect } from "@preact/signals";
import { api, liveAddress, type Span } from "../api/client.ts";
import { LiveStream, pauseMs } from "../api/live.ts";
import { laidOver } from "../lib/series.ts";
import { HOUR_MS, startOfDay } from "../lib/time.ts";
import { speed, syncClock, tickClock } from "./clock.ts";
import * as store from "./store.ts";

export const SERIES_STEP_S = 300;
const SAVINGS_DAYS = 30;
const EVENTS = 30;
const NO_HOME_MS = 2_000;
const HURRY_MS = 5_000;
const CALM_MS = 60_000;
const SLOW_MS = 15_000;
const WHOLE_SERIES_MS = 120_000;
const TAIL_MS = HOUR_MS;

let stream: LiveStream | null = null;
let bootAttempt = 0;
let bootTimer: number | undefined;
let refreshedAt = 0;
let clockAt = 0;
let slowAt = 0;
let askedVersion = 0;
let wholeSeriesAt = 0;
/** Up to here the measured lines were complete when last asked for [ms of the home's clock]. */
let seriesUntil = 0;

/** Yesterday to tomorrow, in the home's days. */
export function shownSpan(now_ms: number, zone: string): Span {
  return { start_ms: startOfDay(now_ms, zone, -1), end_ms: startOfDay(now_ms, zone, 2) };
}

/** Ask for one thing and keep the old answer when that fails: the live stream tells whether the hub is away. */
async function take<T>(question: Promise<T>, target: { value: T }, home: string): Promise<void> {
  try {
    const answer = await question;
    if (store.homeId.value === home) target.value = answer;
  } catch (error) {
    console.info("hub did not answer", error);
  }
}

async function refreshPlan(home: string): Promise<void> {
  await Promise.all([take(api.plan(home), store.plan, home), take(api.forecast(home), store.forecast, home)]);
}

/**
 * Ask for what was measured. Three days of readings are much to average, so most of the time only the last hours are
 * asked for; the whole span comes again now and then, because a home that was offline delivers late.
 */
async function refreshSeries(home: string, span: Span, now_ms: number): Promise<void> {
  const old = store.series.peek();
  const isWholeDue = performance.now() - wholeSeriesAt > WHOLE_SERIES_MS;
  if (old === null || old.start_ms !== span.start_ms || isWholeDue) {
    wholeSeriesAt = performance.now();
    seriesUntil = now_ms - TAIL_MS;
    return take(api.series(home, span, SERIES_STEP_S), store.series, home);
  }
  const step_ms = SERIES_STEP_S * 1000;
  const since = Math.min(now_ms - TAIL_MS, seriesUntil) - span.start_ms;
  const tail = { start_ms: span.start_ms + Math.max(0, Math.floor(since / step_ms)) * step_ms, end_ms: span.end_ms };
  seriesUntil = now_ms - TAIL_MS;
  const laid = api.series(home, tail, SERIES_STEP_S).then((answer) => (answer === null ? old : laidOver(old, answer)));
  return take(laid, store.series, home);
}

async function refreshAll(home: string): Promise<void> {
  refreshedAt = performance.now();
  const now_ms = store.nowMs.value;
  if (now_ms === null || store.home.value === null) return;
  const span = shownSpan(now_ms, store.zone.value);
  await Promise.all([
    refreshSeries(home, span, now_ms),
    refreshPlan(home),
    take(api.events(home, EVENTS), store.events, home),
    performance.now() - slowAt > SLOW_MS || somethingIsAwaited() ? refreshSlow(home, span) : null,
  ]);
}

/** What changes a few times a day. */
async function refreshSlow(home: string, span: Span): Promise<void> {
  slowAt = performance.now();
  await Promise.all([
    take(api.prices(home, span), store.prices, home),
    take(api.pastForecast(home, span), store.pastForecast, home),
    take(api.savings(home, SAVINGS_DAYS), store.savings, home),
    take(api.accuracy(home), store.accuracy, home),
  ]);
}

function somethingIsAwaited(): boolean {
  const noPrices = !store.prices.value?.import_eur_per_kwh.some((price) => price !== null);
  return noPrices || [store.series, store.forecast, store.plan].some((part) => part.value === null);
}

/** How long to leave the hub alone [ms of real time]. */
function interval(): number {
  return speed.value > 1 || somethingIsAwaited() ? HURRY_MS : CALM_MS;
}

async function syncQuietly(): Promise<void> {
  clockAt = performance.now();
  try {
    await syncClock();
  } catch (error) {
    console.info("hub did not tell the time", error);
  }
}

async function enter(home: string): Promise<void> {
  stream?.close();
  store.forgetHome();
  store.homeId.value = home;
  askedVersion = 0;
  stream = new LiveStream(liveAddress(home), {
    onLink: (link) => {
      const cameBack = link.state === "live" && store.link.peek().state === "away";
      if (link.state !== store.link.peek().state || link.state === "away") store.link.value = link;
      if (cameBack) void syncQuietly().then(() => refreshAll(home));
    },
    onNow: store.receive,
    onPlan: () => void refreshPlan(home),
  });
  await take(api.home(home), store.home, home);
  await take(api.now(home).then((answer) => answer ?? store.current.peek()), store.current, home);
  await refreshAll(home);
}

/** Show another home; its name stays in the address, so that it can be bookmarked. */
export function chooseHome(home: string): void {
  window.location.hash = `home=${encodeURIComponent(home)}`;
  void enter(home);
}

function homeInAddress(): string | null {
  return new URLSearchParams(window.location.hash.slice(1)).get("home");
}

async function boot(): Promise<void> {
  window.clearTimeout(bootTimer);
  try {
    await syncClock();
    clockAt = performance.now();
    const homes = await api.homes();
    store.homes.value = homes;
    bootAttempt = 0;
    const chosen = homes.find(({ home }) => home === homeInAddress()) ?? homes[0];
    if (chosen !== undefined) return await enter(chosen.home);
    // no home has reported yet: ask again, this is not a fault
    store.link.value = { state: "live" };
    bootTimer = window.setTimeout(() => void boot(), NO_HOME_MS);
  } catch (error) {
    console.info("hub is not there yet", error);
    bootAttempt += 1;
    const pause = pauseMs(bootAttempt);
    store.link.value = { state: "away", attempt: bootAttempt, retryAt: performance.now() + pause };
    bootTimer = window.setTimeout(() => void boot(), pause);
  }
}

/** Try to reach the hub now. */
export function retryNow(): void {
  if (stream === null) void boot();
  else stream.retry();
}

function beat(): void {
  tickClock();
  const home = store.homeId.value;
  if (document.hidden || home === null || store.hubIsAway.value) return;
  if (performance.now() - clockAt > interval()) void syncQuietly();
  if (store.home.value === null) void take(api.home(home), store.home, home);
  if (performance.now() - refreshedAt > interval()) void refreshAll(home);
}

export function start(): void {
  void boot();
  window.setInterval(beat, 1000);
  document.addEventListener("visibilitychange", () => {
    const home = store.homeId.value;
    if (document.hidden || home === null) return;
    // timers sleep with the machine, so time and data are asked for afresh
    void syncQuietly().then(() => refreshAll(home));
  });
  effect(() => {
    const version = store.current.value?.plan_version ?? 0;
    const known = store.plan.peek()?.version ?? 0;
    const home = store.homeId.peek();
    if (home === null || version <= known || version === askedVersion) return;
    askedVersion = version;
    void refreshPlan(home);
  });
}
