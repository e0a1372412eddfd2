// Hours and days below the charts, with the lines for now and for the pointer across all of them.

import type { Span } from "../api/client.ts";
import { dayAndMonth, startOfDay, timeOfDay } from "../lib/time.ts";
import { zone } from "../state/store.ts";
import { xOf } from "./geometry.ts";

interface RulerProps {
  span: Span;
  ticks: number[];
  width: number;
  /** Little room: days without their month. */
  short: boolean;
  now_ms: number;
  pointer_ms: number | null;
}

const dayLabel = (at_ms: number, zoneName: string, short: boolean): string =>
  short ? dayAndMonth(at_ms, zoneName).split(" ").slice(0, 2).join(" ") : dayAndMonth(at_ms, zoneName);

const inside = (at_ms: number, span: Span): boolean => at_ms >= span.start_ms && at_ms <= span.end_ms;

export function Ruler({ span, ticks, width, short, now_ms, pointer_ms }: RulerProps) {
  const isMidnight = (at_ms: number): boolean => startOfDay(at_ms, zone.value) === at_ms;
  return (
    <>
      <div class="ruler" aria-hidden="true">
        {ticks
          .filter((tick) => tick < span.end_ms)
          .map((tick) => (
            <span
              key={tick}
              class={isMidnight(tick) ? "tick tick-day" : "tick"}
              style={{ left: `${xOf(tick, span, width)}px` }}
            >
              {isMidnight(tick) ? dayLabel(tick, zone.value, short) : timeOfDay(tick, zone.value)}
            </span>
          ))}
      </div>
      {inside(now_ms, span) && (
        <span class="now-line" data-testid="now-line" style={{ left: `${xOf(now_ms, span, width)}px` }} aria-hidden="true">
          <em>now</em>
        </span>
      )}
      {pointer_ms !== null && inside(pointer_ms, span) && (
        <span class="pointer-line" style={{ left: `${xOf(pointer_ms, span, width)}px` }} aria-hidden="true" />
      )}
    </>
  );
}
