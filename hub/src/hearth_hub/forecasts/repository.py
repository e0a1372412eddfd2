"""SQL of forecasts: the newest one of each home, and what was expected of every step a day ahead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

from hearth_core.messages import Forecast, Target, decode
from hearth_hub.database.pool import Connection

NAIVE = "seasonal-naive"
"""What the wire calls a forecast that was not learned."""
Expectation: TypeAlias = tuple[Target, datetime, datetime, float, float]
"""Target, start of the step, issued at, median [W], naive forecast [W]."""


async def latest_message(connection: Connection, home_id: int) -> bytes | None:
    """Return the newest forecast of an agent as JSON."""
    cursor = await connection.execute("select message::text from forecast where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return row[0].encode() if row else None


async def latest(connection: Connection, home_id: int) -> Forecast | None:
    """Return the newest forecast of an agent."""
    message = await latest_message(connection, home_id)
    return decode(message, Forecast) if message else None


async def last_issued(connection: Connection, home_id: int) -> datetime | None:
    """Return when the newest forecast of an agent was made."""
    cursor = await connection.execute("select issued_at from forecast where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return row[0] if row else None


async def expect(connection: Connection, home_id: int, rows: Sequence[Expectation]) -> None:
    """Note what is expected of coming steps.

    The first word on a step stays, but for one: a naive forecast gives way to a learned one, with the naive forecast
    of the same instant beside it, so that their comparison stays fair.
    """
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "insert into expectation (home_id, target, at, issued_at, p50_w, naive_w) values (%s, %s, %s, %s, %s, %s)"
            " on conflict (home_id, target, at) do update set issued_at = excluded.issued_at, p50_w = excluded.p50_w,"
            " naive_w = excluded.naive_w where expectation.p50_w = expectation.naive_w"
            " and excluded.p50_w <> excluded.naive_w",
            [(home_id, *row) for row in rows],
        )


async def expected(connection: Connection, home_id: int, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """Return (target, step, median, naive forecast) of a span."""
    cursor = await connection.execute(
        "select target, at, p50_w, naive_w from expectation where home_id = %s and at >= %s and at < %s order by at",
        [home_id, start, end],
    )
    return await cursor.fetchall()


async def compared(connection: Connection, home_id: int, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """Compare what was expected with what was measured.

    Returns:
        (target, steps, mean absolute error of the forecast [W], of the naive forecast [W]) of each target.
    """
    cursor = await connection.execute(
        "select e.target, count(*), avg(abs(e.p50_w - a.actual_w)), avg(abs(e.naive_w - a.actual_w))"
        " from expectation e join quarter q on q.home_id = e.home_id and q.at = e.at,"
        " lateral (select greatest(case e.target when 'load' then q.load_w else q.pv_w end, 0) as actual_w) a"
        " where e.home_id = %s and e.at >= %s and e.at < %s"
        " and case e.target when 'load' then q.load_w else q.pv_w end is not null group by e.target",
        [home_id, start, end],
    )
    return await cursor.fetchall()
