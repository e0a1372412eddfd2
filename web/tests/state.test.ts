import { describe, expect, it } from "vitest";
import { address, listIn } from "../src/api/client.ts";
import { pauseMs } from "../src/api/live.ts";
import { homeTime } from "../src/state/clock.ts";
import { shownSpan } from "../src/state/refresh.ts";
import { HOUR_MS } from "../src/lib/time.ts";

describe("the home's clock", () => {
  it("moves at the hub's speed, and stands when the demo holds it", () => {
    const anchor = { home_ms: 1_000_000, page_ms: 500, speed: 60 };
    expect(homeTime(anchor, 1500)).toBe(1_060_000);
    expect(homeTime({ ...anchor, speed: 0 }, 99_999)).toBe(1_000_000);
  });
});

describe("reconnecting", () => {
  it("waits longer each time, with a limit, and never all pages at once", () => {
    const middle = [1, 2, 3, 4, 5, 6, 7, 50].map((attempt) => pauseMs(attempt, 0.5));
    expect(middle).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(pauseMs(1, 0)).toBe(750);
    expect(pauseMs(1, 1)).toBe(1250);
  });
});

describe("asking the hub", () => {
  it("keeps addresses relative, so that a path prefix works", () => {
    expect(address("homes/a/prices", { start_ms: 1.4, end_ms: 2 })).toBe("api/homes/a/prices?start_ms=1&end_ms=2");
  });

  it("takes lists bare or in an object", () => {
    expect(listIn([1])).toEqual([1]);
    expect(listIn({ events: [1, 2] })).toEqual([1, 2]);
    expect(listIn(null)).toEqual([]);
  });

  it("asks for three of the home's days, 71 hours around the spring change", () => {
    const span = shownSpan(Date.parse("2016-03-26T12:00:00Z"), "Europe/Berlin");
    expect((span.end_ms - span.start_ms) / HOUR_MS).toBe(71);
  });
});
