"""Whether the wall clock may choose the slot of a plan.

Intervals are measured with a clock that never goes back, so a wrong wall clock can do one thing only: choose another
hour's order. It is believed while it runs beside the other clock. After a jump it is believed again when it has come
back, or when it has gone on steadily for some minutes at its new place.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import NamedTuple

from hearth_agent.events import EventLog
from hearth_core.clock import Clock, RealClock

JUMP_S = 60.0
STEADY_S = 300.0
"""How long a clock that has jumped must go on without another jump."""
EARLIEST_S = 1_735_689_600.0
"""2025-01-01: no machine that runs this agent can be there honestly."""
BOOTING_S = 600.0
"""A machine without a clock of its own starts with an old time and gets the right one from the network. Where the
kernel says that nobody has set its clock, it has so long to come; after that the machine does without."""
_SLEW_S = 3600.0
_TIME_ERROR = 5
_TIMEX_BYTES = 512


class _Place(NamedTuple):
    """Where the wall clock stands beside the steady one."""

    offset_s: float
    since_s: float

    def holds(self, offset_s: float) -> bool:
        return abs(offset_s - self.offset_s) <= JUMP_S


class TimeTrust:
    """Watches one clock; `look` is called with every step of the controller."""

    def __init__(self, *, of_machine: bool, synced: Callable[[], bool | None]) -> None:
        """Watch a clock.

        Args:
            of_machine: It is the machine's own; a demo's clock may live in any year, and nobody sets it.
            synced: Tells whether the kernel's clock is disciplined; None when that cannot be known.
        """
        self._of_machine, self._synced = of_machine, synced
        self._home: _Place | None = None
        self._new: _Place | None = None
        self.trusted = not of_machine

    @classmethod
    def of(cls, clock: Clock) -> TimeTrust:
        """Return the watch over the clock an agent was given."""
        return cls(of_machine=isinstance(clock, RealClock), synced=kernel_synced)

    def look(self, wall_s: float, tick_s: float) -> bool:
        """Compare the clocks and tell whether the wall clock is believed.

        Args:
            wall_s: Seconds since 1970-01-01 UTC; may jump.
            tick_s: Seconds since the machine has started; never goes back.
        """
        self.trusted = self._is_plausible(wall_s, tick_s) and self._is_at_home(wall_s - tick_s, tick_s)
        return self.trusted

    def _is_plausible(self, wall_s: float, tick_s: float) -> bool:
        if not self._of_machine:
            return True
        if wall_s < EARLIEST_S:
            return False
        return tick_s >= BOOTING_S or self._synced() is not False

    def _is_at_home(self, offset_s: float, tick_s: float) -> bool:
        if self._home is None:
            self._home = _Place(offset_s, tick_s)
        elif self._home.holds(offset_s):
            if tick_s - self._home.since_s >= _SLEW_S:  # clocks drift, and are put right slowly
                self._home = _Place(offset_s, tick_s)
        elif self._new is None or not self._new.holds(offset_s):
            self._new = _Place(offset_s, tick_s)
            return False
        elif tick_s - self._new.since_s < STEADY_S:
            return False
        else:
            self._home = _Place(offset_s, tick_s)
        self._new = None
        return True


def kernel_synced() -> bool | None:
    """Ask Linux whether its clock is disciplined (adjtimex, which only reads here); None elsewhere."""
    if sys.platform != "linux":
        return None
    answer = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return None if answer < 0 else answer != _TIME_ERROR


class TimeWatch:
    """Asks before each step whether the agent's clock is believed, and tells when that changes."""

    def __init__(self, clock: Clock, events: EventLog) -> None:
        self._clock, self._events = clock, events
        self._trust, self._doubted = TimeTrust.of(clock), False

    def __call__(self) -> bool:
        """Tell whether the wall clock may choose a plan's slot."""
        trusted = self._trust.look(self._clock.time(), self._clock.monotonic())
        if trusted and self._doubted:
            self._events.info("clock_trusted", "the clock goes steadily; plans are followed again")
        elif not (trusted or self._doubted):
            self._events.error("clock_not_trusted", "the clock jumped or was never set; no plan is followed")
        self._doubted = not trusted
        return trusted
