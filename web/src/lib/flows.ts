// The arithmetic behind the flow picture: which way each line runs, how thick and fast, and where the power comes from.

import type { Flows, Maybe } from "../api/types.ts";
import { IDLE_W, isThere } from "./format.ts";

export type Node = "pv" | "grid" | "battery" | "ev" | "heat_pump";

/** Towards the house, away from it, nothing, or not known. */
export type Direction = "in" | "out" | "idle" | "missing";

const CONSUMERS: ReadonlySet<Node> = new Set(["ev", "heat_pump"]);

/** The way power runs on a node's line; sources are + into the house, consumers + out of it. */
export function direction(node: Node, power_w: Maybe): Direction {
  if (!isThere(power_w)) return "missing";
  if (Math.abs(power_w) < IDLE_W) return "idle";
  return power_w > 0 !== CONSUMERS.has(node) ? "in" : "out";
}

/** Line thickness for a power: grows with its root, so that 200 W is seen beside 11 kW [px]. */
export function thickness(power_w: number): number {
  return 2 + 8 * Math.sqrt(Math.min(1, Math.abs(power_w) / 11_000));
}

/** Time for the dots to move one gap: proportional to power, within what eyes can follow [s]. */
export function travelSeconds(power_w: number): number {
  const speed = Math.min(5_000, Math.max(100, Math.abs(power_w)));
  return Math.min(3, Math.max(0.35, 1_500 / speed));
}

export interface Share {
  source: "pv" | "battery" | "grid";
  share: number;
}

/** Where the power that is used or stored now comes from; the shares sum to 1, empty when a source is not known. */
export function sources(flows: Flows): Share[] {
  const given = [flows.pv_w, flows.battery_w, flows.grid_w];
  if (!given.every(isThere)) return [];
  const [pv, battery, grid] = given.map((value) => Math.max(0, value as number)) as [number, number, number];
  const total = pv + battery + grid;
  if (total < IDLE_W) return [];
  const shares: Share[] = [
    { source: "pv", share: pv / total },
    { source: "battery", share: battery / total },
    { source: "grid", share: grid / total },
  ];
  return shares.filter(({ share }) => share > 0.001);
}

/** The share of the home's use that does not come from the grid now, 0..1; null when not known or nothing is used. */
export function ownShare(flows: Flows): number | null {
  if (!isThere(flows.load_w) || !isThere(flows.grid_w) || flows.load_w < IDLE_W) return null;
  return Math.min(1, Math.max(0, 1 - Math.max(0, flows.grid_w) / flows.load_w));
}

const WORDS: Record<Node, { in: string; out: string; idle: string }> = {
  pv: { in: "producing", out: "drawing", idle: "resting" },
  grid: { in: "buying", out: "selling", idle: "idle" },
  battery: { in: "discharging", out: "charging", idle: "resting" },
  ev: { in: "giving back", out: "charging", idle: "not charging" },
  heat_pump: { in: "giving back", out: "running", idle: "off" },
};

/** What a consumer draws while it waits [W]. */
const STANDBY_W = 40;

export function directionWord(node: Node, power_w: Maybe): string {
  const way = direction(node, power_w);
  if (way === "missing") return "no reading";
  if (way === "out" && CONSUMERS.has(node) && (power_w as number) < STANDBY_W) return "standby";
  return WORDS[node][way];
}
