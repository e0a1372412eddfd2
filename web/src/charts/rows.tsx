// The charts: each a heading that doubles as legend and readout, and a plot below it.

import { useMemo } from "preact/hooks";
import type uPlot from "uplot";
import type { Span } from "../api/client.ts";
import { DASH, isThere } from "../lib/format.ts";
import { hasValues, type Column } from "../lib/series.ts";
import type { Columns, Expectation } from "./columns.ts";
import { xOf } from "./geometry.ts";
import { Plot } from "./plot.tsx";

interface Shared {
  span: Span;
  ticks: number[];
  width: number;
  times: number[];
  /** Which grid point is read out. */
  index: number;
}

interface Item {
  label: string;
  value: string;
  colour: string;
  look: "line" | "dash" | "band";
}

const fixed = (value: number | null | undefined, digits: number): string =>
  isThere(value) ? value.toFixed(digits).replace("-", "−") : DASH;

function Heading({ title, unit, items }: { title: string; unit: string; items: Item[] }) {
  return (
    <div class="row-head">
      <h3>
        {title} <span class="muted">{unit}</span>
      </h3>
      <ul class="legend">
        {items.map((item) => (
          <li key={item.label}>
            <i class={`swatch swatch-${item.look}`} style={{ color: `var(${item.colour})` }} aria-hidden="true" />
            {item.label} <b>{item.value}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Room above the highest value, and always a little of a scale. */
const fromZero =
  (least: number) =>
  (low: number, high: number): [number, number] => [Math.min(0, low * 1.1), Math.max(least, high * 1.1)];

/** The instant after which a column has no more values; null when it has none at all. */
function endOf(times: readonly number[], column: Column): number | null {
  for (let index = column.length - 1; index >= 0; index -= 1) {
    if (column[index] !== null) return times[index + 1] ?? null;
  }
  return null;
}

function Unpublished({ data, span, width }: { data: Columns; span: Span; width: number }) {
  const end = endOf(data.times, data.importCents);
  if (end === null || end >= span.end_ms - 3_600_000) return null;
  const left = xOf(end, span, width);
  return (
    <span class="unpublished" style={{ left: `${left}px`, width: `${xOf(span.end_ms, span, width) - left}px` }}>
      not published yet
    </span>
  );
}

const NO_PRICES = "No prices yet";

export function PriceChart({ data, ...shared }: Shared & { data: Columns }) {
  const lines = useMemo(() => [data.importCents, data.exportCents], [data]);
  const known = hasValues(data.importCents);
  return (
    <div class="row" data-testid="row-price">
      <Heading
        title="Price"
        unit="ct/kWh"
        items={[
          { label: "buying", value: fixed(data.importCents[shared.index], 1), colour: "--grid", look: "line" },
          { label: "selling", value: fixed(data.exportCents[shared.index], 1), colour: "--sell", look: "dash" },
        ]}
      />
      <div class="plot-box">
        <Plot
          name="price"
          {...shared}
          height={112}
          lines={lines}
          styles={[
            { colour: "--grid", stepped: true, fill: 0.1 },
            { colour: "--sell", stepped: true, dash: [5, 4] },
          ]}
          range={fromZero(10)}
        />
        {known ? <Unpublished data={data} span={shared.span} width={shared.width} /> : <p class="nothing">{NO_PRICES}</p>}
      </div>
    </div>
  );
}

interface PowerProps extends Shared {
  name: string;
  title: string;
  colour: string;
  actual: Column;
  expected: Expectation;
}

export function PowerChart({ name, title, colour, actual, expected, ...shared }: PowerProps) {
  const lines = useMemo(
    () => [expected.high, expected.low, expected.middle, actual],
    [expected.high, expected.low, expected.middle, actual],
  );
  const at = (column: Column): number | null => column[shared.index] ?? null;
  const band = isThere(at(expected.low)) ? ` (${fixed(at(expected.low), 1)}–${fixed(at(expected.high), 1)})` : "";
  return (
    <div class="row" data-testid={`row-${name}`}>
      <Heading
        title={title}
        unit="kW"
        items={[
          { label: "measured", value: fixed(at(actual), 2), colour, look: "line" },
          { label: "expected", value: `${fixed(at(expected.middle), 2)}${band}`, colour, look: "dash" },
        ]}
      />
      <div class="plot-box">
        <Plot
          name={name}
          {...shared}
          height={112}
          lines={lines}
          band={{ upper: 0, lower: 1, colour }}
          styles={[
            { colour, hidden: true },
            { colour, hidden: true },
            { colour, width: 1.5, dash: [5, 4] },
            { colour, fill: 0.16 },
          ]}
          range={fromZero(1)}
        />
        {!hasValues(actual) && !hasValues(expected.middle) && <p class="nothing">No readings and no forecast yet</p>}
      </div>
    </div>
  );
}

export function SocChart({ data, decorate, ...shared }: Shared & { data: Columns; decorate: (plot: uPlot) => void }) {
  const lines = useMemo(() => [data.socPlanned, data.soc], [data]);
  return (
    <div class="row" data-testid="row-soc">
      <Heading
        title="Battery charge"
        unit="%"
        items={[
          { label: "measured", value: fixed(data.soc[shared.index], 0), colour: "--battery", look: "line" },
          { label: "planned", value: fixed(data.socPlanned[shared.index], 0), colour: "--battery", look: "dash" },
        ]}
      />
      <div class="plot-box">
        <Plot
          name="soc"
          {...shared}
          height={112}
          lines={lines}
          decorate={decorate}
          styles={[
            { colour: "--battery", width: 1.5, dash: [5, 4] },
            { colour: "--battery", fill: 0.12 },
          ]}
          range={() => [0, 100]}
        />
        {!hasValues(data.soc) && !hasValues(data.socPlanned) && <p class="nothing">No charge measured yet</p>}
      </div>
    </div>
  );
}
