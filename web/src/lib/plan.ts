// A plan's slots as the few blocks a person can follow.

import type { Plan, Slot } from "../api/types.ts";
import { actionOf, type Action } from "./modes.ts";
import { combined, withoutPrices } from "./reasons.ts";

export interface Block {
  start_ms: number;
  end_ms: number;
  action: Action;
  reason: string;
  /** Mean of the ordered powers, for modes that order one [W]. */
  power_w: number;
  /** Expected when the block ends. */
  soc_percent: number;
  import_low: number;
  import_high: number;
  export_low: number;
  export_high: number;
}

/** What a slot comes to with the sun and use expected in it. */
export const slotAction = (slot: Slot): Action =>
  actionOf(slot.mode, { net_w: slot.load_w - slot.pv_w, battery_w: slot.battery_w });

function blockOf(slots: Slot[], end_ms: number): Block {
  const first = slots[0] as Slot;
  const last = slots[slots.length - 1] as Slot;
  const column = (read: (slot: Slot) => number): number[] => slots.map(read);
  const imports = column((slot) => slot.import_eur_per_kwh);
  const exports = column((slot) => slot.export_eur_per_kwh);
  return {
    start_ms: first.start_ms,
    end_ms,
    action: slotAction(first),
    reason: combined(slots.map((slot) => slot.reason)),
    power_w: column((slot) => slot.power_w).reduce((sum, value) => sum + value, 0) / slots.length,
    soc_percent: last.soc_percent,
    import_low: Math.min(...imports),
    import_high: Math.max(...imports),
    export_low: Math.min(...exports),
    export_high: Math.max(...exports),
  };
}

/** When slot `index` ends: where the next begins, because the first slot of a plan may be a partial one. */
export function slotEnd(plan: Plan, index: number): number {
  return plan.slots[index + 1]?.start_ms ?? (plan.slots[index]?.start_ms ?? 0) + plan.step_s * 1000;
}

const isAlike = (one: Slot, other: Slot): boolean =>
  slotAction(one) === slotAction(other) && withoutPrices(one.reason) === withoutPrices(other.reason);

/** Consecutive slots with the same action and reason (but for its prices) become one block; blocks that ended before `from_ms` are left out. */
export function blocks(plan: Plan, from_ms: number): Block[] {
  const merged: Block[] = [];
  let run: Slot[] = [];
  plan.slots.forEach((slot, index) => {
    run.push(slot);
    const next = plan.slots[index + 1];
    if (next !== undefined && isAlike(slot, next)) return;
    merged.push(blockOf(run, slotEnd(plan, index)));
    run = [];
  });
  return merged.filter((block) => block.end_ms > from_ms);
}

/** Neighbours of one action drawn as one piece, whatever their reasons. */
export function byAction(list: Block[]): Block[] {
  const merged: Block[] = [];
  for (const block of list) {
    const last = merged[merged.length - 1];
    if (last !== undefined && last.action === block.action && last.end_ms === block.start_ms) last.end_ms = block.end_ms;
    else merged.push({ ...block });
  }
  return merged;
}

/** The slot that covers an instant. */
export function slotAt(plan: Plan, at_ms: number): Slot | null {
  const index = plan.slots.findIndex((slot, i) => slot.start_ms <= at_ms && at_ms < slotEnd(plan, i));
  return plan.slots[index] ?? null;
}

export type PlanHealth = "none" | "current" | "stale";

export function planHealth(plan: Plan | null, now_ms: number): PlanHealth {
  if (plan === null || plan.slots.length === 0) return "none";
  return now_ms < plan.valid_until_ms ? "current" : "stale";
}

/** Expected state of charge over time: each slot runs straight from the end of the one before to its own end. */
export function plannedSoc(plan: Plan, times: readonly number[], startSoc: number | null): (number | null)[] {
  let index = 0;
  return times.map((at_ms) => {
    while (index < plan.slots.length && at_ms >= slotEnd(plan, index)) index += 1;
    const slot = plan.slots[index];
    if (slot === undefined || at_ms < slot.start_ms) return null;
    const from = plan.slots[index - 1]?.soc_percent ?? startSoc ?? slot.soc_percent;
    const share = (at_ms - slot.start_ms) / (slotEnd(plan, index) - slot.start_ms);
    return from + (slot.soc_percent - from) * share;
  });
}
