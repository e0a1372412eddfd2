// The home's "now". The hub's clock may run fast (a demo lives a day in minutes), so the browser's own is never asked:
// between two answers of the hub, time moves on at the hub's speed.

import { computed, signal } from "@preact/signals";
import { api } from "../api/client.ts";

interface Anchor {
  home_ms: number;
  /** On the scale of performance.now(). */
  page_ms: number;
  speed: number;
}

const anchor = signal<Anchor | null>(null);
/** Grows once a second, so that whatever shows time is drawn anew. */
const beat = signal(0);

export const speed = computed(() => anchor.value?.speed ?? 1);

/** The home's time at a moment of the page's own timer. */
export function homeTime(from: Anchor, page_ms: number): number {
  return from.home_ms + (page_ms - from.page_ms) * from.speed;
}

/** Now at the home [ms]; null until the hub has said it once. */
export const now = computed<number | null>(() => {
  void beat.value;
  return anchor.value === null ? null : homeTime(anchor.value, performance.now());
});

/** Ask the hub for the time. */
export async function syncClock(): Promise<void> {
  const asked = performance.now();
  const answer = await api.clock();
  const middle = (asked + performance.now()) / 2;
  anchor.value = { home_ms: answer.now_ms, page_ms: middle, speed: answer.speed };
}

export function tickClock(): void {
  beat.value += 1;
}
