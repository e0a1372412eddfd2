"""Make messages of wishes and store them; the worker signs and publishes them."""

from __future__ import annotations

import msgspec

from hearth_core.messages import GridLimit, Override, encode
from hearth_core.topics import GRID_LIMIT, OVERRIDE
from hearth_core.wishes import misfit
from hearth_hub.database.pool import Connection
from hearth_hub.errors import RequestError
from hearth_hub.homes.repository import list_devices
from hearth_hub.homes.service import get_home
from hearth_hub.timing import instant
from hearth_hub.wishes import repository
from hearth_hub.wishes.schemas import GridLimitRequest, OverrideRequest, Sent

_LIFTED_FOR_MS = 7 * 86_400 * 1000


async def override(connection: Connection, agent: str, asked: OverrideRequest, now_ms: int) -> Sent:
    """Store the owner's wish for a device.

    Raises:
        RequestError: The home has no such device, or it cannot do what is asked.
    """
    home = await get_home(connection, agent)
    kinds = {device.device: device.kind for device in await list_devices(connection, home.id)}
    if asked.device not in kinds:
        raise RequestError("device", asked.device, f"{agent} has {', '.join(kinds)}")
    if wrong := misfit(kinds[asked.device], asked.battery, asked.power_w, asked.current_a, asked.heat_mode):
        raise RequestError(wrong[0], getattr(asked, wrong[0]), wrong[1])
    async with connection.transaction():
        version = await repository.next_version(connection, home.id, OVERRIDE, asked.device, now_ms)
        message = Override(
            home=agent,
            version=version,
            issued_ms=now_ms,
            until_ms=now_ms + int(asked.for_s * 1000),
            **asked.model_dump(exclude={"for_s"}),
        )
        return await _store(connection, home.id, OVERRIDE, asked.device, message, message.until_ms)


async def grid_limit(connection: Connection, agent: str, asked: GridLimitRequest, now_ms: int) -> Sent:
    """Store an order of the grid operator."""
    home = await get_home(connection, agent)
    async with connection.transaction():
        version = await repository.next_version(connection, home.id, GRID_LIMIT, asked.side, now_ms)
        message = GridLimit(home=agent, version=version, issued_ms=now_ms, **asked.model_dump())
        ends_ms: int | None = None
        if asked.limit_w is None:
            ends_ms = now_ms + _LIFTED_FOR_MS
        elif asked.duration_s is not None:
            ends_ms = now_ms + int(asked.duration_s * 1000)
        return await _store(connection, home.id, GRID_LIMIT, asked.side, message, ends_ms)


async def _store(
    connection: Connection, home_id: int, kind: str, target: str, message: Override | GridLimit, ends_ms: int | None
) -> Sent:
    ends_at = None if ends_ms is None else instant(ends_ms)
    await repository.store(connection, home_id, kind, target, message.version, ends_at, encode(message))
    return Sent(version=message.version, ends_at_ms=ends_ms)


def message_of(wish: repository.Wish) -> msgspec.Struct:
    """Return the message of a stored wish."""
    return msgspec.json.decode(wish.message, type=Override if wish.kind == OVERRIDE else GridLimit)
