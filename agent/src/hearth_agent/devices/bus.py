"""One wire and the units behind it: a single connection, requests by deadline, and dead units that delay nobody.

A unit that answers takes its turn by deadline. One that does not is asked only while the wire would be idle anyway,
and not longer than until the next live unit is due, so that its time-out costs nobody anything. Deadlines and pauses
are real time (`time.monotonic`), because wires and devices live in it.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

from hearth_agent.devices.backoff import BackOff
from hearth_agent.devices.connection import Connection
from hearth_agent.devices.endpoint import Endpoint
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.question import Question
from hearth_agent.devices.turns import Turns

ORDER_S = 0.0
"""Deadline of what an order needs: before every poll."""
LATER_S = math.inf
"""Deadline of what nobody waits for."""
_NEXT_BURST_S = 0.02
# most devices answer within this time
_SHORTEST_PROBE_S = 0.2
# where the wire is never idle for a whole time-out, a slow unit gets one all the same, so rarely
_PATIENT_AGAIN_S = 60.0
# how long an order lets a silent unit finish, where a late answer could run into the order's
_PATIENCE_S = 0.3


@dataclass(frozen=True)
class Manners:
    """What a kind of device asks of those who talk to it."""

    timeout_s: float = 1.5
    min_gap_s: float = 0.0
    connect_delay_s: float = 0.0
    one_value_per_request: bool = False
    forgets_first_request: bool = False


def manners_of(profile: Profile) -> Manners:
    """Return the manners a profile asks for."""
    return Manners(
        profile.timeout_s,
        profile.min_gap_s,
        profile.connect_delay_s,
        profile.one_value_per_request,
        profile.forgets_first_request,
    )


@dataclass(eq=False)
class Station:
    """One unit as its bus sees it."""

    unit: int
    manners: Manners
    back_off: BackOff = field(default_factory=BackOff)
    answering: bool = False
    """Whether its last question was answered."""
    due_s: float = math.inf
    """When it will be asked next [s], as far as is known."""
    patient_at_s: float = 0.0
    """When it may be waited for a whole time-out although others are due [s]."""


class Bus:
    """The units behind one endpoint share it; it is open as long as one of them uses it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.back_off = BackOff()
        self.generation = 0
        """How often it was connected."""
        self._connection: Connection | None = None
        self._users: set[Station] = set()
        self._turns = Turns()
        self._opening = asyncio.Lock()
        self._last_s = 0.0
        self._last_gap_s = 0.0
        self._probing = False
        self._fruitful = False

    @property
    def connected(self) -> bool:
        """Whether the wire stands."""
        return self._connection is not None and self._connection.connected

    async def join(self, station: Station) -> None:
        """Use the bus; it is connected if it is not yet.

        Raises:
            OSError: It cannot be reached, or was tried in vain a moment ago.
        """
        self._users.add(station)
        async with self._opening:
            if self.connected:
                return
            if not self.back_off.over:
                raise ConnectionRefusedError("it is left alone for a while")
            connection = Connection(self.endpoint)
            try:
                await connection.open(station.manners.timeout_s)
                await asyncio.sleep(max(user.manners.connect_delay_s for user in self._users))
                self._connection, self._fruitful = connection, False
                self.generation += 1
            finally:
                if self._connection is not connection:  # also when whoever joins was cancelled
                    connection.close()
                    self.back_off.fail()

    def leave(self, station: Station) -> None:
        """Use it no longer; the last one closes it."""
        station.due_s, station.answering = math.inf, False
        self._users.discard(station)
        if not self._users:
            self.close()

    def close(self) -> None:
        """Drop the connection under everybody."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def ask(self, station: Station, question: Question, deadline_s: float, timeout_s: float) -> bytes:
        """Ask a unit when its turn has come.

        Args:
            station: Who is asked; it has joined.
            question: What is asked.
            deadline_s: When the answer is needed [s]; decides the order, never gives up by itself.
            timeout_s: How long an answer may take [s]; less for a silent unit while others are due.

        Returns:
            The answer without its frame; not yet compared with the question.

        Raises:
            TimeoutError: The unit did not answer.
            ConnectionAbortedError: The connection was gone before the unit was asked.
            ConnectionError: The connection was lost over this question.
        """
        if deadline_s == ORDER_S and self._probing and self._connection is not None:
            self._connection.cut_short(0.0 if self.endpoint.numbered else _PATIENCE_S)
        if station.answering:
            await self._turns.take(deadline_s)
        else:
            timeout_s = await self._idle_turn(station, timeout_s)
        try:
            self._probing = not station.answering
            await self._keep_gap(station)
            if self._probing and self._turns.earliest_s == ORDER_S:
                timeout_s = min(timeout_s, _PATIENCE_S)
            if self._connection is None or not self._connection.connected:
                raise ConnectionAbortedError("the connection is gone")
            try:
                answer = await self._connection.exchange(station.unit, question, timeout_s)
            except ConnectionError:
                if not self._fruitful:  # else somebody behind it is well, and may connect again at once
                    self.back_off.fail()
                raise
            except TimeoutError:
                if timeout_s >= station.manners.timeout_s:
                    station.patient_at_s = time.monotonic() + _PATIENT_AGAIN_S
                raise
            finally:
                self._last_s, self._last_gap_s = time.monotonic(), station.manners.min_gap_s
        finally:
            self._probing = False
            self._turns.release()
        self._fruitful = True
        self.back_off.reset()
        return answer

    async def _idle_turn(self, station: Station, timeout_s: float) -> float:
        """Take a turn that nobody else wants, and return how long the unit may take to answer [s]."""
        while True:
            await self._turns.take(LATER_S)
            now_s = time.monotonic()
            window_s = self._next_due_s(station) - now_s
            if window_s >= timeout_s or now_s >= station.patient_at_s:
                return timeout_s
            if window_s >= _SHORTEST_PROBE_S:
                return window_s
            self._turns.release()
            await asyncio.sleep(max(window_s, 0.0) + _NEXT_BURST_S)

    def _next_due_s(self, station: Station) -> float:
        due = (user.due_s for user in self._users if user.answering and user is not station)
        return min(due, default=math.inf)

    async def _keep_gap(self, station: Station) -> None:
        gap_s = max(self._last_gap_s, station.manners.min_gap_s, self.endpoint.silence_s)
        wait_s = self._last_s + gap_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
