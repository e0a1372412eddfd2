import { describe, expect, it } from "vitest";
import type { DayCosts } from "../src/api/types.ts";
import { NBSP } from "../src/lib/format.ts";
import { comparison, costWords, newestFirst, regret, regretSentence, savedAgainstNoBattery } from "../src/lib/money.ts";

const plain = (text: string): string => text.replaceAll(NBSP, " ");

const day: DayCosts = {
  day: "2016-04-04",
  realised_eur: 0.83,
  no_battery_eur: 1.59,
  self_consumption_eur: 0.84,
  night_timer_eur: 1.2,
  perfect_foresight_eur: 0.76,
  regret_eur: 0.07,
  complete: true,
};

describe("savings", () => {
  it("are told against a yardstick, also when they are losses", () => {
    expect(savedAgainstNoBattery(day)).toBeCloseTo(0.76);
    expect(plain(comparison(0.76, "without a battery"))).toBe("76 ct less than without a battery");
    expect(plain(comparison(-0.05, "the rule"))).toBe("5 ct more than the rule");
    expect(comparison(0.003, "the rule")).toBe("the same as the rule");
    expect(comparison(null, "the rule")).toContain("not known yet");
  });

  it("say cost or earning", () => {
    expect(plain(costWords(1.43))).toBe("Cost €1.43");
    expect(plain(costWords(-0.15))).toBe("Earned 15 ct");
    expect(plain(costWords(0))).toBe("Cost 0 ct");
  });

  it("list the newest day first", () => {
    const days = newestFirst([{ ...day, day: "2016-03-31" }, { ...day, day: "2016-04-02" }, { ...day, day: "2016-04-01" }]);
    expect(days.map(({ day: name }) => name)).toEqual(["2016-04-02", "2016-04-01", "2016-03-31"]);
  });
});

describe("regret", () => {
  it("is the hub's figure, or worked out from foresight where it is missing", () => {
    expect(regret(day)).toBe(0.07);
    expect(regret({ ...day, regret_eur: null })).toBeCloseTo(0.07);
    expect(regret({ ...day, regret_eur: null, perfect_foresight_eur: null })).toBeNull();
  });

  it("is explained in one sentence in every case", () => {
    expect(plain(regretSentence(day))).toMatch(/^Regret 7 ct: /);
    expect(regretSentence({ ...day, regret_eur: 0 })).toMatch(/^Regret nil/);
    expect(regretSentence({ ...day, regret_eur: null, perfect_foresight_eur: null })).toMatch(/worked out/);
  });
});
