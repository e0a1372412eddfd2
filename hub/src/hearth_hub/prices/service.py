"""What prices mean to a home: import and feed-in by its own tariff."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from hearth_core.site import Site
from hearth_hub.database.pool import Connection
from hearth_hub.homes.repository import Home
from hearth_hub.prices import repository
from hearth_hub.timing import instant, milliseconds
from hearth_models.arrays import FloatArray
from hearth_models.tariffs import prices as marginal_prices

_NOW_STEP_S = 300


async def day_ahead(connection: Connection, zone: str, start: datetime, n_steps: int, step_s: int) -> FloatArray:
    """Return the published day-ahead prices in steps from ``start`` on, NaN where none is known [EUR/kWh]."""
    end = start + timedelta(seconds=n_steps * step_s)
    prices = np.full(n_steps, np.nan)
    for point in await repository.between(connection, zone, start, end):
        offset_s = (point.at - start).total_seconds()
        # a step of ours takes the price that holds at its beginning
        first = max(0, -int(-offset_s // step_s))
        last = -int(-(offset_s + point.step_s) // step_s)
        prices[first:last] = point.eur_per_kwh
    return prices


def tariff_prices(
    site: Site, start_s: float, step_s: int, day_ahead_eur_per_kwh: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return what a kWh costs and what it earns in steps from ``start_s`` on [EUR/kWh].

    Tiers and net metering are priced as at the start of a month.
    """
    at_s = start_s + step_s * np.arange(len(day_ahead_eur_per_kwh), dtype=np.float64)
    return marginal_prices(site.tariff, at_s, day_ahead_eur_per_kwh, site.timezone)


async def price_now(connection: Connection, home: Home, at: datetime) -> tuple[float | None, float | None]:
    """Return import and feed-in price of an instant; None where one depends on a market price that is not known."""
    if home.site is None:
        return None, None
    # the whole hour: a tariff may be billed by its mean
    start = at.replace(minute=0, second=0, microsecond=0)
    market = await day_ahead(connection, home.site.price_zone, start, 3600 // _NOW_STEP_S, _NOW_STEP_S)
    step = int((at - start).total_seconds()) // _NOW_STEP_S
    bought, sold = (float(series[step]) for series in tariff_prices(home.site, start.timestamp(), _NOW_STEP_S, market))
    return (
        round(bought, 6) if np.isfinite(bought) else None,
        round(sold, 6) if np.isfinite(sold) else None,
    )


async def price_series(connection: Connection, home: Home, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Return a home's prices over time, columnar, up to the last one known."""
    if home.site is None:
        return {"start_ms": start_ms, "step_s": 3600, "import_eur_per_kwh": [], "export_eur_per_kwh": []}
    points = await repository.between(connection, home.site.price_zone, instant(start_ms), instant(end_ms))
    if not points:
        return {"start_ms": start_ms, "step_s": 3600, "import_eur_per_kwh": [], "export_eur_per_kwh": []}
    step_s = min(point.step_s for point in points)
    start = points[0].at
    n_steps = int((points[-1].at - start).total_seconds() + points[-1].step_s) // step_s
    prices = await day_ahead(connection, home.site.price_zone, start, n_steps, step_s)
    import_price, export_price = tariff_prices(home.site, start.timestamp(), step_s, prices)
    return {
        "start_ms": milliseconds(start),
        "step_s": step_s,
        "import_eur_per_kwh": np.round(import_price, 6),
        "export_eur_per_kwh": np.round(export_price, 6),
    }
