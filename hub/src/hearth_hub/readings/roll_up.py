"""The roll-up: what has been stored becomes minutes, quarter-hours, days and the flows of homes.

Newest first and in portions, each a transaction of its own: a home that comes back after a week, or a thousand homes
that drain a day, hold nobody up whose readings are of now. Ingest and roll-up never wait for each other: ingest appends
to ``stale`` in the transaction that stores the readings, the roll-up deletes exactly the spans it has seen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from hearth_hub.database.pool import Connection
from hearth_hub.readings import rollup_repository as repository
from hearth_hub.readings.aggregates import DAY, MINUTE, QUARTER, WIDTHS
from hearth_hub.readings.rollup_repository import Portion, Which, after, floored

_SHORTEST = timedelta(minutes=15)
_LONGEST = timedelta(days=8)
_QUICK_S, _SLOW_S = 0.25, 1.0
# TimescaleDB computes up to here by itself; nearer to the present it reads readings.
_BEHIND = timedelta(minutes=10)
_FAR_BEHIND = timedelta(hours=1)


@dataclass
class RollUp:
    """Rolls up portion by portion, newest first.

    A reading is found by its instant, so a portion costs what all homes have stored between its first and its last
    reading. Its window begins short and grows only as far as it proves to be quick.
    """

    home_id: int | None = None
    """Only this home; None = all."""
    _window: timedelta = _SHORTEST
    _upto: int | None = None
    _is_continuous: bool | None = None

    def begin(self) -> None:
        """Begin at the newest readings, with a short window again."""
        self._window = _SHORTEST

    async def everything(self, connection: Connection) -> None:
        """Roll up all that is stale now; what is stored meanwhile is left to the next time."""
        self._upto = await repository.last_stale_id(connection)
        while await self.portion(connection):
            pass
        while await self.days(connection):
            pass
        self._upto = None

    async def portion(self, connection: Connection) -> bool:
        """Roll up the newest window in which something is stale.

        Returns:
            False when nothing was stale.
        """
        if self._is_continuous is None:
            self._is_continuous = await repository.is_continuous(connection)
        began_s = time.monotonic()
        portion = await (self._from_continuous if self._is_continuous else self._by_hand)(connection)
        if portion is None:
            return False
        took_s = time.monotonic() - began_s
        first, last = portion.span() if portion.homes else (portion.start, portion.start)
        if took_s > _SLOW_S:
            self._window = max(self._window / 2, _SHORTEST)
        elif took_s < _QUICK_S and last - first > self._window / 2:
            self._window = min(2 * self._window, _LONGEST)
        return True

    async def days(self, connection: Connection) -> bool:
        """Bring some of the days up to date that portions have touched.

        Returns:
            False when there was none.
        """
        if self._is_continuous:
            return False  # TimescaleDB does it
        async with connection.transaction():
            await repository.lock(connection)
            marked = await repository.take_days(connection, self.home_id)
            if marked is not None:
                await repository.aggregate(connection, marked, DAY)
        return marked is not None

    async def _by_hand(self, connection: Connection) -> Portion | None:
        async with connection.transaction():
            await repository.lock(connection)
            await connection.execute("set local work_mem = '32MB'")  # a portion is sorted by device, and that is wide
            portion = await self._take(connection)
            if portion is None:
                return None
            if portion.homes:
                await repository.aggregate(connection, portion, MINUTE)
                await repository.aggregate(connection, portion, QUARTER)
                await repository.mark_days(connection, portion)
                await repository.compose_quarters(connection, portion)
            await repository.forget(connection, portion)
        return portion

    async def _from_continuous(self, connection: Connection) -> Portion | None:
        portion = await self._take(connection)
        if portion is None:
            return None
        if portion.homes:
            # outside of a transaction, as it must be; what is stored meanwhile has a span of its own
            await _refresh(connection, *portion.span())
        async with connection.transaction():
            await repository.lock(connection)
            if portion.homes:
                await repository.compose_quarters(connection, portion)
            await repository.forget(connection, portion)
        return portion

    async def _take(self, connection: Connection) -> Portion | None:
        which = Which(self.home_id, self._upto)
        newest = await repository.newest_stale(connection, which)
        if newest is None:
            return None
        return await repository.take(connection, floored(newest - self._window, QUARTER), newest, which)


async def _refresh(connection: Connection, first: datetime, last: datetime) -> None:
    """Tell TimescaleDB what came late; it reads by itself what is newer than all it has computed."""
    computed = await repository.computed_until(connection)
    for width in WIDTHS:
        start, until = floored(first, width), computed.get(width.table)
        end = floored(last - _BEHIND, width)
        if until is None or end - until > _FAR_BEHIND:
            start = min(start, until or start)  # it never computes by itself what lies before the end of what it has
        else:
            end = min(after(last, width), until)
        if start < end:
            await repository.refresh(connection, width, start, end)
