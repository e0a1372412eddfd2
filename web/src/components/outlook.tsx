// The plan in one breath: its headline, what the battery does now and why, and what could not be fulfilled.

import { capitalised } from "../lib/format.ts";
import { inCents } from "../lib/reasons.ts";
import { ACTIONS, actionOf } from "../lib/modes.ts";
import { blocks, byAction, planHealth, slotAction, slotAt } from "../lib/plan.ts";
import { dayWord, timeOfDay } from "../lib/time.ts";
import { current, forecast, nowMs, plan, prices, zone } from "../state/store.ts";
import type { Maybe, Plan } from "../api/types.ts";
import { Icon } from "./icon.tsx";

const NEXT = 4;

const hasPrices = (column: Maybe[] | undefined): boolean => column?.some((value) => value !== null) ?? false;

function Step({ done, text, wait }: { done: boolean; text: string; wait: string }) {
  return (
    <li class={done ? "step step-done" : "step"}>
      <Icon name={done ? "check" : "wait"} />
      <span>{done ? text : wait}</span>
    </li>
  );
}

/** The first minute after a start: what is there already and what is still on its way. */
function Starting() {
  const reading = current.value !== null && Object.values(current.value.flows).some((value) => value !== null);
  return (
    <section class="card outlook" aria-labelledby="outlook" data-testid="starting">
      <h2 id="outlook">The first plan is on its way</h2>
      <p class="muted">Until it is here, the battery takes surplus sun and covers the house, as it would by itself.</p>
      <ul class="steps">
        <Step done={reading} text="Live values arrive" wait="Waiting for the first values of your devices" />
        <Step done={hasPrices(prices.value?.import_eur_per_kwh)} text="Prices are known" wait="Waiting for prices" />
        <Step done={forecast.value !== null} text="Sun and use are forecast" wait="Waiting for a forecast of sun and use" />
        <Step done={plan.value !== null} text="The plan is ready" wait="Then the plan for today and tomorrow is made" />
      </ul>
    </section>
  );
}

function Doing() {
  const mode = current.value?.mode;
  if (!mode) return null;
  // by the plan's expectation rather than this second's flows, or each passing cloud would change the word
  const slot = plan.value === null || nowMs.value === null ? null : slotAt(plan.value, nowMs.value);
  const action = slot?.mode === mode ? slotAction(slot) : actionOf(mode, null);
  const words = ACTIONS[action];
  const reason = current.value?.reason;
  return (
    <p class="doing" data-testid="doing">
      <span class={`mode-chip mode-${action}`}>{words.title}</span>
      <span>{reason ? capitalised(inCents(reason)) : words.meaning}</span>
    </p>
  );
}

function BrokenWishes({ wishes }: { wishes: string[] }) {
  if (wishes.length === 0) return null;
  return (
    <div class="wishes" data-testid="broken-wishes">
      <h3>What this plan cannot fulfil</h3>
      <ul>
        {wishes.map((wish) => (
          <li key={wish}>{capitalised(inCents(wish))}</li>
        ))}
      </ul>
    </div>
  );
}

/** The next changes of what the battery does, one line each. */
function Next({ plan: known, now_ms }: { plan: Plan; now_ms: number }) {
  const coming = byAction(blocks(known, now_ms))
    .filter(({ start_ms }) => start_ms > now_ms)
    .slice(0, NEXT);
  if (coming.length === 0) return null;
  return (
    <ol class="next" aria-label="Next changes">
      {coming.map(({ start_ms, action }) => (
        <li key={start_ms}>
          <span class={`rail rail-${action}`} aria-hidden="true" />
          <time>{timeOfDay(start_ms, zone.value)}</time>
          <span>{ACTIONS[action].title}</span>
        </li>
      ))}
    </ol>
  );
}

export function Outlook() {
  const known = plan.value;
  const now_ms = nowMs.value;
  if (known === null || now_ms === null) return <Starting />;
  const stale = planHealth(known, now_ms) === "stale";
  return (
    <section class="card outlook" aria-labelledby="outlook">
      <p class="eyebrow">{stale ? "The last plan" : "What happens next"}</p>
      <h2 id="outlook" data-testid="headline">
        {inCents(known.headline ?? "") || "The plan for today and tomorrow"}
      </h2>
      <Doing />
      {known.policy === "rule" && (
        <p class="muted">Lately the inverter's own self-consumption earned as much as planning would have, so that runs.</p>
      )}
      <BrokenWishes wishes={known.broken_wishes ?? []} />
      <Next plan={known} now_ms={now_ms} />
      <p class="small muted">
        Planned {dayWord(known.issued_ms, now_ms, zone.value)} at{" "}
        {timeOfDay(known.issued_ms, zone.value)}
      </p>
    </section>
  );
}
