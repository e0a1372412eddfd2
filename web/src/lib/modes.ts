// What the battery does, in words a person uses. A mode of the wire (`Mode` in the contract) says what the battery may do;
// what comes of it depends on sun, use and charge, so the page names the action that is expected, not the mode.

export type Action = "own" | "sun" | "keep" | "cover" | "feed" | "draw" | "buy" | "sell" | "unknown";

export interface ActionWords {
  title: string;
  /** For a narrow strip. */
  short: string;
  /** What it means, one sentence. */
  meaning: string;
}

export const ACTIONS: Record<Action, ActionWords> = {
  own: {
    title: "Run on your own power",
    short: "Own power",
    meaning: "The battery takes surplus sun and covers the house.",
  },
  sun: {
    title: "Charge from the sun",
    short: "Sun",
    meaning: "Surplus sun fills the battery; what is stored is kept for later.",
  },
  keep: {
    title: "Keep the charge",
    short: "Keep",
    meaning: "The battery rests; its charge is worth more later.",
  },
  cover: {
    title: "Power the house from the battery",
    short: "House",
    meaning: "The battery covers the house.",
  },
  feed: {
    title: "Sell the surplus sun",
    short: "Sell sun",
    meaning: "Surplus sun is sold to the grid.",
  },
  draw: {
    title: "Use grid power",
    short: "Grid use",
    meaning: "The battery is empty; the grid covers the house.",
  },
  buy: {
    title: "Charge from the grid",
    short: "Grid",
    meaning: "The battery fills from the grid while power is cheap.",
  },
  sell: {
    title: "Sell from the battery",
    short: "Sell",
    meaning: "The battery feeds the grid while power is dear.",
  },
  unknown: { title: "Another mode", short: "Other", meaning: "" },
};

/** Below this a flow is not worth a word [W]. */
const SEEN_W = 60;

/** What is expected while a mode holds. */
export interface Expected {
  /** load - PV */
  net_w: number;
  /** + = discharge */
  battery_w: number;
}

/** Self-consumption is whatever sun, use and charge make of it. */
function ownAction({ net_w, battery_w }: Expected): Action {
  if (battery_w < -SEEN_W) return "sun";
  if (battery_w > SEEN_W) return "cover";
  if (net_w < -SEEN_W) return "feed";
  return net_w > SEEN_W ? "draw" : "own";
}

/** What a mode comes to; null when it is not known what to expect. */
export function actionOf(mode: string, expected: Expected | null): Action {
  const surplus = expected === null ? null : expected.net_w < -SEEN_W;
  switch (mode) {
    case "self_consumption":
      return expected === null ? "own" : ownAction(expected);
    case "absorb_surplus":
      return surplus === false ? "keep" : "sun";
    case "cover_load":
      return surplus === true ? "feed" : "cover";
    case "hold":
      return "keep";
    case "charge_from_grid":
      return "buy";
    case "export":
      return "sell";
    default:
      return "unknown";
  }
}
