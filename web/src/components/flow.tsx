// The live power flow. Lines carry moving dots the way the power runs, thicker and faster with more of it; an arrow head
// tells the direction to those who want no motion.

import type { Flows, Maybe } from "../api/types.ts";
import { direction, directionWord, ownShare, sources, thickness, travelSeconds, type Node } from "../lib/flows.ts";
import { isThere, kilowatts, percent, power } from "../lib/format.ts";
import { ageText } from "../lib/time.ts";
import { current, home, isFresh, lastMeasured, nowMs } from "../state/store.ts";
import { iconPath } from "./icon.tsx";

interface Place {
  node: Node;
  flow: keyof Flows;
  label: string;
  x: number;
  y: number;
  /** Kinds of device that measure it. */
  kinds: string[];
}

const HOUSE = { x: 240, y: 268, radius: 62 };
const RADIUS = 51;
const PLACES: Place[] = [
  { node: "pv", flow: "pv_w", label: "Sun", x: 240, y: 96, kinds: ["hybrid_inverter", "pv"] },
  { node: "grid", flow: "grid_w", label: "Grid", x: 58, y: 268, kinds: ["grid_meter"] },
  { node: "battery", flow: "battery_w", label: "Battery", x: 240, y: 440, kinds: ["hybrid_inverter", "battery"] },
  { node: "ev", flow: "ev_w", label: "Car", x: 420, y: 152, kinds: ["ev_charger"] },
  { node: "heat_pump", flow: "heat_pump_w", label: "Heat pump", x: 420, y: 372, kinds: ["heat_pump"] },
];

/** A part of the home is drawn when it is installed, or has a value. */
function isInstalled(place: Place, flows: Flows | undefined): boolean {
  if (isThere(flows?.[place.flow])) return true;
  const kinds: (string | null)[] = home.value?.devices.map(({ kind }) => kind) ?? [];
  if (place.node === "battery") return home.value === null || home.value.battery !== null;
  return place.kinds.some((kind) => kinds.includes(kind));
}

function missingText(place: { flow: keyof Flows; kinds: string[] }): string {
  // the hub shows a value for some minutes after its device fell silent, so the older of the two instants is the true one
  const device = current.value?.devices.find(({ kind }) => place.kinds.includes(kind ?? ""));
  const known = [lastMeasured.value[place.flow], device?.at_ms].filter(isThere);
  const at_ms = known.length > 0 ? Math.min(...known) : null;
  if (!isThere(at_ms) || nowMs.value === null) return "no reading";
  return `none for ${ageText(nowMs.value - at_ms)}`;
}

/** Durations in coarse steps, because the dots jump when one changes. */
const steady = (seconds: number): number => 1.4 ** Math.round(Math.log(seconds) / Math.log(1.4));

function Line({ place, power_w }: { place: Place; power_w: Maybe }) {
  const way = direction(place.node, power_w);
  const dx = HOUSE.x - place.x;
  const dy = HOUSE.y - place.y;
  const length = Math.hypot(dx, dy);
  const [ux, uy] = [dx / length, dy / length];
  const from = { x: place.x + ux * (RADIUS + 5), y: place.y + uy * (RADIUS + 5) };
  const to = { x: HOUSE.x - ux * (HOUSE.radius + 9), y: HOUSE.y - uy * (HOUSE.radius + 9) };
  const d = `M${from.x} ${from.y}L${to.x} ${to.y}`;
  if (way === "idle" || way === "missing") return <path d={d} class={`line line-${way}`} />;
  const width = thickness(power_w as number);
  const angle = (Math.atan2(uy, ux) * 180) / Math.PI + (way === "in" ? 0 : 180);
  const middle = `translate(${(from.x + to.x) / 2} ${(from.y + to.y) / 2}) rotate(${angle})`;
  return (
    <g class={`flow flow-${place.node}`} data-way={way} data-node={place.node}>
      <path d={d} class="line-body" style={{ strokeWidth: `${width}px` }} />
      <path
        d={d}
        class={`line-dots line-${way}`}
        style={{
          strokeWidth: `${Math.max(4, width * 0.7)}px`,
          animationDuration: `${steady(travelSeconds(power_w as number)).toFixed(2)}s`,
        }}
      />
      <path class="arrow" transform={middle} d="M-7 -9 8 0 -7 9Z" />
    </g>
  );
}

function Ring({ x, y, radius, share, offset, tone }: Record<"x" | "y" | "radius" | "share" | "offset", number> & { tone: string }) {
  const around = 2 * Math.PI * radius;
  return (
    <circle
      cx={x}
      cy={y}
      r={radius}
      class={`ring ring-${tone}`}
      stroke-dasharray={`${share * around} ${around}`}
      transform={`rotate(${-90 + offset * 360} ${x} ${y})`}
    />
  );
}

