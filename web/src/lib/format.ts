// Numbers as a person reads them. What is missing is a dash, never 0.

import type { Maybe } from "../api/types.ts";

export const DASH = "–";
/** Keeps a number and its unit on one line. */
export const NBSP = "\u00a0";
const LOCALE = "en-IE";

const oneDigit = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const twoDigits = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const euro = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "EUR" });
const wholeEuro = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "EUR", maximumFractionDigits: 0 });

export function isThere(value: Maybe | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Below this a meter shows noise, not flow [W]. */
export const IDLE_W = 5;

/** The number of a power without sign and unit, in kW: "0.42", "12.3", "0" when idle. */
export function kilowatts(power_w: Maybe | undefined): string {
  if (!isThere(power_w)) return DASH;
  const size = Math.abs(power_w);
  if (size < IDLE_W) return "0";
  const digits = size < 9_995 ? twoDigits : size < 99_950 ? oneDigit : whole;
  return digits.format(size / 1000);
}

/** A power with its unit: "0.42 kW"; the space never breaks. */
export function power(power_w: Maybe | undefined): string {
  return isThere(power_w) ? `${kilowatts(power_w)}${NBSP}kW` : DASH;
}

export function percent(value: Maybe | undefined): string {
  return isThere(value) ? `${whole.format(value)}${NBSP}%` : DASH;
}

export function kilowattHours(energy_wh: Maybe | undefined): string {
  return isThere(energy_wh) ? `${oneDigit.format(energy_wh / 1000)}${NBSP}kWh` : DASH;
}

/** A price: "21.4 ct". */
export function cents(eur_per_kwh: Maybe | undefined): string {
  return isThere(eur_per_kwh) ? `${oneDigit.format(eur_per_kwh * 100).replace("-", "−")}${NBSP}ct` : DASH;
}

/** An amount of money: "€1.43", below one euro "8 ct", from a hundred on "€124"; the sign is a true minus. */
export function money(eur: Maybe | undefined): string {
  if (!isThere(eur)) return DASH;
  const hundredths = Math.round(eur * 100);
  const size = Math.abs(eur);
  const euros = size < 100 ? euro.format(size) : wholeEuro.format(size);
  const text = Math.abs(hundredths) < 100 ? `${whole.format(Math.abs(hundredths))}${NBSP}ct` : euros;
  return hundredths < 0 ? `−${text}` : text;
}

export function wholeNumber(value: Maybe | undefined): string {
  return isThere(value) ? whole.format(value) : DASH;
}

export const capitalised = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
