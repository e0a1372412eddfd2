"""SQL of the worker's agenda: which homes something is due for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hearth_hub.database.pool import Connection
from hearth_hub.forecasts.repository import NAIVE
from hearth_hub.homes.repository import Home, homes_of

MOST_DUE = 200
"""So many homes are named at once."""


@dataclass(frozen=True)
class Entry:
    """A home that needs a plan, and when it got the last one."""

    home: Home
    planned_at: datetime | None
    has_first_forecast: bool
    """Whether it waited for a learned forecast of its agent, and has got one since the last plan."""


async def due(connection: Connection, quarter: datetime, waiting: list[int], not_yet: list[int]) -> list[Entry]:
    """Return homes that are there and have no plan of this quarter-hour, those that have waited longest first.

    Args:
        connection: Database.
        quarter: Start of the running quarter-hour.
        waiting: Homes that get another plan as soon as their agent has forecast.
        not_yet: Homes to leave out: they were tried, and it is too early to try again.
    """
    cursor = await connection.execute(
        "select h.id, p.issued_at, coalesce(h.id = any(%(waiting)s) and f.issued_at > p.issued_at, false)"
        " from home h"
        " left join lateral (select issued_at from plan where home_id = h.id order by version desc limit 1) p on true"
        " left join forecast f on f.home_id = h.id and h.id = any(%(waiting)s) and exists"
        " (select 1 from json_array_elements(f.message -> 'series') s where s ->> 'model' <> %(naive)s)"
        " where h.site is not null and h.state = 'online' and not h.id = any(%(not_yet)s) and (p.issued_at is null"
        " or p.issued_at < %(quarter)s or f.issued_at > p.issued_at) order by p.issued_at nulls first limit %(most)s",
        {"quarter": quarter, "waiting": waiting, "not_yet": not_yet, "naive": NAIVE, "most": MOST_DUE},
    )
    found = {row[0]: row[1:] for row in await cursor.fetchall()}
    homes = await homes_of(connection, list(found))
    return [Entry(homes[home_id], *row) for home_id, row in found.items()]


async def homes_with_site(connection: Connection) -> list[int]:
    """Return every home that has told what it is."""
    cursor = await connection.execute("select id from home where site is not null order by id")
    return [row[0] for row in await cursor.fetchall()]
