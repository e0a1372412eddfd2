// What a person may want to know: a device that went away, a plan that was refused.

import { capitalised } from "../lib/format.ts";
import { inCents } from "../lib/reasons.ts";
import { dayWord, timeOfDay } from "../lib/time.ts";
import { events, nowMs, zone } from "../state/store.ts";
import type { HomeEvent } from "../api/types.ts";
import { Icon } from "./icon.tsx";

const SHOWN = 8;

const LEVELS = new Set(["info", "warning", "error"]);

function when(event: HomeEvent, now_ms: number): string {
  const day = dayWord(event.at_ms, now_ms, zone.value);
  const time = timeOfDay(event.at_ms, zone.value);
  return day === "today" ? time : `${capitalised(day)} ${time}`;
}

function Entry({ event, now_ms }: { event: HomeEvent; now_ms: number }) {
  const level = LEVELS.has(event.level) ? event.level : "info";
  const what = capitalised(event.kind.replaceAll(/[_-]/g, " "));
  return (
    <li class={`event event-${level}`}>
      <Icon name={level} />
      <p>
        <b>
          <span class="sr-only">{level}: </span>
          {event.device ? `${what}: ${event.device}` : what}
        </b>{" "}
        {event.text && <span>{inCents(event.text)}</span>}
        <time class="small muted">{when(event, now_ms)}</time>
      </p>
    </li>
  );
}

export function Events() {
  const now_ms = nowMs.value;
  const list = [...(events.value ?? [])].sort((a, b) => b.at_ms - a.at_ms).slice(0, SHOWN);
  return (
    <section class="card events-card" aria-labelledby="events-title" data-testid="events">
      <h2 id="events-title">Recent events</h2>
      {list.length === 0 || now_ms === null ? (
        <p class="muted empty">{events.value === null ? "Waiting for the hub." : "Nothing to report. All is well."}</p>
      ) : (
        <ul class="plain">
          {list.map((event) => (
            <Entry key={`${event.at_ms}|${event.kind}|${event.device ?? ""}`} event={event} now_ms={now_ms} />
          ))}
        </ul>
      )}
    </section>
  );
}
