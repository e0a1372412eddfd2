"""SQL of events."""

from __future__ import annotations

from typing import Any

from hearth_hub.database.pool import Connection


async def newest(connection: Connection, home_id: int, limit: int) -> list[tuple[Any, ...]]:
    """Return (at, level, kind, device, text) of the newest events, newest first."""
    cursor = await connection.execute(
        "select at, level, kind, device, text from event where home_id = %s order by at desc, id desc limit %s",
        [home_id, limit],
    )
    return await cursor.fetchall()
