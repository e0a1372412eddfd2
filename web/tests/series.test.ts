import { describe, expect, it } from "vitest";
import type { Forecast, PastForecast, Plan, Prices, Series } from "../src/api/types.ts";
import forecast from "../fixtures/forecast.json";
import past from "../fixtures/past.json";
import plan from "../fixtures/plan.json";
import prices from "../fixtures/prices.json";
import series from "../fixtures/series.json";
import clock from "../fixtures/clock.json";
import { columns } from "../src/charts/columns.ts";
import { AXIS_PX, instantAt, MARGIN_PX, xOf } from "../src/charts/geometry.ts";
import { before, either, grid, laidOver, mean, nearest, onGrid, valueAt } from "../src/lib/series.ts";
import { startOfDay } from "../src/lib/time.ts";

describe("columns on a grid", () => {
  const source = { start_ms: 1000, step_s: 2 };

  it("hold a value over its step and no longer", () => {
    expect(onGrid([0, 1000, 2999, 3000, 4999, 5000], source, [10, null])).toEqual([null, 10, 10, null, null, null]);
    expect(valueAt(source, [7], 999)).toBeNull();
  });

  it("keep what is missing missing, and 0 a 0", () => {
    expect(onGrid([1000, 3000], source, [0, null])).toEqual([0, null]);
    expect(either([null, 1, 0], [5, 6, 7])).toEqual([5, 1, 0]);
    expect(before([1, 2, 3], [9, 9, 9], 3)).toEqual([9, 9, null]);
    expect(mean([0, 1, 2, 3], [1, null, 3, 100], 0, 3)).toBe(2);
    expect(mean([0, 1], [null, null], 0, 2)).toBeNull();
  });

  it("have 276 steps of 5 minutes on the 23-hour day and 300 on the 25-hour day", () => {
    const day = (text: string): number => {
      const start = startOfDay(Date.parse(text), "Europe/Berlin");
      return grid(start, startOfDay(start, "Europe/Berlin", 1), 300_000).length - 1;
    };
    expect(day("2016-03-27T10:00:00Z")).toBe(276);
    expect(day("2016-10-30T10:00:00Z")).toBe(300);
  });
});

describe("newer answers", () => {
  const filled = (start_ms: number, values: (number | null)[]): Series => ({
    start_ms,
    step_s: 1,
    grid_w: values,
    pv_w: values,
    battery_w: values,
    load_w: values,
    ev_w: values,
    heat_pump_w: values,
    soc_percent: values,
  });

  it("replace what they cover, also with holes, and leave the rest", () => {
    const laid = laidOver(filled(0, [1, 2, 3, 4, 5]), filled(2000, [null, 40]));
    expect(laid.load_w).toEqual([1, 2, null, 40, 5]);
    expect(laid.start_ms).toBe(0);
  });

  it("stand alone when they do not fit the older grid", () => {
    const odd = filled(1500, [9]);
    expect(laidOver(filled(0, [1, 2, 3]), odd)).toBe(odd);
  });
});

describe("the ruler", () => {
  const span = { start_ms: 0, end_ms: 1000 };

  it("turns instants into places and back", () => {
    expect(xOf(0, span, 400)).toBe(AXIS_PX);
    expect(xOf(1000, span, 400)).toBe(400 - MARGIN_PX);
    expect(instantAt(xOf(250, span, 400), span, 400)).toBeCloseTo(250);
    expect(instantAt(-50, span, 400)).toBe(0);
    expect(instantAt(900, span, 400)).toBe(1000);
  });
});

describe("the charts' lines", () => {
  const now_ms = clock.now_ms;
  const span = { start_ms: startOfDay(now_ms, "Europe/Berlin"), end_ms: startOfDay(now_ms, "Europe/Berlin", 2) };
  const all = {
    series: series as Series,
    prices: prices as Prices,
    forecast: forecast as Forecast,
    past: past as PastForecast,
    plan: plan as Plan,
    socNow: 73,
  };
  const made = columns(span, now_ms, all);
  const now = nearest(made.times, now_ms);

  it("show measured values until now and expected ones on both sides", () => {
    expect(made.times).toHaveLength(577);
    expect(made.pv.slice(now + 1).every((value) => value === null)).toBe(true);
    expect(made.pv[now - 12]).toBeGreaterThan(4);
    expect(made.pvExpected.middle[now - 12]).toBeGreaterThan(4);
    expect(made.pvExpected.low[now - 12]).toBeNull();
    expect(made.pvExpected.low[now + 12]).toBeLessThan(made.pvExpected.high[now + 12] as number);
    expect(made.socPlanned[now - 12]).toBeNull();
    expect(made.socPlanned[now + 12]).toBeGreaterThan(73);
    expect(made.importCents[now]).toBeCloseTo(18.33);
  });

  it("are empty, not 0, while nothing has arrived", () => {
    const empty = columns(span, now_ms, { series: null, prices: null, forecast: null, past: null, plan: null, socNow: null });
    for (const column of [empty.pv, empty.load, empty.soc, empty.socPlanned, empty.importCents, empty.pvExpected.middle]) {
      expect(column.every((value) => value === null)).toBe(true);
    }
  });
});
