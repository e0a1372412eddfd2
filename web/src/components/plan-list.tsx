// What is planned and why: the plan's slots as a few lines a person can follow.

import { useState } from "preact/hooks";
import { capitalised, cents, percent, power } from "../lib/format.ts";
import { ACTIONS } from "../lib/modes.ts";
import { blocks, type Block } from "../lib/plan.ts";
import { dayWord, longDay, timeOfDay } from "../lib/time.ts";
import { nowMs, plan, zone } from "../state/store.ts";

const SHOWN = 7;

function priceRange(low: number, high: number): string {
  return cents(low) === cents(high) ? cents(low) : `${cents(low).slice(0, -3)} to ${cents(high)}`;
}

function title(block: Block): string {
  const words = ACTIONS[block.action];
  const orders = block.action === "buy" || block.action === "sell";
  return orders && block.power_w > 0 ? `${words.title} at ${power(block.power_w)}` : words.title;
}

function Entry({ block, now_ms }: { block: Block; now_ms: number }) {
  const running = block.start_ms <= now_ms;
  const words = ACTIONS[block.action];
  return (
    <li class={`block ${running ? "block-running" : ""}`}>
      <span class={`rail rail-${block.action}`} aria-hidden="true" />
      <div>
        <p class="block-time">
          {running ? "Now" : <time>{timeOfDay(block.start_ms, zone.value)}</time>}
          {running ? " until " : "–"}
          <time>{timeOfDay(block.end_ms, zone.value)}</time>
        </p>
        <h4>{title(block)}</h4>
        <p>{block.reason ? `${capitalised(block.reason)}${/[.!?]$/.test(block.reason) ? "" : "."}` : words.meaning}</p>
        <p class="small muted">
          Grid {priceRange(block.import_low, block.import_high)} · battery then about {percent(block.soc_percent)}
        </p>
      </div>
    </li>
  );
}

interface Day {
  name: string;
  blocks: Block[];
}

function byDay(list: Block[], now_ms: number): Day[] {
  const days: Day[] = [];
  for (const block of list) {
    const start = Math.max(block.start_ms, now_ms);
    const word = dayWord(start, now_ms, zone.value);
    const name = word === "today" || word === "tomorrow" ? capitalised(word) : longDay(start, zone.value);
    const last = days[days.length - 1];
    if (last?.name === name) last.blocks.push(block);
    else days.push({ name, blocks: [block] });
  }
  return days;
}

export function PlanList() {
  const [all, showAll] = useState(false);
  const known = plan.value;
  const now_ms = nowMs.value;
  const list = known === null || now_ms === null ? [] : blocks(known, now_ms);
  const shown = all ? list : list.slice(0, SHOWN);
  return (
    <section class="card plan-card" aria-labelledby="plan-title" data-testid="plan-list">
      <h2 id="plan-title">What is planned, and why</h2>
      {list.length === 0 || now_ms === null ? (
        <p class="muted empty">
          {known === null
            ? "No plan yet. As soon as prices and a forecast are there, the next two days appear here with their reasons."
            : "The last plan is over; a new one is on its way."}
        </p>
      ) : (
        byDay(shown, now_ms).map((day) => (
          <div key={day.name}>
            <h3 class="day-head">{day.name}</h3>
            <ol class="blocks">
              {day.blocks.map((block) => (
                <Entry key={block.start_ms} block={block} now_ms={now_ms} />
              ))}
            </ol>
          </div>
        ))
      )}
      {list.length > SHOWN && (
        <button type="button" class="button" aria-expanded={all} onClick={() => showAll(!all)}>
          {all ? "Show less" : `Show all ${list.length} steps`}
        </button>
      )}
    </section>
  );
}
