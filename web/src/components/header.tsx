import { dayAndMonth, timeOfDay } from "../lib/time.ts";
import { speed } from "../state/clock.ts";
import { chooseHome } from "../state/refresh.ts";
import { home, homeId, homes, link, nowMs, zone } from "../state/store.ts";
import { theme, toggleTheme } from "../state/theme.ts";
import { Icon } from "./icon.tsx";

function HomeName() {
  const list = homes.value ?? [];
  if (list.length > 1) {
    return (
      <select
        class="picker"
        aria-label="Home"
        value={homeId.value ?? ""}
        onChange={(event) => chooseHome(event.currentTarget.value)}
      >
        {list.map((entry) => (
          <option key={entry.home} value={entry.home}>
            {entry.name || entry.home}
          </option>
        ))}
      </select>
    );
  }
  return <span class="home-name">{home.value?.name ?? list[0]?.name ?? ""}</span>;
}

function speedText(factor: number): string {
  return factor === 0 ? "Demo clock paused" : `Demo clock ${Math.round(factor * 10) / 10}×`;
}

const LINK_WORDS = { live: "live", connecting: "connecting", away: "hub away" } as const;

export function Header() {
  const at_ms = nowMs.value;
  const state = link.value.state;
  return (
    <header class="top">
      <h1 class="brand">
        <Icon name="hearth" />
        <span>Hearth</span>
      </h1>
      <HomeName />
      <span class={`link link-${state}`} role="status">
        <i aria-hidden="true" />
        {LINK_WORDS[state]}
      </span>
      <div class="top-right">
        {speed.value !== 1 && (
          <span class="badge" data-testid="demo-clock">
            {speedText(speed.value)}
          </span>
        )}
        {at_ms !== null && home.value?.timezone && (
          <time class="clock" dateTime={new Date(at_ms).toISOString()} title={`Time at home (${zone.value})`}>
            <span class="clock-day">{dayAndMonth(at_ms, zone.value)}</span> <b>{timeOfDay(at_ms, zone.value)}</b>
          </time>
        )}
        <button
          type="button"
          class="icon-button"
          onClick={toggleTheme}
          aria-label={theme.value === "dark" ? "Use light colours" : "Use dark colours"}
        >
          <Icon name={theme.value === "dark" ? "sun" : "moon"} />
        </button>
      </div>
    </header>
  );
}
