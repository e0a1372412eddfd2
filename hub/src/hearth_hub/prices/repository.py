"""SQL of prices."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from hearth_hub.database.arrays import array_cursor
from hearth_hub.database.pool import Connection
from hearth_hub.prices.source import PricePoint
from hearth_models.arrays import FloatArray, IntArray


async def store(connection: Connection, zone: str, points: Iterable[PricePoint]) -> None:
    """Store prices; a corrected one replaces the old."""
    async with connection.transaction(), connection.cursor() as cursor:
        await cursor.executemany(
            "insert into price (zone, at, step_s, eur_per_kwh, published_at) values (%s, %s, %s, %s, %s)"
            " on conflict (zone, at) do update set step_s = excluded.step_s, eur_per_kwh = excluded.eur_per_kwh,"
            " published_at = excluded.published_at",
            [(zone, one.at, one.step_s, one.eur_per_kwh, one.published_at) for one in points],
        )


async def between(connection: Connection, zone: str, start: datetime, end: datetime) -> list[PricePoint]:
    """Return the prices of every step that touches a span."""
    cursor = await connection.execute(
        "select at, step_s, eur_per_kwh, published_at from price where zone = %s and at < %s"
        " and at > %s - interval '1 hour' and at + make_interval(secs => step_s) > %s order by at",
        [zone, end, start, start],
    )
    return [PricePoint(*row) for row in await cursor.fetchall()]


async def columns_between(
    connection: Connection, zone: str, start: datetime, end: datetime
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return begin [us, as `microseconds` counts], length [s] and price of every step that touches a span, by time."""
    cursor = array_cursor(connection)
    await cursor.execute(
        "select array_agg(at), array_agg(step_s::float8), array_agg(eur_per_kwh::float8) from (select * from price"
        " where zone = %s and at < %s and at > %s - interval '1 hour' and at + make_interval(secs => step_s) > %s"
        " order by at) p having count(*) > 0",
        [zone, end, start, start],
    )
    if (row := await cursor.fetchone()) is None:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    return row[0], row[1].astype(np.int64), row[2]


async def last(connection: Connection, zone: str) -> datetime | None:
    """Return the start of the last step that is known."""
    cursor = await connection.execute("select max(at) from price where zone = %s", [zone])
    row = await cursor.fetchone()
    return row[0] if row else None
