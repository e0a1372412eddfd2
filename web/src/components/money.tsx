// Money: what days cost, what was saved against two honest yardsticks, and what was left on the table.

import type { DayCosts } from "../api/types.ts";
import { isThere, money, wholeNumber } from "../lib/format.ts";
import {
  barScale,
  comparison,
  costWords,
  newestFirst,
  regret,
  regretSentence,
  savedAgainstNoBattery,
  savedAgainstOwnMode,
  sumOf,
} from "../lib/money.ts";
import { dayWord, instantOfDate, isoDate } from "../lib/time.ts";
import { accuracy, nowMs, savings, zone } from "../state/store.ts";
import { capitalised } from "../lib/format.ts";

const ROWS = 7;

function Today({ day }: { day: DayCosts | undefined }) {
  if (day === undefined || !isThere(day.realised_eur)) {
    return <p class="muted empty">Today's first figures appear once an hour has been measured.</p>;
  }
  return (
    <div class="money-today" data-testid="money-today">
      <p class="big">
        {costWords(day.realised_eur)} <span class="muted">today so far</span>
      </p>
      <ul class="plain">
        <li>{capitalised(comparison(savedAgainstNoBattery(day), "without a battery"))}</li>
        <li>{capitalised(comparison(savedAgainstOwnMode(day), "the inverter's own self-consumption"))}</li>
      </ul>
    </div>
  );
}

function Bar({ saved, scale }: { saved: number | null; scale: number }) {
  if (saved === null) return null;
  const width = `${Math.min(100, (Math.abs(saved) / scale) * 100)}%`;
  return <span class={`bar ${saved < 0 ? "bar-loss" : ""}`} style={{ width }} aria-hidden="true" />;
}

function Row({ day, scale, now_ms }: { day: DayCosts; scale: number; now_ms: number }) {
  const name = capitalised(dayWord(instantOfDate(day.day, zone.value), now_ms, zone.value));
  const saved = savedAgainstNoBattery(day);
  return (
    <tr>
      <th scope="row">
        {name}
        {!day.complete && <span class="muted"> *</span>}
      </th>
      <td>{money(day.realised_eur)}</td>
      <td class="with-bar">
        {money(saved)}
        <Bar saved={saved} scale={scale} />
      </td>
      <td>{money(savedAgainstOwnMode(day))}</td>
      <td>{money(regret(day))}</td>
    </tr>
  );
}

function Days({ days, now_ms }: { days: DayCosts[]; now_ms: number }) {
  const scale = barScale(days);
  return (
    <div class="scroll-x">
      <table class="days" data-testid="money-days">
        <thead>
          <tr>
            <th scope="col">Day</th>
            <th scope="col">Cost</th>
            <th scope="col">
              Saved <small>vs no battery</small>
            </th>
            <th scope="col">
              Saved <small>vs inverter alone</small>
            </th>
            <th scope="col">Regret</th>
          </tr>
        </thead>
        <tbody>
          {days.map((day) => (
            <Row key={day.day} day={day} scale={scale} now_ms={now_ms} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Total() {
  const whole = (savings.value?.days ?? []).filter(({ complete }) => complete);
  if (whole.length < 2) return null;
  const noBattery = comparison(sumOf(whole, savedAgainstNoBattery), "without a battery");
  const ownMode = comparison(sumOf(whole, savedAgainstOwnMode), "the inverter's own self-consumption");
  return (
    <p>
      Together in the last {whole.length} whole days: {noBattery}, {ownMode}.
    </p>
  );
}

function skillWords(what: string, skill: number | null, error_w: number | null): string {
  if (!isThere(skill) || !isThere(error_w)) return `${what}: not judged yet`;
  const better = Math.round(skill * 100);
  const than = "than assuming that days repeat";
  const verdict = better === 0 ? "as good as assuming that days repeat" : `${Math.abs(better)} % ${better > 0 ? "better" : "worse"} ${than}`;
  return `${what}: ±${wholeNumber(error_w)} W on average, ${verdict}`;
}

const spanWords = (days: number): string =>
  days < 1.5 ? "one day" : `${wholeNumber(days)} days`;

function Skill() {
  const known = accuracy.value;
  const judged = isThere(known?.days) && known.days >= 1;
  if (known === null || !judged) {
    return <p class="small muted">Forecasts are judged after their first whole day.</p>;
  }
  return (
    <p class="small muted" data-testid="skill">
      Forecasts a day ahead, {spanWords(known.days ?? 0)}.{" "}
      {skillWords("Use", known.load_skill, known.load_mae_w)}. {skillWords("Sun", known.pv_skill, known.pv_mae_w)}.
    </p>
  );
}

export function Money() {
  const now_ms = nowMs.value;
  const days = newestFirst(savings.value?.days ?? []);
  const date = now_ms === null ? "" : isoDate(now_ms, zone.value);
  const lastWhole = days.find(({ complete }) => complete);
  return (
    <section class="card money-card" aria-labelledby="money-title">
      <h2 id="money-title">Money</h2>
      <Today day={days.find(({ day }) => day === date)} />
      {now_ms !== null && days.length > 0 && <Days days={days.slice(0, ROWS)} now_ms={now_ms} />}
      {days.slice(0, ROWS).some(({ complete }) => !complete) && <p class="small muted">* not complete yet</p>}
      <Total />
      {lastWhole !== undefined && now_ms !== null && (
        <p data-testid="regret">
          {capitalised(dayWord(instantOfDate(lastWhole.day, zone.value), now_ms, zone.value))}: {regretSentence(lastWhole)}
        </p>
      )}
      <Skill />
    </section>
  );
}
