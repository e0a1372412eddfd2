import { describe, expect, it } from "vitest";
import type { Flows } from "../src/api/types.ts";
import { direction, directionWord, ownShare, sources, thickness, travelSeconds } from "../src/lib/flows.ts";

const none: Flows = {
  grid_w: null,
  pv_w: null,
  battery_w: null,
  house_w: null,
  ev_w: null,
  heat_pump_w: null,
  load_w: null,
};

describe("direction", () => {
  it("follows the house's signs: sources + into the house, consumers + out of it", () => {
    expect(directionWord("grid", 500)).toBe("buying");
    expect(directionWord("grid", -500)).toBe("selling");
    expect(directionWord("battery", 500)).toBe("discharging");
    expect(directionWord("battery", -500)).toBe("charging");
    expect(directionWord("pv", 500)).toBe("producing");
    expect(directionWord("ev", 500)).toBe("charging");
    expect(directionWord("heat_pump", 500)).toBe("running");
    expect(directionWord("heat_pump", 10)).toBe("standby");
    expect(directionWord("ev", null)).toBe("no reading");
    expect(direction("grid", 500)).toBe("in");
    expect(direction("ev", 500)).toBe("out");
  });

  it("does not take a missing value for nothing", () => {
    expect(direction("pv", null)).toBe("missing");
    expect(direction("pv", 0)).toBe("idle");
    expect(direction("pv", 3)).toBe("idle");
  });
});

describe("lines", () => {
  it("grow thicker and faster with power, within limits", () => {
    expect(thickness(4000)).toBeGreaterThan(thickness(400));
    expect(thickness(-4000)).toBe(thickness(4000));
    expect(thickness(1e6)).toBe(thickness(11_000));
    expect(travelSeconds(2000)).toBeCloseTo(travelSeconds(1000) / 2);
    expect(travelSeconds(1)).toBe(3);
    expect(travelSeconds(1e6)).toBe(0.35);
  });
});

describe("where power comes from", () => {
  it("splits what flows in by source", () => {
    const shares = sources({ ...none, pv_w: 3000, battery_w: -1000, grid_w: 1000 });
    expect(shares).toEqual([
      { source: "pv", share: 0.75 },
      { source: "grid", share: 0.25 },
    ]);
  });

  it("says nothing while a source is not known", () => {
    expect(sources({ ...none, pv_w: 3000, grid_w: 0 })).toEqual([]);
    expect(ownShare({ ...none, load_w: 1000 })).toBeNull();
  });

  it("counts as own what the grid does not deliver", () => {
    expect(ownShare({ ...none, load_w: 1000, grid_w: 250 })).toBe(0.75);
    expect(ownShare({ ...none, load_w: 1000, grid_w: -800 })).toBe(1);
    // the battery charging from the grid does not make the share negative
    expect(ownShare({ ...none, load_w: 1000, grid_w: 4000 })).toBe(0);
    expect(ownShare({ ...none, load_w: 0, grid_w: 0 })).toBeNull();
  });
});
