"""SQL of plans."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hearth_core.messages import Plan, encode
from hearth_hub.database.pool import Connection
from hearth_hub.timing import instant

# Whole plans are kept for this long; afterwards their figures stay.
_KEPT = timedelta(days=2)


@dataclass(frozen=True)
class PlanFigures:
    """How planning went over a span."""

    made: int
    solve_ms_p50: float | None
    solve_ms_p99: float | None
    broken_wishes: int


async def store(connection: Connection, home_id: int, plan: Plan) -> None:
    """Store a plan, and drop the body of old ones."""
    issued = instant(plan.issued_ms)
    await connection.execute(
        "insert into plan (home_id, version, issued_at, policy, solve_ms, broken_wishes, message)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [
            home_id,
            plan.version,
            issued,
            plan.policy,
            plan.solve_ms,
            len(plan.broken_wishes),
            encode(plan).decode(),
        ],
    )
    await connection.execute(
        "update plan set message = null where home_id = %s and message is not null and issued_at < %s",
        [home_id, issued - _KEPT],
    )


async def latest_message(connection: Connection, home_id: int) -> bytes | None:
    """Return the newest plan as JSON."""
    cursor = await connection.execute(
        "select message::text from plan where home_id = %s order by version desc limit 1", [home_id]
    )
    row = await cursor.fetchone()
    return row[0].encode() if row and row[0] else None


async def latest_version(connection: Connection, home_id: int) -> int | None:
    """Return the version of the newest plan."""
    cursor = await connection.execute("select max(version) from plan where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return row[0] if row else None


async def last_issued(connection: Connection, home_id: int) -> datetime | None:
    """Return when the newest plan was made."""
    cursor = await connection.execute("select max(issued_at) from plan where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return row[0] if row else None


async def first_issued(connection: Connection, home_id: int) -> datetime | None:
    """Return since when the hub has planned for a home."""
    cursor = await connection.execute("select min(issued_at) from plan where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return row[0] if row else None


async def figures(connection: Connection, home_id: int, start: datetime, end: datetime) -> PlanFigures:
    """Return how planning went over a span."""
    cursor = await connection.execute(
        "select count(*), percentile_cont(0.5) within group (order by solve_ms),"
        " percentile_cont(0.99) within group (order by solve_ms), coalesce(sum(broken_wishes), 0)"
        " from plan where home_id = %s and issued_at >= %s and issued_at < %s",
        [home_id, start, end],
    )
    row = await cursor.fetchone()
    return PlanFigures(*row) if row else PlanFigures(0, None, None, 0)
