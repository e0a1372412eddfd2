// Four figures for a glance: price, battery, own power, saved today.

import type { ComponentChildren } from "preact";
import { cents, DASH, isThere, kilowattHours, money, percent } from "../lib/format.ts";
import { ownShare } from "../lib/flows.ts";
import { savedAgainstNoBattery } from "../lib/money.ts";
import { isoDate } from "../lib/time.ts";
import { current, home, nowMs, savings, zone } from "../state/store.ts";

function Tile({ label, value, hint, id }: { label: string; value: string; hint: ComponentChildren; id: string }) {
  return (
    <div class="card tile" data-testid={id}>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b>
        <span class="muted">{hint}</span>
      </dd>
    </div>
  );
}

function batteryHint(): string {
  const capacity = home.value?.battery?.capacity_wh;
  const stored = current.value?.stored_wh;
  if (isThere(stored) && isThere(capacity)) return `${kilowattHours(stored)} of ${kilowattHours(capacity)}`;
  return isThere(capacity) ? `of ${kilowattHours(capacity)}` : "charge";
}

function today() {
  if (nowMs.value === null) return undefined;
  const date = isoDate(nowMs.value, zone.value);
  return savings.value?.days.find(({ day }) => day === date);
}

export function Tiles() {
  const state = current.value;
  const own = state === null ? null : ownShare(state.flows);
  const exportPrice = state?.export_eur_per_kwh;
  const day = today();
  const saved = day === undefined ? null : savedAgainstNoBattery(day);
  return (
    <dl class="tiles">
      <Tile
        id="tile-price"
        label="Grid price now"
        value={cents(state?.import_eur_per_kwh)}
        hint={isThere(exportPrice) ? `per kWh; selling earns ${cents(exportPrice)}` : "per kWh"}
      />
      {home.value?.battery !== null && (
        <Tile id="tile-battery" label="Battery" value={percent(state?.soc_percent)} hint={batteryHint()} />
      )}
      <Tile
        id="tile-own"
        label="Own power now"
        value={own === null ? DASH : percent(own * 100)}
        hint="of what the home uses"
      />
      <Tile
        id="tile-saved"
        label={isThere(saved) && saved < -0.005 ? "Spent more today" : "Saved today"}
        value={isThere(saved) ? money(Math.abs(saved)) : DASH}
        hint={isThere(saved) ? "against no battery" : "first figures soon"}
      />
    </dl>
  );
}
