// What stands between the page and the truth: the hub away, the home silent, a plan that ran out, watching only.

import { ageText, timeOfDay, dayWord } from "../lib/time.ts";
import { planHealth } from "../lib/plan.ts";
import { retryNow } from "../state/refresh.ts";
import { current, home, homeIsSilent, link, nowMs, plan, zone } from "../state/store.ts";
import { Icon } from "./icon.tsx";

function HubAway() {
  if (link.value.state !== "away") return null;
  void nowMs.value; // drawn anew each second, for the countdown
  const seconds = Math.max(0, Math.ceil((link.value.retryAt - performance.now()) / 1000));
  return (
    <div class="banner banner-error" role="alert" data-testid="hub-away">
      <Icon name="error" />
      <p>
        <b>The hub does not answer.</b> Your home goes on by itself; the values here are the last ones known.{" "}
        <span aria-hidden="true">Trying again in {seconds} s.</span>
      </p>
      <button type="button" class="button" onClick={retryNow}>
        Try now
      </button>
    </div>
  );
}

function since(at_ms: number | null, now_ms: number): string {
  if (at_ms === null) return "";
  const word = dayWord(at_ms, now_ms, zone.value);
  const day = word === "today" ? "" : `${word} `;
  return ` since ${day}${timeOfDay(at_ms, zone.value)} (${ageText(now_ms - at_ms)})`;
}

function HomeSilent() {
  const state = current.value?.state;
  const now_ms = nowMs.value;
  if (!homeIsSilent.value || now_ms === null) return null;
  const when = since(current.value?.at_ms ?? null, now_ms);
  return (
    <div class="banner banner-error" role="alert" data-testid="agent-lost">
      <Icon name="error" />
      {state === "stopped" ? (
        <p>
          <b>The agent in your home was stopped{when}.</b> The battery runs in the inverter's own mode until it is
          started again; the values here are the last ones known.
        </p>
      ) : (
        <p>
          <b>No contact with your home{when}.</b> The battery runs in the inverter's own mode or on the last plan.
          Readings are kept in the home and arrive when it is back; the values here are the last ones known.
        </p>
      )}
    </div>
  );
}

function PlanRanOut() {
  const known = plan.value;
  const now_ms = nowMs.value;
  if (known === null || now_ms === null || planHealth(known, now_ms) !== "stale") return null;
  return (
    <div class="banner banner-warning" role="status">
      <Icon name="warning" />
      <p>
        <b>The plan ended{since(known.valid_until_ms, now_ms).replace(" since", "")}.</b> The battery covers the house
        and takes surplus sun until a new plan arrives.
      </p>
    </div>
  );
}

function WatchingOnly() {
  const devices = home.value?.devices ?? [];
  const steerable = devices.filter(({ kind }) => kind === "hybrid_inverter" || kind === "battery");
  if (steerable.length === 0 || steerable.some(({ controlled }) => controlled !== false)) return null;
  return (
    <div class="banner banner-info" role="status" data-testid="watching-only">
      <Icon name="info" />
      <p>
        <b>Watching only.</b> Hearth measures and plans, and does not steer the battery yet.
      </p>
    </div>
  );
}

export function Banners() {
  return (
    <div class="banners">
      <HubAway />
      <HomeSilent />
      <PlanRanOut />
      <WatchingOnly />
    </div>
  );
}
