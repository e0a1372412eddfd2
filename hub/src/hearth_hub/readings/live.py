"""The live stream: a home's present state about once a second, and word of every new plan."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import psycopg
import psycopg_pool

from hearth_core.clock import Clock
from hearth_hub.database.pool import Pool
from hearth_hub.doors import json_bytes
from hearth_hub.homes.service import get_home
from hearth_hub.prices.consumption import Remembered
from hearth_hub.readings.service import now_of

logger = logging.getLogger(__name__)

_PERIOD_S = 1.0  # of real time: a page cannot show more


async def live(pool: Pool, clock: Clock, agent: str, closing: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield server-sent events until the listener leaves or the process closes.

    A database that is away for a while pauses the stream instead of ending it.
    """
    version: int | None = None
    is_first = True
    remembered = Remembered()
    while not closing.is_set():
        try:
            async with pool.connection() as connection:
                state = await now_of(connection, await get_home(connection, agent), clock, remembered)
        except (psycopg.OperationalError, psycopg_pool.PoolTimeout):
            yield b": the database does not answer\n\n"
        else:
            yield _event("now", state)
            if not is_first and state["plan_version"] != version:
                yield _event("plan", {"version": state["plan_version"]})
            version, is_first = state["plan_version"], False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), _PERIOD_S)


def _event(name: str, content: dict[str, object]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(content) + b"\n\n"
