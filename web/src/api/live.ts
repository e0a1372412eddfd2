// The live stream of one home: reconnects by itself with growing pauses, and notices a connection that has gone
// silent (a sleeping laptop, a proxy that swallows the end), which the browser alone does not.

import type { Now } from "./types.ts";

/** The hub sends about one event a second; so long a silence means that nobody is there any more. */
const SILENCE_MS = 12_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/** The pause before attempt `attempt` (1 = first retry): doubling, capped, spread so that pages do not return as one. */
export function pauseMs(attempt: number, random: number = Math.random()): number {
  const full = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
  return full * (0.75 + 0.5 * random);
}

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  /** `retryAt` is on the scale of performance.now(). */
  | { state: "away"; attempt: number; retryAt: number };

export interface LiveHandlers {
  onLink: (link: Link) => void;
  onNow: (now: Now) => void;
  onPlan: () => void;
}

export class LiveStream {
  private source: EventSource | null = null;
  private attempt = 0;
  private retryTimer: number | undefined;
  private silenceTimer: number | undefined;

  constructor(
    private readonly where: string,
    private readonly handlers: LiveHandlers,
  ) {
    this.open();
  }

  /** Try again at once, for a person who does not want to wait. */
  retry(): void {
    if (this.source !== null) return;
    window.clearTimeout(this.retryTimer);
    this.open();
  }

  close(): void {
    window.clearTimeout(this.retryTimer);
    window.clearTimeout(this.silenceTimer);
    this.source?.close();
    this.source = null;
  }

  private open(): void {
    this.handlers.onLink({ state: "connecting" });
    const source = new EventSource(this.where);
    this.source = source;
    source.addEventListener("now", (event) => {
      this.alive();
      this.handlers.onNow(JSON.parse(event.data) as Now);
    });
    source.addEventListener("plan", () => {
      this.alive();
      this.handlers.onPlan();
    });
    source.onopen = () => this.alive();
    source.onerror = () => this.fail();
    this.listen();
  }

  private alive(): void {
    this.attempt = 0;
    this.handlers.onLink({ state: "live" });
    this.listen();
  }

  private listen(): void {
    window.clearTimeout(this.silenceTimer);
    this.silenceTimer = window.setTimeout(() => this.fail(), SILENCE_MS);
  }

  private fail(): void {
    window.clearTimeout(this.silenceTimer);
    this.source?.close();
    this.source = null;
    this.attempt += 1;
    const pause = pauseMs(this.attempt);
    this.handlers.onLink({ state: "away", attempt: this.attempt, retryAt: performance.now() + pause });
    this.retryTimer = window.setTimeout(() => this.open(), pause);
  }
}
