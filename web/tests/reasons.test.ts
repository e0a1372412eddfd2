import { describe, expect, it } from "vitest";
import { NBSP } from "../src/lib/format.ts";
import { combined, inCents, withoutPrices } from "../src/lib/reasons.ts";

const plain = (text: string): string => text.replaceAll(NBSP, " ");

describe("the planner's reasons", () => {
  it("tell prices in cents", () => {
    expect(plain(inCents("covers the house, grid power costs 0.28 EUR/kWh"))).toBe("covers the house, grid power costs 28 ct");
    expect(plain(inCents("is sold at 0.018 EUR/kWh: worth -0.05 EUR/kWh"))).toBe("is sold at 1.8 ct: worth −5 ct");
    expect(inCents("stores the surplus for 18:00-22:00")).toBe("stores the surplus for 18:00-22:00");
  });

  it("that differ only in prices are one, with the range", () => {
    const reasons = ["buys at 0.21 EUR/kWh, worth 0.30 EUR/kWh", "buys at 0.28 EUR/kWh, worth 0.30 EUR/kWh", "buys at 0.25 EUR/kWh, worth 0.30 EUR/kWh"];
    expect(plain(combined(reasons))).toBe("buys at 21 to 28 ct, worth 30 ct");
    expect(new Set(reasons.map(withoutPrices)).size).toBe(1);
  });

  it("that differ in times or words stay apart", () => {
    expect(withoutPrices("stores it for 18:00-22:00")).not.toBe(withoutPrices("stores it for 18:30-22:00"));
    expect(withoutPrices("costs 0.2 EUR/kWh")).not.toBe(withoutPrices("earns 0.2 EUR/kWh"));
  });
});
