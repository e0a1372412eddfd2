"""SQL of homes and devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from hearth_core.site import Site
from hearth_hub.database.pool import Connection

_HOME = "id, agent, site::text, state, mode, reason, plan_version, lag_s, status_at, epoch"


@dataclass(frozen=True)
class Home:
    """A home as its agent last described it; without a birth certificate there is no site yet."""

    id: int
    agent: str
    site: Site | None
    state: str
    mode: str
    reason: str
    plan_version: int
    lag_s: float
    status_at: datetime | None
    epoch: str | None


@dataclass(frozen=True)
class Device:
    """One device of a home."""

    id: int
    device: str
    kind: str | None
    profile: str
    manufacturer: str
    model: str
    serial: str
    points: list[str]
    controlled: bool


async def list_homes(connection: Connection) -> list[Home]:
    """Return every home by name."""
    cursor = await connection.execute(f"select {_HOME} from home order by agent")  # noqa: S608  own column names
    return [_home(row) for row in await cursor.fetchall()]


async def find_home(connection: Connection, agent: str) -> Home | None:
    """Return one home."""
    cursor = await connection.execute(f"select {_HOME} from home where agent = %s", [agent])  # noqa: S608
    row = await cursor.fetchone()
    return _home(row) if row else None


async def homes_of(connection: Connection, ids: list[int]) -> dict[int, Home]:
    """Return some homes by id."""
    cursor = await connection.execute(f"select {_HOME} from home where id = any(%s)", [ids])  # noqa: S608
    return {row[0]: _home(row) for row in await cursor.fetchall()}


async def list_devices(connection: Connection, home_id: int) -> list[Device]:
    """Return the devices of a home."""
    cursor = await connection.execute(
        "select id, device, kind, profile, manufacturer, model, serial, points, controlled from device"
        " where home_id = %s order by device",
        [home_id],
    )
    return [Device(*row) for row in await cursor.fetchall()]


def _home(row: tuple[Any, ...]) -> Home:
    site = msgspec.json.decode(row[2], type=Site) if row[2] else None
    return Home(row[0], row[1], site, *row[3:])
