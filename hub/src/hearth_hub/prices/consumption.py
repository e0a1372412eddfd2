"""What the running month and net metering period have seen at the grid meter: tiers and net metering go by it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from hearth_core.points import DeviceKind
from hearth_core.site import Site
from hearth_hub.database.arrays import microseconds
from hearth_hub.database.pool import Connection
from hearth_hub.homes.repository import Home, list_devices
from hearth_hub.prices.market import day_ahead
from hearth_hub.readings.days import energies
from hearth_hub.timing import instant_s
from hearth_models.arrays import FloatArray
from hearth_models.tariffs import Metered, SoFar, seen, seen_from

_QUARTER_S = 900


@dataclass(frozen=True)
class Consumption:
    """Quarter-hours of a home's grid meters beside their prices; None where prices do not depend on them."""

    site: Site
    metered: Metered | None

    def before(self, at: datetime) -> SoFar:
        """Return what the month and the period of an instant have seen before it, in whole quarter-hours."""
        if self.metered is None:
            return SoFar()
        return seen(self.site.tariff, self.metered, at.timestamp() // _QUARTER_S * _QUARTER_S, self.site.timezone)


async def consumption(connection: Connection, home: Home, site: Site, start: datetime, end: datetime) -> Consumption:
    """Read what `Consumption.before` needs of any instant within a span.

    A plain tariff costs no query.

    Args:
        connection: Database.
        home: Home.
        site: The home's.
        start: Begin of the span; readings since the start of its month or period are read.
        end: End of the span.
    """
    if not site.tariff.depends_on_consumption:
        return Consumption(site, None)
    start_s = seen_from(site.tariff, start.timestamp(), site.timezone)
    n_steps = int((end.timestamp() - start_s) // _QUARTER_S)
    meters = [one for one in await list_devices(connection, home.id) if one.kind == DeviceKind.GRID_METER]
    if n_steps < 1 or not meters:
        return Consumption(site, None)
    begin = instant_s(start_s)
    edges_us = microseconds(begin) + _QUARTER_S * 1_000_000 * np.arange(n_steps + 1)
    energy = await energies(connection, meters, edges_us)
    market = await _market(connection, site, begin, n_steps)
    metered = await asyncio.to_thread(
        Metered.of,
        site.tariff,
        start_s,
        _QUARTER_S,
        # a meter that was exchanged or repaired may count a little backwards
        np.maximum(energy["import_wh"], 0.0),
        np.maximum(energy["export_wh"], 0.0),
        market,
        site.timezone,
    )
    return Consumption(site, metered)


class Remembered:
    """What a home has seen, read once in a quarter-hour: for a listener who asks each second."""

    def __init__(self) -> None:
        self._quarter = -1.0
        self._so_far = SoFar()

    async def so_far(self, connection: Connection, home: Home, site: Site, at: datetime) -> SoFar:
        """Return what `so_far` does, or did when the quarter-hour began; always ask for the same home."""
        quarter = at.timestamp() // _QUARTER_S
        if quarter != self._quarter:
            self._so_far = await so_far(connection, home, site, at)
            self._quarter = quarter
        return self._so_far


async def so_far(connection: Connection, home: Home, site: Site, at: datetime) -> SoFar:
    """Return what the month and the net metering period of an instant have seen before it.

    Nothing where the tariff's prices do not depend on it.
    """
    return (await consumption(connection, home, site, at, at)).before(at)


async def _market(connection: Connection, site: Site, start: datetime, n_steps: int) -> FloatArray:
    """Return the market prices of the past; their mean where one is missing, 0 where all are.

    They matter for nothing but the credit of a surplus, which a hole must not stop.
    """
    tariff = site.tariff
    if tariff.net_metering is None or not (tariff.import_needs_day_ahead or tariff.export_needs_day_ahead):
        return np.zeros(n_steps)
    prices = await day_ahead(connection, site.price_zone, start, n_steps, _QUARTER_S)
    known = np.isfinite(prices)
    return np.where(known, prices, prices[known].mean() if known.any() else 0.0)
