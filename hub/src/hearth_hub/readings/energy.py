"""Energies: how much counters grew over a span or in each day, and powers summed up over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from hearth_core.points import POINTS, PointClass
from hearth_hub.database.arrays import array_cursor, instant_us
from hearth_hub.database.pool import Connection
from hearth_hub.readings.aggregates import MINUTE
from hearth_hub.readings.rollup_repository import floored
from hearth_models.arrays import FloatArray, IntArray

# A counter that fell by more than a tenth began again from zero; one that fell by less was only rounded differently.
_RESET = 0.9
_BETWEEN = f"case when first >= {_RESET} * before then first - before else first end"
_WITHIN = f"case when last >= {_RESET} * first then last - first else top - first + last end"
_GROWN = f"coalesce({_BETWEEN}, 0) + {_WITHIN}"
# Where a counter stood before a span is looked for in this time.
_BEFORE = timedelta(hours=1)
# A longer span is integrated from the means of minutes: readings cost the more the more homes there are.
_LONGEST_RAW = timedelta(days=2)


async def counter_increase(
    connection: Connection, device_ids: list[int], column: str, start: datetime, end: datetime
) -> float | None:
    """Return by how much a counter grew between two instants [Wh].

    The value at an instant is the last one up to it. Whole minutes come from the aggregate, the edges from readings.
    """
    if column not in POINTS or not device_ids:
        return None
    first_minute, last_minute = _minute_from(start), floored(end, MINUTE)
    if last_minute <= first_minute:
        first_minute = last_minute = end
    of_devices = f"device_id = any(%(devices)s) and {column}"
    minute = (
        f"select device_id, at, {column}_first, {column}_last, {column}_top from reading_1min"  # noqa: S608  a name of the vocabulary
        f" where {of_devices}_last"
    )
    reading = f"select device_id, at, {column}, {column}, {column} from reading where {of_devices}"  # noqa: S608
    cursor = await connection.execute(
        "with base as (select distinct on (device_id) * from ("  # noqa: S608  a name of the vocabulary
        f"{minute} is not null and at >= %(before)s and at < %(base_minute)s"
        f" union all {reading} is not null and at >= %(base_minute)s and at <= %(start)s) known"
        " order by device_id, at desc),"
        " piece (device_id, at, first, last, top, is_base) as (select *, true from base"
        f" union all select *, false from ({reading} is not null and at > %(start)s and at < %(first_minute)s"
        f" union all {minute} is not null and at >= %(first_minute)s and at < %(last_minute)s"
        f" union all {reading} is not null and at > %(start)s and at >= %(last_minute)s and at <= %(end)s) inside),"
        " grown as (select *, lag(last) over (partition by device_id order by at, is_base desc) as before from piece)"
        f" select sum({_GROWN}) filter (where before is not null or first <> last or first <> top) from grown"
        " where not is_base",
        {
            "devices": device_ids,
            "start": start,
            "end": end,
            "first_minute": first_minute,
            "last_minute": last_minute,
            "base_minute": floored(start, MINUTE),
            "before": floored(start, MINUTE) - _BEFORE,
        },
    )
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])


async def integrated(
    connection: Connection,
    device_ids: list[int],
    column: str,
    start: datetime,
    end: datetime,
    *,
    only_negative: bool = False,
) -> float | None:
    """Integrate a power over time by trapezoids [Wh]; on demand only what is below zero.

    At full resolution over two days, from the means of minutes over more. Two values more than ten minutes apart are a
    hole in the record, which adds nothing.
    """
    if column not in POINTS or not device_ids:
        return None
    power = f"least({column}, 0)" if only_negative else column
    table = "reading" if end - start <= _LONGEST_RAW else MINUTE.table
    cursor = await connection.execute(
        f"with read as (select device_id, at, {power} as power_w,"  # noqa: S608
        f" lag(at) over w as before_at, lag({power}) over w as before_w from {table}"
        f" where device_id = any(%(devices)s) and at >= %(start)s and at <= %(end)s and {column} is not null"
        f" window w as (partition by device_id order by at))"
        f" select sum((power_w + before_w) / 2.0 * extract(epoch from at - before_at)) / 3600.0 from read"
        f" where at - before_at <= interval '10 minutes'",
        {"devices": device_ids, "start": start, "end": end},
    )
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])


COUNTERS = tuple(name for name, point in POINTS.items() if point.point_class is PointClass.COUNTER)


async def daily_growth(
    connection: Connection, counters: dict[str, list[int]], edges_us: IntArray
) -> dict[tuple[str, int], FloatArray]:
    """Return by how much counters grew in each of some days.

    What grew while nothing was measured belongs to the day in which it was seen.

    Args:
        connection: Database.
        counters: For each counter the devices that may have it.
        edges_us: Where the days begin, and where the last one ends; whole quarter-hours, as `microseconds` counts.

    Returns:
        By counter and device, what it grew in each day, shape (days,) [Wh]; NaN where it was not measured. A counter
        that was not measured at all is left out.
    """
    queries = [_counter_query(number, name) for number, name in enumerate(COUNTERS) if counters.get(name)]
    if not queries:
        return {}
    cursor = array_cursor(connection)
    parameters = counters | {"before": instant_us(edges_us[0]) - _BEFORE, "end": instant_us(edges_us[-1])}
    # not prepared: a plan for any span is a third slower than one for this span
    await cursor.execute(" union all ".join(queries).encode(), parameters, prepare=False)
    found = {}
    for number, device_id, at_us, first, last, top in await cursor.fetchall():
        days = np.searchsorted(edges_us, at_us, side="right")  # 0 = before the first day
        grown = np.bincount(days, growth(first, last, top), len(edges_us))[1:]
        found[COUNTERS[number], device_id] = np.where(np.bincount(days, minlength=len(edges_us))[1:] > 0, grown, np.nan)
    return found


def growth(first: FloatArray, last: FloatArray, top: FloatArray) -> FloatArray:
    """Return by how much a counter grew in each bucket, with what it grew since the bucket before.

    A counter that fell by more than a tenth began again from zero.
    """
    before = np.concatenate([first[:1], last[:-1]])
    between = np.where(first >= _RESET * before, first - before, first)
    return between + np.where(last >= _RESET * first, last - first, top - first + last)


@dataclass(frozen=True)
class DailyPower:
    """What a power of a device sums up to in one day [Wh]."""

    day: int
    """Number of the day in the question."""
    device_id: int
    above_zero_wh: float
    below_zero_wh: float
    """Not positive."""


async def daily_power(
    connection: Connection, column: str, device_ids: list[int], edges_us: IntArray
) -> list[DailyPower]:
    """Sum up the mean powers of quarter-hours in each of some days, for devices without counters.

    Args:
        connection: Database.
        column: A power of the vocabulary.
        device_ids: Devices of a home.
        edges_us: Where the days begin, and where the last one ends; whole quarter-hours, as `microseconds` counts.
    """
    cursor = connection.cursor(binary=True)
    edges = [instant_us(edge) for edge in edges_us.tolist()]
    await cursor.execute(
        f"select width_bucket(at, %(edges)s::timestamptz[]) - 1, device_id, sum(greatest({column}, 0)::float8) / 4,"  # noqa: S608
        f" sum(least({column}, 0)::float8) / 4 from reading_15min where device_id = any(%(devices)s)"
        f" and {column} is not null and at >= %(start)s and at < %(end)s group by 1, 2".encode(),
        {"devices": device_ids, "edges": edges, "start": edges[0], "end": edges[-1]},
    )
    return [DailyPower(*row) for row in await cursor.fetchall()]


def _counter_query(number: int, name: str) -> str:
    # a counter and a device at a time: each walks through the key in its order, and nothing has to be sorted
    return (
        f"select {number}, device.id, found.* from unnest(%({name})s::int[]) as device (id), lateral"  # noqa: S608
        " (select array_agg(at), array_agg(first), array_agg(last), array_agg(top) from (select at,"
        f" {name}_first as first, {name}_last as last, {name}_top as top from reading_15min where device_id = device.id"
        f" and {name}_first is not null and at >= %(before)s and at < %(end)s order by at) q having count(*) > 0) found"
    )


def _minute_from(at: datetime) -> datetime:
    """Return the first whole minute from an instant on."""
    return floored(at + timedelta(seconds=60) - timedelta(microseconds=1), MINUTE)
