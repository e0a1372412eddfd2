// One uPlot chart as a component: built anew when its look changes, fed when its data does.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { Span } from "../api/client.ts";
import type { Column } from "../lib/series.ts";
import { theme } from "../state/theme.ts";
import { AXIS_PX, MARGIN_PX } from "./geometry.ts";

export interface LineStyle {
  /** CSS custom property that holds the colour. */
  colour: string;
  width?: number;
  dash?: number[];
  /** Opacity of the area below the line. */
  fill?: number;
  stepped?: boolean;
  hidden?: boolean;
}

export interface PlotProps {
  name: string;
  span: Span;
  ticks: number[];
  width: number;
  height: number;
  times: number[];
  lines: Column[];
  styles: LineStyle[];
  /** Line numbers (from 0) of upper and lower edge of a shaded band. */
  band?: { upper: number; lower: number; colour: string };
  range: (low: number, high: number) => [number, number];
  /** Draws behind the lines. */
  decorate?: (plot: uPlot) => void;
}

export const cssColour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";

/** A hex colour made transparent. */
export function faded(hex: string, opacity: number): string {
  const alpha = Math.round(opacity * 255).toString(16).padStart(2, "0");
  return /^#[0-9a-f]{6}$/i.test(hex) ? `${hex}${alpha}` : hex;
}

function lineOptions(style: LineStyle): uPlot.Series {
  const colour = cssColour(style.colour);
  const options: uPlot.Series = {
    stroke: colour,
    width: style.hidden ? 0 : (style.width ?? 2),
    points: { show: false },
    spanGaps: false,
  };
  if (style.dash) options.dash = style.dash;
  if (style.fill) options.fill = faded(colour, style.fill);
  if (style.stepped && uPlot.paths.stepped) options.paths = uPlot.paths.stepped({ align: 1 });
  return options;
}

function options(props: PlotProps, ticks: { current: number[] }, decorate: { current: PlotProps["decorate"] }): uPlot.Options {
  const grid = { stroke: cssColour("--grid-line"), width: 1 };
  const built: uPlot.Options = {
    width: props.width,
    height: props.height,
    padding: [8, MARGIN_PX, 4, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false, range: [props.span.start_ms / 1000, props.span.end_ms / 1000] },
      y: { range: (_plot, low, high) => props.range(low ?? 0, high ?? 1) },
    },
    axes: [
      {
        size: 0,
        gap: 0,
        ticks: { show: false },
        grid,
        splits: () => ticks.current.map((at_ms) => at_ms / 1000),
        values: (_plot, splits) => splits.map(() => ""),
      },
      {
        size: AXIS_PX,
        gap: 6,
        ticks: { show: false },
        grid,
        space: 26,
        stroke: cssColour("--muted"),
        font: "12px system-ui, sans-serif",
      },
    ],
    series: [{}, ...props.styles.map(lineOptions)],
    hooks: { drawClear: [(plot) => decorate.current?.(plot)] },
  };
  if (props.band) {
    const { upper, lower, colour } = props.band;
    built.bands = [{ series: [upper + 1, lower + 1], fill: faded(cssColour(colour), 0.22) }];
  }
  return built;
}

export function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const ticks = useRef(props.ticks);
  const decorate = useRef(props.decorate);
  ticks.current = props.ticks;
  decorate.current = props.decorate;
  const data = [props.times.map((at_ms) => at_ms / 1000), ...props.lines] as uPlot.AlignedData;
  const look = theme.value;

  useEffect(() => {
    if (box.current === null) return undefined;
    const made = new uPlot(options(props, ticks, decorate), data, box.current);
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [look, props.span.start_ms, props.span.end_ms]);

  useEffect(() => plot.current?.setSize({ width: props.width, height: props.height }), [props.width, props.height]);
  useEffect(() => plot.current?.setData(data), [props.lines, props.ticks]);

  return <div class="plot" ref={box} data-testid={`plot-${props.name}`} style={{ height: `${props.height}px` }} />;
}
