"""Day-ahead prices as arrays."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from hearth_hub.database.pool import Connection
from hearth_hub.prices import repository
from hearth_models.arrays import FloatArray


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
