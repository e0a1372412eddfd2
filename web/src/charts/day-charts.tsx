// Today and tomorrow: price, sun, use and charge under one ruler of time. Pointer, finger or arrow keys read values.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import type { Span } from "../api/client.ts";
import { ACTIONS } from "../lib/modes.ts";
import { inCents } from "../lib/reasons.ts";
import { blocks, byAction, slotAction, slotAt, type Block } from "../lib/plan.ts";
import { hasValues, nearest } from "../lib/series.ts";
import { dayAndMonth, dayWord, HOUR_MS, hourTicks, MINUTE_MS, startOfDay, timeOfDay } from "../lib/time.ts";
import { capitalised, isThere } from "../lib/format.ts";
import * as store from "../state/store.ts";
import { columns, type Columns } from "./columns.ts";
import { instantAt } from "./geometry.ts";
import { HoursTable } from "./hours-table.tsx";
import { ModeKey, ModeStrip } from "./mode-strip.tsx";
import { cssColour, faded } from "./plot.tsx";
import { PowerChart, PriceChart, SocChart } from "./rows.tsx";
import { Ruler } from "./ruler.tsx";

type View = "yesterday" | "today" | "both";
const VIEWS: { id: View; label: string; from: number; to: number }[] = [
  { id: "yesterday", label: "Yesterday", from: -1, to: 0 },
  { id: "today", label: "Today", from: 0, to: 1 },
  { id: "both", label: "Two days", from: 0, to: 2 },
];

const STEP_MS = 300_000;
const KEY_STEP_MS = 15 * MINUTE_MS;

/** A minute is fine enough for lines of 5 minutes, and spares drawing each second. */
const toMinute = (at_ms: number): number => Math.floor(at_ms / MINUTE_MS) * MINUTE_MS;

function ViewButtons({ view, choose }: { view: View; choose: (view: View) => void }) {
  return (
    <div class="segments" role="group" aria-label="Days shown">
      {VIEWS.map(({ id, label }) => (
        <button type="button" key={id} aria-pressed={view === id} onClick={() => choose(id)}>
          {label}
        </button>
      ))}
    </div>
  );
}

function useWidth() {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (box.current === null) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return { box, width };
}

const floorToStep = (at_ms: number): number => Math.floor(at_ms / STEP_MS) * STEP_MS;

/** The grid point of now, or a little before it, because the running step is measured only when it is over. */
function newest(data: Columns, now_ms: number): number {
  const index = nearest(data.times, floorToStep(now_ms));
  const measured = [index, index - 1, index - 2].find((step) => isThere(data.load[step]));
  return measured ?? index;
}

function Readout({ at_ms, now_ms, pointed }: { at_ms: number; now_ms: number; pointed: boolean }) {
  const known = store.plan.value;
  const slot = known === null ? null : slotAt(known, at_ms);
  const day = capitalised(dayWord(at_ms, now_ms, store.zone.value));
  return (
    <p class="readout" data-testid="readout" aria-live={pointed ? "polite" : "off"}>
      <b>{pointed ? `${day} ${timeOfDay(at_ms, store.zone.value)}` : "Now"}</b>
      {slot !== null && <span> {ACTIONS[slotAction(slot)].title}</span>}
      {slot !== null && slot.reason && <span class="muted"> {inCents(slot.reason)}</span>}
    </p>
  );
}

