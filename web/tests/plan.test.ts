import { describe, expect, it } from "vitest";
import type { Plan, Slot } from "../src/api/types.ts";
import fixture from "../fixtures/plan.json";
import { blocks, byAction, plannedSoc, planHealth, slotAt } from "../src/lib/plan.ts";

const STEP_MS = 900_000;

function planOf(slots: Partial<Slot>[], step_s = 900): Plan {
  const full = slots.map((slot, index) => ({
    start_ms: index * step_s * 1000,
    mode: "hold",
    reason: "",
    power_w: 0,
    import_eur_per_kwh: 0.3,
    export_eur_per_kwh: 0.08,
    marginal_eur_per_kwh: 0.2,
    load_w: 0,
    pv_w: 0,
    battery_w: 0,
    grid_w: 0,
    soc_percent: 50,
    ...slot,
  }));
  const last = full[full.length - 1]?.start_ms ?? 0;
  return {
    home: "h",
    version: 1,
    issued_ms: 0,
    valid_from_ms: 0,
    valid_until_ms: last + step_s * 1000,
    step_s,
    slots: full,
  };
}

describe("blocks", () => {
  it("merge neighbours with the same action and reason, and no others", () => {
    const plan = planOf([
      { mode: "hold", reason: "a" },
      { mode: "hold", reason: "a" },
      { mode: "hold", reason: "b" },
      { mode: "export", reason: "b" },
      { mode: "hold", reason: "a" },
    ]);
    const found = blocks(plan, 0).map(({ start_ms, end_ms, action, reason }) => [start_ms / STEP_MS, end_ms / STEP_MS, action, reason]);
    expect(found).toEqual([
      [0, 2, "keep", "a"],
      [2, 3, "keep", "b"],
      [3, 4, "sell", "b"],
      [4, 5, "keep", "a"],
    ]);
  });

  it("merge a mode whose figures move, telling their range, and part it where the sun turns its meaning", () => {
    const plan = planOf([
      { mode: "cover_load", reason: "costs 0.25 EUR/kWh", load_w: 900 },
      { mode: "cover_load", reason: "costs 0.28 EUR/kWh", load_w: 900 },
      { mode: "cover_load", reason: "costs 0.28 EUR/kWh", load_w: 900, pv_w: 3000 },
    ]);
    const found = blocks(plan, 0).map(({ action, reason }) => [action, reason.replaceAll("\u00a0", " ")]);
    expect(found).toEqual([
      ["cover", "costs 25 to 28 ct"],
      ["feed", "costs 28 ct"],
    ]);
  });

  it("leave out what is over and keep what runs", () => {
    const plan = planOf([{ reason: "a" }, { reason: "b" }]);
    expect(blocks(plan, STEP_MS).map(({ reason }) => reason)).toEqual(["b"]);
    expect(blocks(plan, STEP_MS - 1).map(({ reason }) => reason)).toEqual(["a", "b"]);
    expect(blocks(plan, 2 * STEP_MS)).toEqual([]);
  });

  it("tell the price range, the mean order and the charge at the end", () => {
    const plan = planOf([
      { mode: "charge_from_grid", power_w: 1000, import_eur_per_kwh: 0.1, soc_percent: 20 },
      { mode: "charge_from_grid", power_w: 3000, import_eur_per_kwh: 0.2, soc_percent: 35 },
    ]);
    expect(blocks(plan, 0)).toMatchObject([{ power_w: 2000, import_low: 0.1, import_high: 0.2, soc_percent: 35 }]);
  });

  it("end where the next slot begins when the first slot is a partial one", () => {
    const plan = planOf([{ start_ms: 600_000, reason: "late start" }, { start_ms: STEP_MS, reason: "b" }]);
    expect(blocks(plan, 0)[0]).toMatchObject({ start_ms: 600_000, end_ms: STEP_MS });
  });

  it("join by action for the strip, whatever the reasons", () => {
    const plan = planOf([{ reason: "a" }, { reason: "b" }, { mode: "export" }]);
    expect(byAction(blocks(plan, 0)).map(({ start_ms, end_ms }) => [start_ms, end_ms])).toEqual([
      [0, 2 * STEP_MS],
      [2 * STEP_MS, 3 * STEP_MS],
    ]);
  });

  it("cover the recorded-shape plan without hole or overlap", () => {
    const plan = fixture as Plan;
    const found = blocks(plan, 0);
    expect(found.length).toBeLessThan(plan.slots.length / 4);
    expect(found[0]?.start_ms).toBe(plan.valid_from_ms);
    expect(found[found.length - 1]?.end_ms).toBe(plan.valid_until_ms);
    found.slice(1).forEach((block, index) => expect(block.start_ms).toBe(found[index]?.end_ms));
  });
});

describe("a plan at an instant", () => {
  it("has a slot only while it lasts", () => {
    const plan = planOf([{ reason: "a" }, { reason: "b" }]);
    expect(slotAt(plan, STEP_MS - 1)?.reason).toBe("a");
    expect(slotAt(plan, STEP_MS)?.reason).toBe("b");
    expect(slotAt(plan, 2 * STEP_MS)).toBeNull();
    expect(slotAt(plan, -1)).toBeNull();
  });

  it("is none, current or stale", () => {
    const plan = planOf([{}]);
    expect(planHealth(null, 0)).toBe("none");
    expect(planHealth(plan, STEP_MS - 1)).toBe("current");
    expect(planHealth(plan, STEP_MS)).toBe("stale");
  });

  it("expects the charge to run from now to each slot's end", () => {
    const plan = planOf([{ soc_percent: 60 }, { soc_percent: 40 }]);
    const times = [-1, 0, STEP_MS / 2, STEP_MS, STEP_MS * 1.5, 2 * STEP_MS];
    expect(plannedSoc(plan, times, 50)).toEqual([null, 50, 55, 60, 50, null]);
  });
});
