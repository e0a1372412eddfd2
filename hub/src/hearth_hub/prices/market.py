"""Day-ahead prices as arrays."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from hearth_hub.database.arrays import microseconds
from hearth_hub.database.pool import Connection
from hearth_hub.prices import repository
from hearth_models.arrays import FloatArray


async def day_ahead(connection: Connection, zone: str, start: datetime, n_steps: int, step_s: int) -> FloatArray:
    """Return the published day-ahead prices in steps from ``start`` on, NaN where none is known [EUR/kWh]."""
    end = start + timedelta(seconds=n_steps * step_s)
    begins_us, lengths_s, prices = await repository.columns_between(connection, zone, start, end)
    at_us = microseconds(start) + step_s * 1_000_000 * np.arange(n_steps)
    # a step of ours takes the price that holds at its beginning
    place = np.searchsorted(begins_us, at_us, side="right") - 1
    ends_us = begins_us + lengths_s * 1_000_000
    # place -1, before the first price, is the last entry: nothing
    ends_us, prices = np.append(ends_us, at_us[:1]), np.append(prices, np.nan)
    return np.where(at_us < ends_us[place], prices[place], np.nan)
