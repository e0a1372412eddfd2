"""SQL of the ledger."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import date

from hearth_hub.database.pool import Connection


@dataclass(frozen=True)
class DayRow:
    """What one local day cost, and would have cost otherwise [EUR]."""

    day: date
    realised_eur: float
    no_battery_eur: float
    self_consumption_eur: float
    night_timer_eur: float
    perfect_foresight_eur: float
    complete: bool
    """False while the day runs, or readings of it are missing."""


async def upsert(connection: Connection, home_id: int, row: DayRow) -> None:
    """Store a day."""
    await connection.execute(
        "insert into savings (home_id, day, realised_eur, no_battery_eur, self_consumption_eur, night_timer_eur,"
        " perfect_foresight_eur, complete) values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (home_id, day)"
        " do update set realised_eur = excluded.realised_eur, no_battery_eur = excluded.no_battery_eur,"
        " self_consumption_eur = excluded.self_consumption_eur, night_timer_eur = excluded.night_timer_eur,"
        " perfect_foresight_eur = excluded.perfect_foresight_eur, complete = excluded.complete",
        [home_id, *astuple(row)],
    )


async def last_days(connection: Connection, home_id: int, days: int) -> list[DayRow]:
    """Return the newest days, oldest first."""
    cursor = await connection.execute(
        "select day, realised_eur, no_battery_eur, self_consumption_eur, night_timer_eur, perfect_foresight_eur,"
        " complete from savings where home_id = %s order by day desc limit %s",
        [home_id, days],
    )
    return [DayRow(*row) for row in reversed(await cursor.fetchall())]


async def complete_days(connection: Connection, home_id: int, since: date) -> set[date]:
    """Return the days that need no further reckoning."""
    cursor = await connection.execute(
        "select day from savings where home_id = %s and day >= %s and complete", [home_id, since]
    )
    return {row[0] for row in await cursor.fetchall()}
