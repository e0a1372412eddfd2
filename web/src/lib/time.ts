// Local time of the home, wherever the browser is. Days are the home's calendar days: 23 or 25 hours long when the
// clocks change. Instants are ms since 1970 UTC.

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
const QUARTER_MS = 15 * MINUTE_MS;
const LOCALE = "en-GB";

export interface Wall {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

// building a DateTimeFormat costs about 50 us, and charts ask for hundreds of times
function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone}|${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (found === undefined) {
    found = new Intl.DateTimeFormat(LOCALE, { timeZone: zone, ...options });
    formats.set(key, found);
  }
  return found;
}

const WALL: Intl.DateTimeFormatOptions = {
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
  hourCycle: "h23",
};

/** What clocks and calendars in the zone show at an instant. */
export function wallAt(at_ms: number, zone: string): Wall {
  const parts = format(zone, WALL).formatToParts(at_ms);
  const read = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
  return {
    year: read("year"),
    month: read("month"),
    day: read("day"),
    hour: read("hour"),
    minute: read("minute"),
    second: read("second"),
  };
}

/** How far the zone's clocks are ahead of UTC at an instant [ms]. */
export function offsetMs(at_ms: number, zone: string): number {
  const wall = wallAt(at_ms, zone);
  const asUtc = Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute, wall.second);
  return asUtc - Math.floor(at_ms / 1000) * 1000;
}

/** The instant at which the zone's clocks show a date and hour; days may overflow (32 March = 1 April). */
export function instantOf(year: number, month: number, day: number, hour: number, zone: string): number {
  const asUtc = Date.UTC(year, month - 1, day, hour);
  const first = asUtc - offsetMs(asUtc, zone);
  // the first guess used the offset of another moment; near a clock change that may be the wrong one
  return asUtc - offsetMs(first, zone);
}

/** The first instant of the home's day that contains `at_ms`, or of the day `days` later. */
export function startOfDay(at_ms: number, zone: string, days = 0): number {
  const wall = wallAt(at_ms, zone);
  return instantOf(wall.year, wall.month, wall.day + days, 0, zone);
}

/** Hours between this local midnight and the next: 23, 24 or 25. */
export function hoursInDay(at_ms: number, zone: string): number {
  return (startOfDay(at_ms, zone, 1) - startOfDay(at_ms, zone)) / HOUR_MS;
}

/** Instants in [start, end] at which local clocks show a full multiple of `hours`; an hour shown twice is there twice. */
export function hourTicks(start_ms: number, end_ms: number, hours: number, zone: string): number[] {
  const ticks: number[] = [];
  // offsets from UTC are multiples of a quarter of an hour everywhere
  const first = Math.ceil(start_ms / QUARTER_MS) * QUARTER_MS;
  for (let at_ms = first; at_ms <= end_ms; at_ms += QUARTER_MS) {
    const wall = wallAt(at_ms, zone);
    if (wall.minute === 0 && wall.hour % hours === 0) ticks.push(at_ms);
  }
  return ticks;
}

/** True in the hour that the clocks show twice. */
function isShownTwice(at_ms: number, zone: string): boolean {
  const offset = offsetMs(at_ms, zone);
  const before = offsetMs(at_ms - HOUR_MS, zone);
  const after = offsetMs(at_ms + HOUR_MS, zone);
  return offset > after || before > offset;
}

/** "13:05"; in the hour that autumn repeats "02:30 CEST" and "02:30 CET". */
export function timeOfDay(at_ms: number, zone: string): string {
  const text = format(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at_ms);
  if (!isShownTwice(at_ms, zone)) return text;
  const name = format(zone, { timeZoneName: "short" })
    .formatToParts(at_ms)
    .find((part) => part.type === "timeZoneName")?.value;
  return `${text} ${name ?? ""}`.trim();
}

export const dayName = (at_ms: number, zone: string): string => format(zone, { weekday: "short" }).format(at_ms);

/** "Tue 5 Apr". */
export const dayAndMonth = (at_ms: number, zone: string): string =>
  format(zone, { weekday: "short", day: "numeric", month: "short" }).format(at_ms).replace(",", "");

/** "Tuesday 5 April". */
export const longDay = (at_ms: number, zone: string): string =>
  format(zone, { weekday: "long", day: "numeric", month: "long" }).format(at_ms).replace(",", "");

/** Whole calendar days of the home from `now_ms` to `at_ms`. */
export function daysAway(at_ms: number, now_ms: number, zone: string): number {
  const noonOf = (ms: number): number => {
    const wall = wallAt(ms, zone);
    return Date.UTC(wall.year, wall.month - 1, wall.day, 12);
  };
  return Math.round((noonOf(at_ms) - noonOf(now_ms)) / (24 * HOUR_MS));
}

/** "today", "tomorrow", "yesterday", otherwise "Tue 5 Apr". */
export function dayWord(at_ms: number, now_ms: number, zone: string): string {
  const away = daysAway(at_ms, now_ms, zone);
  if (away === 0) return "today";
  if (away === 1) return "tomorrow";
  if (away === -1) return "yesterday";
  return dayAndMonth(at_ms, zone);
}

/** The home's calendar date as the hub writes it, "2016-04-05". */
export function isoDate(at_ms: number, zone: string): string {
  const { year, month, day } = wallAt(at_ms, zone);
  return `${year}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}`;
}

/** The first instant of a date written "2016-04-05". */
export function instantOfDate(date: string, zone: string): number {
  const [year = NaN, month = NaN, day = NaN] = date.split("-").map(Number);
  return instantOf(year, month, day, 0, zone);
}

/** How long ago something was: "5 s", "4 min", "3 h 20 min", "2 days". */
export function ageText(age_ms: number): string {
  const seconds = Math.max(0, Math.round(age_ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return days === 1 ? "1 day" : `${days} days`;
}
