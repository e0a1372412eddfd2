"""What a minute, a quarter-hour and a day of a device are: one SELECT per width, the same on both engines.

On plain PostgreSQL `hearth_hub.readings.roll_up` runs these; on TimescaleDB a migration made continuous aggregates of
them. Pure text, nothing is executed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from hearth_core.points import POINTS, PointClass


@dataclass(frozen=True)
class Width:
    """One aggregate: buckets of equal length that begin at whole multiples of it in UTC."""

    table: str
    source: str
    """What it is made of: readings, or the next shorter buckets."""
    interval: str
    seconds: int


MINUTE = Width("reading_1min", "reading", "1 minute", 60)
QUARTER = Width("reading_15min", "reading_1min", "15 minutes", 900)
DAY = Width("reading_1day", "reading_15min", "1 day", 86_400)
WIDTHS = (MINUTE, QUARTER, DAY)
_FEW = 64
_ORIGIN = "timestamptz '2000-01-01 00:00:00+00'"


def columns() -> list[str]:
    """Return the columns of every aggregate, in their order."""
    found = ["device_id", "at", "readings"]
    for name, point in POINTS.items():
        is_counter = point.point_class is PointClass.COUNTER
        found += [f"{name}_first", f"{name}_last", f"{name}_top"] if is_counter else [name]
    return found


def selection(width: Width, bucket_function: str = "date_bin") -> list[str]:
    """Return what is selected for `columns`: NULL where nothing was measured.

    Args:
        width: Which aggregate.
        bucket_function: ``date_bin``, or TimescaleDB's ``time_bucket``, which gives the same buckets.
    """
    of_readings = width is MINUTE
    found = ["device_id", f"{bucket(width, bucket_function)} as at"]
    found.append("count(*)::integer as readings" if of_readings else "sum(readings)::integer as readings")
    for name, point in POINTS.items():
        if point.point_class is PointClass.GAUGE:
            found.append(f"avg({name})::real as {name}")
        elif point.point_class is PointClass.STATE:
            found.append(f"{_last(name)} as {name}")
        else:
            first, last, top = [name] * 3 if of_readings else [f"{name}_first", f"{name}_last", f"{name}_top"]
            found += [f"{_first(first)} as {name}_first", f"{_last(last)} as {name}_last", f"max({top}) as {name}_top"]
    return found


def bucket(width: Width, function: str = "date_bin") -> str:
    """Return the start of the bucket that holds ``at``."""
    if function == "time_bucket":
        return f"time_bucket(interval '{width.interval}', at)"
    return f"date_bin(interval '{width.interval}', at, {_ORIGIN})"


def upsert(width: Width, n_devices: int) -> str:
    """Return the statement that makes the buckets of some devices anew.

    Parameters: ``devices``, ``froms``, ``untils`` (parallel arrays: each device's span of whole buckets), and ``start``
    and ``end`` around all of them.
    """
    kept = ", ".join(f"{name} = excluded.{name}" for name in columns()[2:])
    made = f"select {', '.join(selection(width))} from {width.source}"  # noqa: S608  names of the vocabulary
    of_device = "device_id = span_device and at >= span_from and at < span_until"
    spans = (
        "unnest(%(devices)s::int[], %(froms)s::timestamptz[], %(untils)s::timestamptz[])"
        " as span (span_device, span_from, span_until)"
    )
    grouping = f"group by device_id, {bucket(width)}"
    if width is MINUTE:
        # found by their instant, for all devices together; of few devices the key alone tells which rows to fetch
        few = " and device_id = any(%(devices)s)" if n_devices <= _FEW else ""
        rows = f"{made} join {spans} on {of_device} where at >= %(start)s and at < %(end)s{few} {grouping}"
    else:
        # found device by device; written so that nothing but the key can be used, whatever the statistics say
        rows = f"select made.* from {spans}, lateral ({made} where {of_device} {grouping}) as made"  # noqa: S608
    return f"insert into {width.table} ({', '.join(columns())}) {rows} on conflict (device_id, at) do update set {kept}"


def _first(name: str) -> str:
    return f"(array_agg({name} order by at) filter (where {name} is not null))[1]"


def _last(name: str) -> str:
    # the same array as for the first one: PostgreSQL builds it once
    return f"(array_agg({name} order by at) filter (where {name} is not null))[count({name})::integer]"
