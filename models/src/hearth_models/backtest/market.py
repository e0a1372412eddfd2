"""Prices beside a recorded home, also of other years: moved by whole weeks, so that season and weekday fit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from hearth_core.errors import PermanentError
from hearth_models.arrays import FloatArray
from hearth_models.series import Recorded

_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S
_YEAR_WEEKS = 365.2425 / 7
# Day-ahead prices of Europe's coupled auction are out by then.
_MARKET_ZONE, _PUBLISHED_AT = ZoneInfo("Europe/Brussels"), (12, 45)
_MOST_MISSING = 0.02
_ENOUGH_S = 4 * _WEEK_S


class BacktestError(PermanentError):
    """A recording that cannot be lived."""


@dataclass(frozen=True)
class Laid:
    """Prices laid over a home's time."""

    prices: Recorded
    moved_days: int
    """By how many days they were moved into the future, a multiple of 7; 0 when they are of the home's own time."""
    from_s: float
    until_s: float
    """The part of the home's time that they cover [s]."""


def lay(prices: Recorded, start_s: float, end_s: float) -> Laid:
    """Lay prices over a span.

    When they do not reach all of it they are moved by whole weeks, nearest to whole years. When they are shorter than
    the span, the part of it that they cover in their own time is taken, or, where that is less than four weeks, as much
    as they cover from its start.

    Args:
        prices: As recorded.
        start_s: Begin of the span [s].
        end_s: Its end [s].
    """
    overlap_s = min(end_s, prices.end_s) - max(start_s, prices.start_s)
    latest = int((start_s - prices.start_s) // _WEEK_S)
    earliest = min(-int(-(end_s - prices.end_s) // _WEEK_S), latest)
    is_long_enough = prices.end_s + latest * _WEEK_S >= end_s
    if overlap_s >= (1 - _MOST_MISSING) * (end_s - start_s) or (not is_long_enough and overlap_s >= _ENOUGH_S):
        weeks = 0
    else:
        weeks = min(
            range(earliest, latest + 1) if is_long_enough else [latest],
            key=lambda week: (abs(week / _YEAR_WEEKS - round(week / _YEAR_WEEKS)) > 0.01, abs(week)),
        )
    moved = Recorded(prices.start_s + weeks * _WEEK_S, prices.step_s, prices.values)
    return Laid(moved, weeks * 7, max(start_s, moved.start_s), min(end_s, moved.end_s))


def published_until_s(now_s: float) -> float:
    """Return until when day-ahead prices are known: the end of tomorrow from 12:45 Brussels time, of today before."""
    local = datetime.fromtimestamp(now_s, tz=_MARKET_ZONE)
    days = 2 if (local.hour, local.minute) >= _PUBLISHED_AT else 1
    midnight = datetime(local.year, local.month, local.day, tzinfo=_MARKET_ZONE) + timedelta(days=days)
    return midnight.astimezone(UTC).timestamp()


def filled(values: FloatArray, step_s: int) -> FloatArray:
    """Fill gaps with the mean of the same slot a day and a week around, else the overall mean; for living only."""
    result = values.copy()
    per_day = _DAY_S // step_s
    for step in np.flatnonzero(~np.isfinite(values)):
        around = [step + days * per_day for days in (-7, -1, 1, 7)]
        near = [values[index] for index in around if 0 <= index < len(values) and np.isfinite(values[index])]
        result[step] = np.mean(near) if near else np.nanmean(values)
    return result


def joined(values: FloatArray, join: int) -> FloatArray:
    """Return means of ``join`` neighbours, NaN where most of them are missing; a rest at the end is left out."""
    if join == 1:
        return values
    table = values[: len(values) // join * join].reshape(-1, join)
    known = np.isfinite(table)
    count = known.sum(axis=1)
    total = np.where(known, table, 0.0).sum(axis=1)
    mean: FloatArray = np.where(count * 2 >= join, total / np.maximum(count, 1), np.nan)
    return mean
