import { describe, expect, it } from "vitest";
import { cents, DASH, kilowattHours, kilowatts, money, NBSP, percent, power } from "../src/lib/format.ts";

const plain = (text: string): string => text.replaceAll(NBSP, " ");

describe("powers", () => {
  it.each([
    [0, "0"],
    [4, "0"],
    [-3, "0"],
    [42, "0.04"],
    [-312, "0.31"],
    [5_894, "5.89"],
    [9_994, "9.99"],
    [9_996, "10.0"],
    [-11_040, "11.0"],
    [123_456, "123"],
  ])("%i W is shown as %s kW, without its sign", (power_w, text) => {
    expect(kilowatts(power_w)).toBe(text);
  });

  it("that are missing are a dash, never 0", () => {
    for (const missing of [null, undefined, NaN, Infinity]) {
      expect(kilowatts(missing)).toBe(DASH);
      expect(power(missing)).toBe(DASH);
      expect(percent(missing)).toBe(DASH);
      expect(cents(missing)).toBe(DASH);
      expect(money(missing)).toBe(DASH);
      expect(kilowattHours(missing)).toBe(DASH);
    }
  });
});

describe("money", () => {
  it.each([
    [1.43, "€1.43"],
    [0.084, "8 ct"],
    [0, "0 ct"],
    [-0.004, "0 ct"],
    [-0.15, "−15 ct"],
    [-1.2, "−€1.20"],
    [0.999, "€1.00"],
    [99.994, "€99.99"],
    [1234.4, "€1,234"],
  ])("%f EUR is %s", (eur, text) => {
    expect(plain(money(eur))).toBe(text);
  });

  it("keeps the sign of a negative price", () => {
    expect(plain(cents(-0.0123))).toBe("−1.2 ct");
    expect(plain(cents(0.1833))).toBe("18.3 ct");
  });
});
