"""Steps on the local clock: month, day and minute of each, and the window it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hearth_core.tariff import NetMetering
from hearth_core.windows import DAY_MIN, Window
from hearth_models.arrays import FloatArray, IntArray
from hearth_models.features import utc_offsets_s

_DAY_S = 86_400
_HOUR_S = 3_600


@dataclass(frozen=True)
class LocalTime:
    """Where each step begins on the local clock; arrays have shape (n,)."""

    at_s: FloatArray
    offset_s: IntArray
    """Local clock minus UTC."""
    month: IntArray
    """Months since January 1970."""
    day: IntArray
    """Days since 1970-01-01."""
    minute: IntArray
    """Minutes since midnight by the clock on the wall, 0..1439."""

    @classmethod
    def of(cls, at_s: FloatArray, timezone: str) -> LocalTime:
        """Look instants up.

        Args:
            at_s: Instants, shape (n,) [s].
            timezone: Name of the zone, e.g. Europe/Berlin.
        """
        offset_s = utc_offsets_s(at_s, timezone)
        wall_s = np.floor(at_s).astype(np.int64) + offset_s
        month = wall_s.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        return cls(at_s, offset_s, month, wall_s // _DAY_S, wall_s % _DAY_S // 60)

    def blocks(self, step_min: int) -> IntArray:
        """Return the number of the step of the local clock's grid that each instant lies in.

        An hour that the clock repeats is two hours.
        """
        found: IntArray = np.floor((self.at_s + self.offset_s % _HOUR_S) / (60 * step_min)).astype(np.int64)
        return found

    def window(self, windows: Sequence[Window]) -> IntArray:
        """Return which window each step begins in, -1 where none."""
        table = np.full((12, 7, DAY_MIN), -1, dtype=np.int64)
        for number, window in enumerate(windows):
            months = np.array(sorted(window.calendar_months)) - 1
            days = np.array(sorted(window.weekdays))
            for begin, end in window.spans_min:
                table[np.ix_(months, days, np.arange(begin, end))] = number
        # 1970-01-01 was a Thursday
        found: IntArray = table[self.month % 12, (self.day + 3) % 7, self.minute]
        return found

    def period(self, net_metering: NetMetering) -> IntArray:
        """Return the number of the billing period each step lies in."""
        return period_of(self.month, net_metering)


def period_of(month: IntArray, net_metering: NetMetering) -> IntArray:
    """Return the number of the billing period of each month."""
    if net_metering.period == "month":
        return month
    found: IntArray = (month - (net_metering.first_month - 1)) // 12
    return found


def day_counts(month: IntArray) -> IntArray:
    """Return how many days each month has."""
    begins = month.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    ends = (month + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    found: IntArray = ends - begins
    return found
