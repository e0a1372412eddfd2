"""SQL of plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hearth_core.messages import Plan, decode, encode
from hearth_hub.database.pool import Connection
from hearth_hub.plans.quarters import QUARTER_MS, Quarter, quarter_of, said_of
from hearth_hub.timing import instant, milliseconds

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
    """Store a plan with what it says of the running quarter-hour, and drop the body of old ones."""
    issued = instant(plan.issued_ms)
    running_ms = quarter_of(plan.issued_ms)
    quarters = said_of(plan, running_ms, running_ms + QUARTER_MS)
    if (before := await in_force_since_before(connection, home_id, running_ms - QUARTER_MS)) is not None:
        quarters = said_of(before, quarter_of(before.issued_ms) + QUARTER_MS, running_ms) + quarters
    await _keep_quarters(connection, home_id, quarters)
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


async def in_force_since_before(connection: Connection, home_id: int, start_ms: int) -> Plan | None:
    """Return the newest plan if it was made before an instant: then quarter-hours passed in which none was made."""
    cursor = await connection.execute(
        "select case when issued_at < %s then message::text end from plan where home_id = %s"
        " order by version desc limit 1",
        [instant(start_ms), home_id],
    )
    row = await cursor.fetchone()
    return decode(row[0].encode(), Plan) if row and row[0] else None


async def _keep_quarters(connection: Connection, home_id: int, quarters: Iterable[Quarter]) -> None:
    """Keep what was planned for quarter-hours; of one with two plans the newer has the last word."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "insert into plan_step (home_id, at, version, mode, reason, soc_percent) values (%s, %s, %s, %s, %s, %s)"
            " on conflict (home_id, at) do update set version = excluded.version, mode = excluded.mode,"
            " reason = excluded.reason, soc_percent = excluded.soc_percent where plan_step.version < excluded.version",
            [(home_id, instant(one.start_ms), one.version, one.mode, one.reason, one.soc_percent) for one in quarters],
        )


async def quarters_between(connection: Connection, home_id: int, start: datetime, end: datetime) -> list[Quarter]:
    """Return what was planned for the quarter-hours of a span, oldest first."""
    cursor = await connection.execute(
        "select at, version, mode, reason, soc_percent from plan_step where home_id = %s and at >= %s and at < %s"
        " order by at",
        [home_id, start, end],
    )
    return [Quarter(milliseconds(row[0]), *row[1:]) for row in await cursor.fetchall()]


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


async def rule_days(connection: Connection, home_id: int, timezone: str, since: date) -> set[date]:
    """Return the local days on which a home was told, for all or some of the day, to follow the rule."""
    cursor = await connection.execute(
        "select distinct (issued_at at time zone %(timezone)s)::date from plan where home_id = %(home)s"
        " and policy = 'rule' and issued_at >= %(since)s::timestamp at time zone %(timezone)s",
        {"home": home_id, "timezone": timezone, "since": since},
    )
    return {row[0] for row in await cursor.fetchall()}


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