function Spot({ place, power_w }: { place: Place; power_w: Maybe }) {
  const { x, y, node, label } = place;
  const way = direction(node, power_w);
  const soc = current.value?.soc_percent;
  const isBattery = node === "battery";
  const numberY = isBattery ? y : y + 4;
  // the line of the topmost part leaves downwards, so its caption stands above
  const captionY = y < HOUSE.y - 150 ? y - RADIUS - 28 : y + RADIUS + 22;
  return (
    <g class={`spot spot-${node} spot-${way}`} data-testid={`flow-${node}`}>
      <circle cx={x} cy={y} r={RADIUS} class="disc" />
      {isBattery && isThere(soc) && <Ring x={x} y={y} radius={RADIUS} share={soc / 100} offset={0} tone="battery" />}
      <path d={iconPath(node)} class="glyph" transform={`translate(${x - 10} ${y - 45}) scale(0.833)`} />
      <text x={x} y={numberY} class="number">
        {kilowatts(power_w)}
      </text>
      <text x={x} y={numberY} dy="1.05em" class="unit">
        {isThere(power_w) ? "kW" : ""}
      </text>
      {isBattery && (
        <text x={x} y={y + 42} class="soc">
          {percent(soc)}
        </text>
      )}
      <text x={x} y={captionY} class="label">
        {label}
      </text>
      <text x={x} y={captionY + 19} class="word">
        {isThere(power_w) ? directionWord(node, power_w) : missingText(place)}
      </text>
    </g>
  );
}

function HouseSpot({ flows }: { flows: Flows }) {
  let turned = 0;
  const house = flows.house_w;
  return (
    <g class="spot spot-house" data-testid="flow-house">
      <circle cx={HOUSE.x} cy={HOUSE.y} r={HOUSE.radius} class="disc" />
      {sources(flows).map(({ source, share }) => {
        const offset = turned;
        turned += share;
        return <Ring key={source} {...HOUSE} share={share} offset={offset} tone={source} />;
      })}
      <path d={iconPath("house")} class="glyph" transform={`translate(${HOUSE.x - 12} ${HOUSE.y - 53})`} />
      <text x={HOUSE.x} y={HOUSE.y + 4} class="number number-house">
        {kilowatts(house)}
      </text>
      <text x={HOUSE.x} y={HOUSE.y + 4} dy="1.1em" class="unit">
        {isThere(house) ? "kW" : missingText({ flow: "house_w", kinds: ["grid_meter"] })}
      </text>
      <text x={HOUSE.x} y={HOUSE.y + 48} class="label">
        House
      </text>
    </g>
  );
}

const NOTHING: Flows = {
  grid_w: null,
  pv_w: null,
  battery_w: null,
  house_w: null,
  ev_w: null,
  heat_pump_w: null,
  load_w: null,
};

/** The picture in words. */
function description(places: Place[], flows: Flows): string {
  const parts = places.map((place) => {
    const value = flows[place.flow];
    const words = isThere(value) ? `${power(value)} ${directionWord(place.node, value)}` : missingText(place);
    return `${place.label}: ${words}`;
  });
  return [`House: ${power(flows.house_w)}`, ...parts, `Charge: ${percent(current.value?.soc_percent)}`].join(". ");
}

function Sentence({ flows }: { flows: Flows }) {
  if (!Object.values(flows).some(isThere)) return <p class="muted">Waiting for the first values.</p>;
  if (!isThere(flows.load_w)) return <p class="muted">Some values are missing.</p>;
  const own = ownShare(flows);
  return (
    <p class="muted" data-testid="flow-sentence">
      {isFresh.value ? "The home uses " : "Last known: the home used "}
      <b>{power(flows.load_w)}</b>
      {own === null ? "." : own > 0.995 ? ", all of it your own power." : `, ${percent(own * 100)} of it your own power.`}
    </p>
  );
}

export function FlowCard() {
  const flows = current.value?.flows ?? NOTHING;
  const places = PLACES.filter((place) => isInstalled(place, current.value?.flows));
  return (
    <section class={`card flow-card ${isFresh.value ? "" : "is-still"}`} aria-labelledby="flow-title">
      <div class="card-head">
        <h2 id="flow-title">Right now</h2>
        <Sentence flows={flows} />
      </div>
      <svg class="flow-svg" viewBox="0 0 480 536" role="img" aria-label={description(places, flows)}>
        {places.map((place) => (
          <Line key={place.node} place={place} power_w={flows[place.flow]} />
        ))}
        {places.map((place) => (
          <Spot key={place.node} place={place} power_w={flows[place.flow]} />
        ))}
        <HouseSpot flows={flows} />
      </svg>
    </section>
  );
}
