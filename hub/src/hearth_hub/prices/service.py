"""What prices mean to a home: import and feed-in by its own tariff."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from hearth_core.clock import Clock, now
from hearth_core.site import Site
from hearth_hub.database.pool import Connection
from hearth_hub.homes.repository import Home
from hearth_hub.prices import repository
from hearth_hub.prices.consumption import Consumption, Remembered, consumption
from hearth_hub.prices.market import day_ahead
from hearth_hub.readings.days import local_days
from hearth_hub.timing import instant, milliseconds
from hearth_models.arrays import FloatArray
from hearth_models.tariffs import SoFar
from hearth_models.tariffs import prices as marginal_prices

_NOW_STEP_S = 300


def tariff_prices(
    site: Site, start_s: float, step_s: int, day_ahead_eur_per_kwh: FloatArray, so_far: SoFar
) -> tuple[FloatArray, FloatArray]:
    """Return what a kWh costs and what it earns in steps from ``start_s`` on [EUR/kWh].

    Args:
        site: The home's.
        start_s: Begin of the first step [s].
        step_s: Length of a step [s].
        day_ahead_eur_per_kwh: Market price of each step, NaN where unknown.
        so_far: What the month and the net metering period of the first step have seen.
    """
    at_s = start_s + step_s * np.arange(len(day_ahead_eur_per_kwh), dtype=np.float64)
    return marginal_prices(site.tariff, at_s, day_ahead_eur_per_kwh, site.timezone, so_far)


async def price_now(
    connection: Connection, home: Home, at: datetime, remembered: Remembered | None = None
) -> tuple[float | None, float | None]:
    """Return import and feed-in price of an instant; None where one depends on a market price that is not known."""
    if home.site is None:
        return None, None
    start = _whole_hour(at)
    market = await day_ahead(connection, home.site.price_zone, start, 3600 // _NOW_STEP_S, _NOW_STEP_S)
    step = int((at - start).total_seconds()) // _NOW_STEP_S
    seen = await (remembered or Remembered()).so_far(connection, home, home.site, at)
    both = tariff_prices(home.site, start.timestamp(), _NOW_STEP_S, market, seen)
    bought, sold = (float(series[step]) for series in both)
    return (
        round(bought, 6) if np.isfinite(bought) else None,
        round(sold, 6) if np.isfinite(sold) else None,
    )


async def price_series(connection: Connection, home: Home, start_ms: int, end_ms: int, clock: Clock) -> dict[str, Any]:
    """Return a home's prices over time, columnar, up to the last one known.

    Where they depend on consumption, a local day that is over has the prices of its beginning, as in the ledger, and
    from the present hour on they are those of now.
    """
    if home.site is None:
        return {"start_ms": start_ms, "step_s": 3600, "import_eur_per_kwh": [], "export_eur_per_kwh": []}
    points = await repository.between(connection, home.site.price_zone, instant(start_ms), instant(end_ms))
    if not points:
        return {"start_ms": start_ms, "step_s": 3600, "import_eur_per_kwh": [], "export_eur_per_kwh": []}
    step_s = min(point.step_s for point in points)
    start = points[0].at
    n_steps = int((points[-1].at - start).total_seconds() + points[-1].step_s) // step_s
    prices = await day_ahead(connection, home.site.price_zone, start, n_steps, step_s)
    at, end = now(clock), start + timedelta(seconds=n_steps * step_s)
    consumed = await consumption(connection, home, home.site, min(start, at), min(end, at))
    import_price, export_price = _over_days(home.site, start, step_s, prices, consumed, at)
    return {
        "start_ms": milliseconds(start),
        "step_s": step_s,
        "import_eur_per_kwh": np.round(import_price, 6),
        "export_eur_per_kwh": np.round(export_price, 6),
    }


def _over_days(
    site: Site, start: datetime, step_s: int, market: FloatArray, consumed: Consumption, at: datetime
) -> tuple[FloatArray, FloatArray]:
    """Return both prices of each step, with what had been consumed at the start of its day, or by now."""
    if consumed.metered is None:
        return tariff_prices(site, start.timestamp(), step_s, market, SoFar())
    end = start + timedelta(seconds=len(market) * step_s)
    present = max(start, _whole_hour(at))
    begins = [max(begin, start) for _, begin, _ in local_days(site.timezone, start, min(present, end))]
    looks = [(begin, begin) for begin in begins]
    if present < end:
        # beyond now nothing has been consumed, so a later look sees the same unless a month begins
        looks.append((present, max(start, at)))
    firsts = [-int(-(begin - start).total_seconds() // step_s) for begin, _ in looks]
    pieces = [
        tariff_prices(site, start.timestamp() + first * step_s, step_s, market[first:last], consumed.before(seen_at))
        for first, last, (_, seen_at) in zip(firsts, [*firsts[1:], len(market)], looks, strict=True)
        if first < last
    ]
    bought, sold = (np.concatenate(series) for series in zip(*pieces, strict=True))
    return bought, sold


def _whole_hour(at: datetime) -> datetime:
    """Return where the hour of an instant begins: a tariff may be billed by its mean."""
    return at.replace(minute=0, second=0, microsecond=0)