/** Tints the charge chart with the plan. */
function tint(plot: uPlot, list: Block[]): void {
  const { ctx, bbox } = plot;
  for (const block of list) {
    const left = Math.max(bbox.left, plot.valToPos(block.start_ms / 1000, "x", true));
    const right = Math.min(bbox.left + bbox.width, plot.valToPos(block.end_ms / 1000, "x", true));
    if (right <= left) continue;
    ctx.fillStyle = faded(cssColour(`--mode-${block.action}`), 0.16);
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
}

function useColumns(span: Span, minute_ms: number): Columns {
  const { series, prices, forecast, pastForecast, plan, current } = store;
  const socNow = current.value?.soc_percent ?? null;
  const parts = [series.value, prices.value, forecast.value, pastForecast.value, plan.value] as const;
  return useMemo(
    () =>
      columns(span, minute_ms, {
        series: parts[0],
        prices: parts[1],
        forecast: parts[2],
        past: parts[3],
        plan: parts[4],
        socNow,
      }),
    [...parts, span.start_ms, span.end_ms, minute_ms],
  );
}

function Charts({ now_ms }: { now_ms: number }) {
  const zone = store.zone.value;
  const [view, setView] = useState<View>("both");
  const { box, width } = useWidth();
  const pointer = useSignal<number | null>(null);
  const { from, to } = VIEWS.find(({ id }) => id === view) ?? { from: 0, to: 2 };
  const span = useMemo(
    () => ({ start_ms: startOfDay(now_ms, zone, from), end_ms: startOfDay(now_ms, zone, to) }),
    [startOfDay(now_ms, zone), zone, from, to],
  );
  const narrow = width < 560;
  const tickHours = view === "both" ? (narrow ? 12 : 6) : narrow ? 6 : 3;
  const ticks = useMemo(() => hourTicks(span.start_ms, span.end_ms, tickHours, zone), [span, tickHours, zone]);
  const data = useColumns(span, toMinute(now_ms));
  const plan = store.plan.value;
  const list = useMemo(() => (plan === null ? [] : blocks(plan, span.start_ms)), [plan, span]);
  const read_ms = useComputed(() => pointer.value).value ?? Math.min(span.end_ms - 1, Math.max(span.start_ms, now_ms));
  const index = pointer.value === null ? newest(data, read_ms) : nearest(data.times, floorToStep(read_ms));
  const shared = { span, ticks, width, times: data.times, index };

  const point = (event: PointerEvent): void => {
    const left = box.current?.getBoundingClientRect().left ?? 0;
    pointer.value = instantAt(event.clientX - left, span, width);
  };
  const step = (event: KeyboardEvent): void => {
    const moves: Record<string, number> = { ArrowLeft: -KEY_STEP_MS, ArrowRight: KEY_STEP_MS, PageUp: -HOUR_MS, PageDown: HOUR_MS };
    const move = moves[event.key];
    if (event.key === "Escape") pointer.value = null;
    else if (event.key === "Home") pointer.value = span.start_ms;
    else if (event.key === "End") pointer.value = span.end_ms - KEY_STEP_MS;
    else if (move !== undefined) {
      const start = Math.round((pointer.value ?? now_ms) / KEY_STEP_MS) * KEY_STEP_MS;
      pointer.value = Math.min(span.end_ms - 1, Math.max(span.start_ms, start + move));
    } else return;
    event.preventDefault();
  };

  return (
    <>
      <div class="card-head">
        <h2 id="charts-title">{view === "yesterday" ? "Yesterday" : view === "today" ? "Today" : "Today and tomorrow"}</h2>
        <ViewButtons view={view} choose={setView} />
      </div>
      <Readout at_ms={read_ms} now_ms={now_ms} pointed={pointer.value !== null} />
      <div
        ref={box}
        class="stack"
        tabIndex={0}
        role="group"
        aria-label="Charts of price, sun, use and battery charge. Arrow keys read values, escape returns to now."
        onPointerMove={point}
        onPointerDown={point}
        onPointerLeave={(event) => {
          if (event.pointerType === "mouse") pointer.value = null;
        }}
        onKeyDown={step}
        data-testid="charts"
      >
        {width > 0 && (
          <>
            <ModeStrip list={list} span={span} width={width} />
            <PriceChart {...shared} data={data} />
            <PowerChart {...shared} name="sun" title="Sun" colour="--pv" actual={data.pv} expected={data.pvExpected} />
            <PowerChart {...shared} name="use" title="Use of the home" colour="--load" actual={data.load} expected={data.loadExpected} />
            {store.home.value?.battery !== null && (
              <SocChart {...shared} data={data} decorate={(plot) => tint(plot, byAction(list))} />
            )}
            <Ruler span={span} ticks={ticks} width={width} short={narrow} now_ms={now_ms} pointer_ms={pointer.value} />
          </>
        )}
      </div>
      <ModeKey list={list.filter((block) => block.start_ms < span.end_ms)} />
      <details class="as-table">
        <summary>Hour by hour as a table</summary>
        <HoursTable data={data} span={span} />
      </details>
      {!hasValues(data.load) && view !== "yesterday" && (
        <p class="small muted">Measured lines start as soon as {dayAndMonth(now_ms, zone)} has readings.</p>
      )}
    </>
  );
}

export function DayCharts() {
  const now_ms = store.nowMs.value;
  const ready = now_ms !== null && store.home.value !== null;
  return (
    <section class="card charts-card" aria-labelledby="charts-title">
      {ready ? <Charts now_ms={now_ms} /> : <h2 id="charts-title">Today and tomorrow</h2>}
    </section>
  );
}
