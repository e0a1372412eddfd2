"""Connections for the processes that ask much and write little: API, worker and commands."""

from __future__ import annotations

from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
Pool: TypeAlias = AsyncConnectionPool[Connection]

# A request that cannot get a connection in this time is answered with an error instead of waiting with the others.
_WAIT_S = 5.0


def new_pool(database_url: str, largest: int = 6) -> Pool:
    """Return a pool; open it with ``async with``. Every statement is its own transaction unless one is opened."""
    return AsyncConnectionPool(
        database_url,
        connection_class=AsyncConnection[tuple[Any, ...]],
        kwargs={"autocommit": True},
        min_size=1,
        max_size=largest,
        timeout=_WAIT_S,
        open=False,
        check=AsyncConnectionPool.check_connection,
    )
