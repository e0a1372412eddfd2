// Where time lies on the page: all charts share the same left axis and right margin, so one ruler fits them all.

import type { Span } from "../api/client.ts";

export const AXIS_PX = 40;
export const MARGIN_PX = 8;

/** Distance of an instant from the left edge of a chart of some width [px]. */
export function xOf(at_ms: number, span: Span, width_px: number): number {
  const share = (at_ms - span.start_ms) / (span.end_ms - span.start_ms);
  return AXIS_PX + share * (width_px - AXIS_PX - MARGIN_PX);
}

/** The instant at a distance from the left edge, kept within the span [ms]. */
export function instantAt(x_px: number, span: Span, width_px: number): number {
  const share = (x_px - AXIS_PX) / (width_px - AXIS_PX - MARGIN_PX);
  return span.start_ms + Math.min(1, Math.max(0, share)) * (span.end_ms - span.start_ms);
}
