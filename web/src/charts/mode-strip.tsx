// What is planned for every slot as a coloured strip above the charts.

import type { Span } from "../api/client.ts";
import { ACTIONS, type Action } from "../lib/modes.ts";
import { byAction, type Block } from "../lib/plan.ts";
import { timeOfDay } from "../lib/time.ts";
import { zone } from "../state/store.ts";
import { xOf } from "./geometry.ts";

/** Room a label needs before it is left out [px]. */
const roomFor = (text: string): number => text.length * 7 + 10;

export function ModeStrip({ list, span, width }: { list: Block[]; span: Span; width: number }) {
  const shown = byAction(list).filter((block) => block.end_ms > span.start_ms && block.start_ms < span.end_ms);
  return (
    <div class="strip" data-testid="mode-strip" aria-hidden="true">
      {shown.map((block) => {
        const left = xOf(Math.max(block.start_ms, span.start_ms), span, width);
        const right = xOf(Math.min(block.end_ms, span.end_ms), span, width);
        const words = ACTIONS[block.action];
        const about = `${timeOfDay(block.start_ms, zone.value)}–${timeOfDay(block.end_ms, zone.value)} ${words.title}`;
        return (
          <span
            key={block.start_ms}
            class={`piece mode-${block.action}`}
            style={{ left: `${left}px`, width: `${Math.max(1, right - left - 1)}px` }}
            title={about}
          >
            {right - left > roomFor(words.short) ? words.short : ""}
          </span>
        );
      })}
    </div>
  );
}

/** What the colours of the strip mean; only what is planned. */
export function ModeKey({ list }: { list: Block[] }) {
  const used = (Object.keys(ACTIONS) as Action[]).filter((action) => list.some((block) => block.action === action));
  if (used.length === 0) return null;
  return (
    <ul class="key" aria-label="Colours of what is planned">
      {used.map((action) => (
        <li key={action}>
          <i class={`mode-${action}`} aria-hidden="true" />
          {ACTIONS[action].title}
        </li>
      ))}
    </ul>
  );
}
