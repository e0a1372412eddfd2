"""What may be asked about homes."""

from __future__ import annotations

from typing import Any

import msgspec

from hearth_hub.database.pool import Connection
from hearth_hub.errors import NotFoundError
from hearth_hub.homes import repository
from hearth_hub.homes.repository import Home
from hearth_hub.homes.schemas import DeviceDetails, HomeDetails, HomeSummary


async def list_homes(connection: Connection) -> list[HomeSummary]:
    """Return every home."""
    return [
        HomeSummary(home=home.agent, name=_name(home), state=home.state, timezone=home.site and home.site.timezone)
        for home in await repository.list_homes(connection)
    ]


async def get_home(connection: Connection, agent: str) -> Home:
    """Return one home.

    Raises:
        NotFoundError: There is none of this name.
    """
    home = await repository.find_home(connection, agent)
    if home is None:
        raise NotFoundError("home", agent, f"there is no home called {agent!r}", "GET /api/homes lists them.")
    return home


async def describe(connection: Connection, agent: str) -> HomeDetails:
    """Return one home with its devices."""
    home = await get_home(connection, agent)
    devices = await repository.list_devices(connection, home.id)
    site: dict[str, Any] | None = msgspec.to_builtins(home.site) if home.site else None
    return HomeDetails(
        home=home.agent,
        name=_name(home),
        timezone=home.site and home.site.timezone,
        state=home.state,
        site=site,
        battery=site["battery"] if site else None,
        devices=[DeviceDetails.model_validate(device, from_attributes=True) for device in devices],
    )


def _name(home: Home) -> str:
    return home.site.name if home.site else home.agent
