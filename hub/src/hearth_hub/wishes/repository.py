"""SQL of wishes: one row for each device that is overridden, and for each side of the grid connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hearth_hub.database.pool import Connection

_SELECT = (
    "select w.home_id, h.agent, w.kind, w.target, w.version, w.message::text"
    " from wish w join home h on h.id = w.home_id"
)


@dataclass(frozen=True)
class Wish:
    """A message for an agent."""

    home_id: int
    agent: str
    kind: str
    """The topic's first part."""
    target: str
    """The topic's second part."""
    version: int
    message: bytes


async def next_version(connection: Connection, home_id: int, kind: str, target: str, now_ms: int) -> int:
    """Return a version above all before: never below the clock, for rows are forgotten and agents are not."""
    cursor = await connection.execute(
        "select version from wish where home_id = %s and kind = %s and target = %s for update", [home_id, kind, target]
    )
    row = await cursor.fetchone()
    return max(now_ms, row[0] + 1 if row else 1)


async def store(
    connection: Connection, home_id: int, kind: str, target: str, version: int, ends_at: datetime | None, message: bytes
) -> None:
    """Put a message in the place of the one before it."""
    await connection.execute(
        "insert into wish (home_id, kind, target, version, ends_at, message) values (%s, %s, %s, %s, %s, %s)"
        " on conflict (home_id, kind, target) do update set version = excluded.version, ends_at = excluded.ends_at,"
        " message = excluded.message, is_told = false where wish.version < excluded.version",
        [home_id, kind, target, version, ends_at, message.decode()],
    )


async def to_tell(connection: Connection, at: datetime, *, again: bool) -> list[Wish]:
    """Return what was not told, or everything that lasts."""
    cursor = await connection.execute(
        _SELECT + " where (not w.is_told or %s) and (w.ends_at is null or w.ends_at > %s)"
        " order by w.home_id, w.kind, w.target",
        [again, at],
    )
    return [_wish(row) for row in await cursor.fetchall()]


async def told(connection: Connection, wish: Wish) -> None:
    """Note that a message was published."""
    await connection.execute(
        "update wish set is_told = true where home_id = %s and kind = %s and target = %s and version = %s",
        [wish.home_id, wish.kind, wish.target, wish.version],
    )


async def ended(connection: Connection, at: datetime) -> list[Wish]:
    """Return what is over; its retained message is to be cleared."""
    cursor = await connection.execute(_SELECT + " where w.ends_at <= %s", [at])
    return [_wish(row) for row in await cursor.fetchall()]


async def forget(connection: Connection, wish: Wish) -> None:
    """Delete what is over and cleared."""
    await connection.execute(
        "delete from wish where home_id = %s and kind = %s and target = %s and version = %s",
        [wish.home_id, wish.kind, wish.target, wish.version],
    )


def _wish(row: tuple[Any, ...]) -> Wish:
    home_id, agent, kind, target, version, message = row
    return Wish(home_id, agent, kind, target, version, message.encode())
