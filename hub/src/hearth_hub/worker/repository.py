"""SQL of the worker's agenda: everything that decides what is due, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hearth_hub.database.pool import Connection
from hearth_hub.forecasts.repository import NAIVE
from hearth_hub.homes.repository import Home, list_homes


@dataclass(frozen=True)
class Entry:
    """One home, and when things were last done for it."""

    home: Home
    stale_from: datetime | None
    planned_at: datetime | None
    forecast_at: datetime | None
    """When the agent's newest forecast was made, if it is a learned one."""


async def agenda(connection: Connection) -> list[Entry]:
    """Return every home that has told what it is."""
    cursor = await connection.execute(
        "select h.id, h.stale_from,"
        " (select issued_at from plan p where p.home_id = h.id order by version desc limit 1),"
        " (select f.issued_at from forecast f where f.home_id = h.id and exists"
        " (select 1 from json_array_elements(f.message -> 'series') s where s ->> 'model' <> %s))"
        " from home h where h.site is not null",
        [NAIVE],
    )
    done = {row[0]: row[1:] for row in await cursor.fetchall()}
    return [Entry(home, *done[home.id]) for home in await list_homes(connection) if home.id in done]
