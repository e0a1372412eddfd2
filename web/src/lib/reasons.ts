// The planner's reasons as a person reads them: prices in cents like everywhere on the page, and reasons that differ only
// in their figures told once with a range, so that a price that moves each quarter of an hour does not split the list.

import { NBSP } from "./format.ts";

const EUR_PRICE = /(-?)(\d+\.\d+) EUR\/kWh/g;
const CENTS = /−?\d+(?:\.\d+)?\u00a0ct/g;

const digits = (cents: number): string => String(Math.round(cents * 10) / 10);

/** "0.28 EUR/kWh" becomes "28 ct". */
export function inCents(text: string): string {
  return text.replace(EUR_PRICE, (_all, minus: string, eur: string) => `${minus && "−"}${digits(Number(eur) * 100)}${NBSP}ct`);
}

/** What stays the same when only prices differ. */
export const withoutPrices = (text: string): string => inCents(text).replace(CENTS, "#");

const numberOf = (price: string): number => Number(price.replace("−", "-").replace(`${NBSP}ct`, ""));

/** Reasons that differ only in prices, as one: "costs 21 to 28 ct". */
export function combined(reasons: readonly string[]): string {
  const texts = reasons.map(inCents);
  const found = texts.map((text) => text.match(CENTS) ?? []);
  let place = 0;
  return (texts[0] ?? "").replace(CENTS, (own) => {
    const values = found.map((prices) => numberOf(prices[place] ?? own));
    place += 1;
    const low = Math.min(...values);
    const high = Math.max(...values);
    return low === high ? own : `${digits(low).replace("-", "−")} to ${digits(high).replace("-", "−")}${NBSP}ct`;
  });
}
