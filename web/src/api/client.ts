// One function an address of the hub. A 404 of something that is made later (plan, forecast) is null, not an error.

import type {
  Accuracy,
  Clock,
  Forecast,
  Home,
  HomeEntry,
  HomeEvent,
  Now,
  PastForecast,
  Plan,
  Prices,
  Savings,
  Series,
} from "./types.ts";

const TIMEOUT_MS = 15_000;

/** The hub answered, but not with what was asked for. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly address: string,
    message: string,
  ) {
    super(message);
  }
}

/** The address of an API resource, relative to the page so that a path prefix is kept. */
export function address(path: string, query: Record<string, number> = {}): string {
  const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(Math.round(value))]));
  const tail = search.size > 0 ? `?${search}` : "";
  return `api/${path}${tail}`;
}

async function errorText(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: { message?: string } };
    return body.error?.message ?? response.statusText;
  } catch {
    return response.statusText;
  }
}

async function get<T>(path: string, query: Record<string, number> = {}): Promise<T> {
  const where = address(path, query);
  const response = await fetch(where, {
    headers: { accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) throw new ApiError(response.status, where, await errorText(response));
  return (await response.json()) as T;
}

async function getIfThere<T>(path: string, query: Record<string, number> = {}): Promise<T | null> {
  try {
    return await get<T | null>(path, query);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

const of = (home: string, what: string): string => `homes/${encodeURIComponent(home)}${what}`;

/** A list that may come bare or as the one member of an object. */
export function listIn<T>(body: T[] | Record<string, T[]> | null): T[] {
  if (body === null) return [];
  if (Array.isArray(body)) return body;
  return Object.values(body).find(Array.isArray) ?? [];
}

export interface Span {
  start_ms: number;
  end_ms: number;
}

export const api = {
  clock: () => get<Clock>("clock"),
  homes: async () => listIn<HomeEntry>(await get<HomeEntry[]>("homes")),
  home: (home: string) => get<Home>(of(home, "")),
  now: (home: string) => getIfThere<Now>(of(home, "/now")),
  series: (home: string, span: Span, step_s: number) =>
    getIfThere<Series>(of(home, "/series"), { ...span, step_s }),
  prices: (home: string, span: Span) => getIfThere<Prices>(of(home, "/prices"), { ...span }),
  forecast: (home: string) => getIfThere<Forecast>(of(home, "/forecast")),
  pastForecast: (home: string, span: Span) => getIfThere<PastForecast>(of(home, "/forecast/past"), { ...span }),
  plan: (home: string) => getIfThere<Plan>(of(home, "/plan")),
  savings: (home: string, days: number) => getIfThere<Savings>(of(home, "/savings"), { days }),
  accuracy: (home: string) => getIfThere<Accuracy>(of(home, "/accuracy")),
  events: async (home: string, limit: number) =>
    listIn<HomeEvent>(await getIfThere<HomeEvent[]>(of(home, "/events"), { limit })),
};

/** Where a home's live stream is. */
export const liveAddress = (home: string): string => address(of(home, "/live"));
