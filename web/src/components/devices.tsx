// Who measures, and when each was last heard: the small print at the end of the page.

import { isThere } from "../lib/format.ts";
import { ageText, MINUTE_MS } from "../lib/time.ts";
import { speed } from "../state/clock.ts";
import { current, home, nowMs } from "../state/store.ts";

const KINDS: Record<string, string> = {
  grid_meter: "Grid meter",
  pv: "Solar inverter",
  battery: "Battery",
  hybrid_inverter: "Inverter and battery",
  ev_charger: "Car charger",
  heat_pump: "Heat pump",
  water_heater: "Water heater",
  appliance: "Appliance",
};

// a device that has not been heard for this long by the home's clock is worth a look
const LATE_MS = 3 * MINUTE_MS;
// what a live event takes to get here, real time; a fast clock makes much of it
const DELIVERY_MS = 3_000;

export function Devices() {
  const now_ms = nowMs.value;
  const devices = current.value?.devices ?? [];
  if (devices.length === 0) return null;
  const facts = new Map(home.value?.devices.map((device) => [device.device, device]));
  return (
    <section class="devices" aria-label="Devices">
      <ul>
        {devices.map((device) => {
          const known = facts.get(device.device);
          const age = isThere(device.at_ms) && now_ms !== null ? Math.max(0, now_ms - device.at_ms) : null;
          const late = age === null || age > Math.max(LATE_MS, speed.value * DELIVERY_MS);
          const name = [known?.manufacturer, known?.model].filter(Boolean).join(" ");
          return (
            <li key={device.device} class={late ? "late" : ""} data-testid={`device-${device.device}`}>
              <i aria-hidden="true" />
              <span>
                {KINDS[device.kind ?? ""] ?? device.device}
                {name && <span class="muted"> {name}</span>}
              </span>
              <span class="muted">{age === null ? "never heard" : late ? `silent for ${ageText(age)}` : "answers"}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
