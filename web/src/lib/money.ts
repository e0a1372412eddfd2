// What a day cost, against what it would have cost otherwise. Costs are + when money is paid, - when it is earned.

import type { Costs, DayCosts, Maybe } from "../api/types.ts";
import { isThere, money } from "./format.ts";

const minus = (a: Maybe, b: Maybe): number | null => (isThere(a) && isThere(b) ? a - b : null);

/** Saved against a home without battery; negative = it cost more. */
export const savedAgainstNoBattery = (day: Costs): number | null => minus(day.no_battery_eur, day.realised_eur);

/** Saved beyond what the inverter does by itself; negative = it cost more. */
export const savedAgainstOwnMode = (day: Costs): number | null => minus(day.self_consumption_eur, day.realised_eur);

/** What perfect knowledge would have saved on top. */
export function regret(day: Costs): number | null {
  return isThere(day.regret_eur) ? day.regret_eur : minus(day.realised_eur, day.perfect_foresight_eur);
}

/** "Cost €1.43", "Earned 12 ct". */
export function costWords(eur: Maybe): string {
  if (!isThere(eur)) return "Cost not known yet";
  return Math.round(eur * 100) < 0 ? `Earned ${money(-eur)}` : `Cost ${money(eur)}`;
}

/** "€1.20 less than without a battery", "3 ct more than ...". */
export function comparison(saved_eur: Maybe, than: string): string {
  if (!isThere(saved_eur)) return `comparison with ${than} not known yet`;
  const hundredths = Math.round(saved_eur * 100);
  if (hundredths === 0) return `the same as ${than}`;
  return hundredths > 0 ? `${money(saved_eur)} less than ${than}` : `${money(-saved_eur)} more than ${than}`;
}

/** The one sentence that says what regret is, with the figure. */
export function regretSentence(day: Costs): string {
  const left = regret(day);
  if (!isThere(left)) return "Regret (what perfect foresight would have saved on top) is worked out when the day is over.";
  if (Math.round(left * 100) <= 0) return "Regret nil: knowing the whole day in advance would not have saved more.";
  return `Regret ${money(left)}: that much more could have been saved by knowing sun, use and prices of the whole day in advance.`;
}

/** Newest first. */
export const newestFirst = (days: readonly DayCosts[]): DayCosts[] =>
  [...days].sort((a, b) => (a.day < b.day ? 1 : a.day > b.day ? -1 : 0));

/** The longest bar's amount, so that bars compare; never 0 [EUR]. */
export function barScale(days: readonly DayCosts[]): number {
  return Math.max(0.01, ...days.map((day) => Math.abs(savedAgainstNoBattery(day) ?? 0)));
}

/** The sum of a figure over days; null when no day has it [EUR]. */
export function sumOf(days: readonly DayCosts[], read: (day: DayCosts) => number | null): number | null {
  const known = days.map(read).filter(isThere);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
