"""SQL of readings: the latest ones, bins of any width, and the quarter-hours kept beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hearth_core.points import POINTS
from hearth_hub.database.pool import Connection

QUARTER_S = 900
QUARTER_COLUMNS = ("grid_w", "pv_w", "battery_w", "load_w", "ev_w", "heat_pump_w", "soc_percent")
_POINT_COLUMNS = ", ".join(f"l.{name}" for name in POINTS)


@dataclass(frozen=True)
class LatestReading:
    """The newest reading of one device; ``at`` is None when there is none."""

    device_id: int
    device: str
    kind: str | None
    at: datetime | None
    points: dict[str, float]


async def latest(connection: Connection, home_id: int) -> list[LatestReading]:
    """Return the newest reading of every device of a home."""
    cursor = await connection.execute(
        f"select d.id, d.device, d.kind, l.at, l.extra, {_POINT_COLUMNS}"  # noqa: S608  names of the vocabulary
        " from device d left join latest l on l.device_id = d.id where d.home_id = %s order by d.device",
        [home_id],
    )
    readings = []
    for device_id, device, kind, at, extra, *values in await cursor.fetchall():
        points = {name: value for name, value in zip(POINTS, values, strict=True) if value is not None}
        readings.append(LatestReading(device_id, device, kind, at, points | (extra or {})))
    return readings


async def bins(
    connection: Connection, device_ids: list[int], start: datetime, end: datetime, step_s: int
) -> list[tuple[Any, ...]]:
    """Average readings into bins.

    Returns:
        (bin number from ``start``, device id, power, PV power, battery power, state of charge, last import counter,
        last export counter) of each bin in which a device measured anything.
    """
    cursor = await connection.execute(
        "select (extract(epoch from at - %(start)s) / %(step_s)s)::int, device_id, avg(power_w), avg(pv_power_w),"
        " avg(battery_power_w), avg(soc_percent), max(import_energy_wh), max(export_energy_wh) from ("
        "   select date_bin(make_interval(secs => %(step_s)s), at, %(start)s) as at, device_id, power_w, pv_power_w,"
        "   battery_power_w, soc_percent, import_energy_wh, export_energy_wh from reading"
        "   where at >= %(start)s and at < %(end)s and device_id = any(%(devices)s)) binned"
        " group by at, device_id",
        {"start": start, "end": end, "step_s": step_s, "devices": device_ids},
    )
    return await cursor.fetchall()


async def quarters(connection: Connection, home_id: int, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """Return (at, then `QUARTER_COLUMNS`) of each quarter-hour that is known."""
    cursor = await connection.execute(
        f"select at, {', '.join(QUARTER_COLUMNS)} from quarter"  # noqa: S608
        " where home_id = %s and at >= %s and at < %s order by at",
        [home_id, start, end],
    )
    return await cursor.fetchall()


async def upsert_quarters(connection: Connection, home_id: int, rows: list[tuple[Any, ...]]) -> None:
    """Store quarter-hours: (at, then `QUARTER_COLUMNS`) each."""
    marks = ", ".join(["%s"] * (len(QUARTER_COLUMNS) + 2))
    updates = ", ".join(f"{name} = excluded.{name}" for name in QUARTER_COLUMNS)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            f"insert into quarter (home_id, at, {', '.join(QUARTER_COLUMNS)}) values ({marks})"  # noqa: S608
            f" on conflict (home_id, at) do update set {updates}",
            [(home_id, *row) for row in rows],
        )


async def take_stale(connection: Connection, home_id: int) -> tuple[datetime, datetime] | None:
    """Claim what has to be rolled up: from when, and until the newest reading; None when nothing came."""
    cursor = await connection.execute(
        "update home h set stale_from = null from (select id, stale_from from home where id = %s for update) old"
        " where h.id = old.id and old.stale_from is not null returning old.stale_from",
        [home_id],
    )
    if (claimed := await cursor.fetchone()) is None:
        return None
    # a statement of its own: the first one may have waited for an ingest whose readings its snapshot does not show
    cursor = await connection.execute(
        "select max(l.at) from latest l join device d on d.id = l.device_id where d.home_id = %s", [home_id]
    )
    newest = await cursor.fetchone()
    return (claimed[0], newest[0]) if newest and newest[0] else None


async def first_and_last(connection: Connection, home_id: int) -> tuple[datetime, datetime] | None:
    """Return the first and last quarter-hour of a home."""
    cursor = await connection.execute("select min(at), max(at) from quarter where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return (row[0], row[1]) if row and row[0] else None


async def counter_increase(
    connection: Connection, device_ids: list[int], column: str, start: datetime, end: datetime
) -> float | None:
    """Return by how much a counter grew between two instants [Wh].

    The value at an instant is the last one before it. A counter that fell by more than a tenth began again from zero;
    one that fell by less was only rounded differently.
    """
    if column not in POINTS or not device_ids:
        return None
    cursor = await connection.execute(
        f"with base as (select max(at) as at, device_id from reading where at <= %(start)s"  # noqa: S608
        f" and at > %(start)s - interval '1 hour' and device_id = any(%(devices)s) and {column} is not null"
        f" group by device_id),"
        f" read as (select r.device_id, r.{column} as now_wh,"
        f" lag(r.{column}) over (partition by r.device_id order by r.at) as before_wh from reading r"
        f" left join base b on b.device_id = r.device_id where r.device_id = any(%(devices)s)"
        f" and r.at >= coalesce(b.at, %(start)s) and r.at >= %(start)s - interval '1 hour' and r.at <= %(end)s"
        f" and r.{column} is not null)"
        f" select sum(case when now_wh >= 0.9 * before_wh then now_wh - before_wh else now_wh end)"
        f" from read where before_wh is not null",
        {"start": start, "end": end, "devices": device_ids},
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
    """Integrate a power over time by trapezoids at full resolution [Wh]; on demand only what is below zero.

    Two readings more than ten minutes apart are a hole in the record, which adds nothing.
    """
    if column not in POINTS or not device_ids:
        return None
    power = f"least({column}, 0)" if only_negative else column
    cursor = await connection.execute(
        f"with read as (select device_id, at, {power} as power_w,"  # noqa: S608
        f" lag(at) over w as before_at, lag({power}) over w as before_w from reading"
        f" where device_id = any(%(devices)s) and at >= %(start)s and at <= %(end)s and {column} is not null"
        f" window w as (partition by device_id order by at))"
        f" select sum((power_w + before_w) / 2.0 * extract(epoch from at - before_at)) / 3600.0 from read"
        f" where at - before_at <= interval '10 minutes'",
        {"start": start, "end": end, "devices": device_ids},
    )
    row = await cursor.fetchone()
    return None if row is None or row[0] is None else float(row[0])
