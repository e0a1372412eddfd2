import { describe, expect, it } from "vitest";
import { ACTIONS, actionOf } from "../src/lib/modes.ts";

describe("what a mode comes to", () => {
  it.each([
    ["self_consumption", -2000, -2000, "sun"],
    ["self_consumption", -2000, -29, "feed"], // full
    ["self_consumption", 500, 500, "cover"],
    ["self_consumption", 500, 0, "draw"], // empty
    ["self_consumption", 20, 20, "own"],
    ["absorb_surplus", -2000, -2000, "sun"],
    ["absorb_surplus", 500, 0, "keep"],
    ["cover_load", 500, 500, "cover"],
    ["cover_load", -2000, 0, "feed"],
    ["hold", -2000, 0, "keep"],
    ["charge_from_grid", 500, -3000, "buy"],
    ["export", 500, 3000, "sell"],
    ["a_mode_of_tomorrow", 0, 0, "unknown"],
  ])("%s with load - PV %i W and battery %i W is %s", (mode, net_w, battery_w, action) => {
    expect(actionOf(mode, { net_w, battery_w })).toBe(action);
    expect(ACTIONS[actionOf(mode, { net_w, battery_w })].title).not.toBe("");
  });

  it("is told without expectations too", () => {
    const told = ["self_consumption", "absorb_surplus", "cover_load", "hold"].map((mode) => actionOf(mode, null));
    expect(told).toEqual(["own", "sun", "cover", "keep"]);
  });
});
