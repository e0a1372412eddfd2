// Bringing columns of different steps onto the one grid the charts share.

import type { Maybe, Regular, Series } from "../api/types.ts";
import { isThere } from "./format.ts";

const SERIES_COLUMNS = ["grid_w", "pv_w", "battery_w", "load_w", "ev_w", "heat_pump_w", "soc_percent"] as const;

export type Column = (number | null)[];

/** Grid instants from start to end, both included [ms]. */
export function grid(start_ms: number, end_ms: number, step_ms: number): number[] {
  const count = Math.floor((end_ms - start_ms) / step_ms) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => start_ms + index * step_ms);
}

/** The value whose step covers an instant; null outside or where it is missing. */
export function valueAt(source: Regular, values: readonly Maybe[] | undefined, at_ms: number): number | null {
  const index = Math.floor((at_ms - source.start_ms) / (source.step_s * 1000));
  const value = values?.[index];
  return isThere(value) ? value : null;
}

/** A column held over its steps, on the grid. */
export function onGrid(times: readonly number[], source: Regular | null, values: readonly Maybe[] | undefined): Column {
  if (source === null || values === undefined) return times.map(() => null);
  return times.map((at_ms) => valueAt(source, values, at_ms));
}

/** Keep a column before (or from) an instant. */
export function before(times: readonly number[], column: Column, until_ms: number): Column {
  return column.map((value, index) => ((times[index] as number) < until_ms ? value : null));
}

/** The first column where it has a value, else the second. */
export function either(first: Column, second: Column): Column {
  return first.map((value, index) => value ?? second[index] ?? null);
}

export const scaled = (column: Column, factor: number): Column =>
  column.map((value) => (value === null ? null : value * factor));

export const hasValues = (column: Column): boolean => column.some((value) => value !== null);

/** Newer answers laid over older ones of the same grid; what the newer does not cover stays. */
export function laidOver(old: Series, tail: Series): Series {
  const step_ms = old.step_s * 1000;
  const offset = (tail.start_ms - old.start_ms) / step_ms;
  if (tail.step_s !== old.step_s || !Number.isInteger(offset) || offset < 0) return tail;
  const lay = (before: readonly Maybe[], after: readonly Maybe[]): Maybe[] => [
    ...before.slice(0, offset),
    ...after,
    ...before.slice(offset + after.length),
  ];
  const merged = { ...old };
  for (const name of SERIES_COLUMNS) merged[name] = lay(old[name], tail[name]);
  return merged;
}

/** The nearest grid index to an instant. */
export function nearest(times: readonly number[], at_ms: number): number {
  const first = times[0];
  const second = times[1];
  if (first === undefined) return 0;
  const step = second === undefined ? 1 : second - first;
  return Math.min(times.length - 1, Math.max(0, Math.round((at_ms - first) / step)));
}

/** Mean of the values of a column within [from, to); null when there are none. */
export function mean(times: readonly number[], column: Column, from_ms: number, to_ms: number): number | null {
  let sum = 0;
  let count = 0;
  times.forEach((at_ms, index) => {
    const value = column[index];
    if (at_ms < from_ms || at_ms >= to_ms || !isThere(value)) return;
    sum += value;
    count += 1;
  });
  return count === 0 ? null : sum / count;
}
