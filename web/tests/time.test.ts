import { describe, expect, it } from "vitest";
import {
  ageText,
  daysAway,
  dayWord,
  HOUR_MS,
  hoursInDay,
  hourTicks,
  instantOf,
  instantOfDate,
  isoDate,
  startOfDay,
  timeOfDay,
} from "../src/lib/time.ts";

const BERLIN = "Europe/Berlin";
const at = (text: string): number => Date.parse(text);

describe("the home's days", () => {
  it("begin at the home's midnight, wherever the browser is", () => {
    expect(startOfDay(at("2016-04-05T11:10:00Z"), BERLIN)).toBe(at("2016-04-04T22:00:00Z"));
    expect(startOfDay(at("2016-04-05T11:10:00Z"), "Australia/Sydney")).toBe(at("2016-04-04T14:00:00Z"));
  });

  it("are 23 hours long in spring and 25 in autumn", () => {
    expect(hoursInDay(at("2016-03-27T10:00:00Z"), BERLIN)).toBe(23);
    expect(hoursInDay(at("2016-10-30T10:00:00Z"), BERLIN)).toBe(25);
    expect(hoursInDay(at("2016-10-29T10:00:00Z"), BERLIN)).toBe(24);
  });

  it("follow each other without hole or overlap through both clock changes", () => {
    for (const from of ["2016-03-25T12:00:00Z", "2016-10-28T12:00:00Z"]) {
      let day = startOfDay(at(from), BERLIN);
      for (let n = 0; n < 5; n += 1) {
        const next = startOfDay(day, BERLIN, 1);
        expect(next).toBe(day + hoursInDay(day, BERLIN) * HOUR_MS);
        day = next;
      }
    }
  });

  it("are written and read as dates", () => {
    expect(isoDate(at("2016-04-04T22:30:00Z"), BERLIN)).toBe("2016-04-05");
    expect(instantOfDate("2016-04-05", BERLIN)).toBe(at("2016-04-04T22:00:00Z"));
  });

  it("have names relative to now, by calendar and not by 24 hours", () => {
    const now = at("2016-03-26T22:30:00Z"); // Saturday 23:30, the night before the 23-hour day
    expect(dayWord(at("2016-03-26T23:30:00Z"), now, BERLIN)).toBe("tomorrow");
    expect(dayWord(at("2016-03-27T21:59:00Z"), now, BERLIN)).toBe("tomorrow");
    expect(dayWord(at("2016-03-27T22:00:00Z"), now, BERLIN)).toBe("Mon 28 Mar");
    expect(daysAway(at("2016-03-26T22:59:00Z"), now, BERLIN)).toBe(0);
  });
});

describe("clock times", () => {
  it("are those of the home", () => {
    expect(timeOfDay(at("2016-04-05T11:10:00Z"), BERLIN)).toBe("13:10");
    expect(timeOfDay(at("2016-04-04T22:00:00Z"), BERLIN)).toBe("00:00");
  });

  it("name the zone in the hour that autumn shows twice", () => {
    expect(timeOfDay(at("2016-10-30T00:30:00Z"), BERLIN)).toBe("02:30 CEST");
    expect(timeOfDay(at("2016-10-30T01:30:00Z"), BERLIN)).toBe("02:30 CET");
    expect(timeOfDay(at("2016-10-29T23:30:00Z"), BERLIN)).toBe("01:30");
    expect(timeOfDay(at("2016-10-30T02:00:00Z"), BERLIN)).toBe("03:00");
  });

  it("resolve to instants on both sides of a change", () => {
    expect(instantOf(2016, 3, 27, 1, BERLIN)).toBe(at("2016-03-27T00:00:00Z"));
    expect(instantOf(2016, 3, 27, 4, BERLIN)).toBe(at("2016-03-27T02:00:00Z"));
    expect(instantOf(2016, 3, 32, 0, BERLIN)).toBe(at("2016-03-31T22:00:00Z"));
  });
});

describe("hour ticks", () => {
  const wallHours = (start: string, hours: number): string[] => {
    const from = startOfDay(at(start), BERLIN);
    return hourTicks(from, startOfDay(from, BERLIN, 1), hours, BERLIN).map((tick) => timeOfDay(tick, BERLIN));
  };

  it("stand at full local hours on a common day and on days with a clock change", () => {
    const sixes = ["00:00", "06:00", "12:00", "18:00", "00:00"];
    expect(wallHours("2016-04-05T10:00:00Z", 6)).toEqual(sixes);
    expect(wallHours("2016-03-27T10:00:00Z", 6)).toEqual(sixes);
    expect(wallHours("2016-10-30T10:00:00Z", 6)).toEqual(sixes);
  });

  it("leave out the hour that spring skips", () => {
    expect(wallHours("2016-03-27T10:00:00Z", 1)).not.toContain("02:00");
    expect(wallHours("2016-03-27T10:00:00Z", 1)).toHaveLength(24);
  });

  it("hold the hour that autumn repeats twice, so that no hour of a table is 2 hours long", () => {
    const hours = wallHours("2016-10-30T10:00:00Z", 1);
    expect(hours).toHaveLength(26);
    expect(hours).toContain("02:00 CEST");
    expect(hours).toContain("02:00 CET");
  });
});

describe("ages", () => {
  it.each([
    [-500, "0 s"],
    [12_000, "12 s"],
    [59_600, "1 min"],
    [14 * 60_000, "14 min"],
    [HOUR_MS, "1 h"],
    [3 * HOUR_MS + 20 * 60_000, "3 h 20 min"],
    [25 * HOUR_MS, "1 day"],
    [49 * HOUR_MS, "2 days"],
  ])("%i ms is %s", (age_ms, text) => {
    expect(ageText(age_ms)).toBe(text);
  });
});
