"""Whose turn it is on a shared wire: the earliest deadline first, equal ones in the order they came."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math


class Turns:
    """A lock that is handed to the waiter with the earliest deadline."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @property
    def earliest_s(self) -> float:
        """The earliest deadline among those who wait; infinite when nobody does."""
        return self._waiting[0][0] if self._waiting else math.inf

    async def take(self, deadline_s: float) -> None:
        """Wait for the turn; whoever gets it must call `release`."""
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (deadline_s, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was just handed over
                self.release()
            raise

    def release(self) -> None:
        """Hand the turn on."""
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
