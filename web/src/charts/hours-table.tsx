// The charts' figures hour by hour, for those who read rather than look.

import { DASH, isThere } from "../lib/format.ts";
import { ACTIONS } from "../lib/modes.ts";
import { slotAction, slotAt } from "../lib/plan.ts";
import { mean, type Column } from "../lib/series.ts";
import { dayAndMonth, hourTicks, timeOfDay } from "../lib/time.ts";
import type { Span } from "../api/client.ts";
import { plan, zone } from "../state/store.ts";
import { either } from "../lib/series.ts";
import type { Columns } from "./columns.ts";

const fixed = (value: number | null, digits: number): string => (isThere(value) ? value.toFixed(digits) : DASH);

export function HoursTable({ data, span }: { data: Columns; span: Span }) {
  const hours = hourTicks(span.start_ms, span.end_ms - 1, 1, zone.value);
  const load = either(data.load, data.loadExpected.middle);
  const pv = either(data.pv, data.pvExpected.middle);
  const soc = either(data.soc, data.socPlanned);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Figures hour by hour">
      <table class="hours">
        <thead>
          <tr>
            <th scope="col">Hour</th>
            <th scope="col">Buy ct</th>
            <th scope="col">Sell ct</th>
            <th scope="col">Sun kW</th>
            <th scope="col">Use kW</th>
            <th scope="col">Charge %</th>
            <th scope="col">Planned</th>
          </tr>
        </thead>
        <tbody>
          {hours.map((start, index) => {
            const end = hours[index + 1] ?? span.end_ms;
            const of = (column: Column): number | null => mean(data.times, column, start, end);
            const slot = plan.value === null ? null : slotAt(plan.value, start);
            return (
              <tr key={start}>
                <th scope="row">
                  {dayAndMonth(start, zone.value)} {timeOfDay(start, zone.value)}
                </th>
                <td>{fixed(of(data.importCents), 1)}</td>
                <td>{fixed(of(data.exportCents), 1)}</td>
                <td>{fixed(of(pv), 2)}</td>
                <td>{fixed(of(load), 2)}</td>
                <td>{fixed(of(soc), 0)}</td>
                <td>{slot === null ? DASH : ACTIONS[slotAction(slot)].title}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
