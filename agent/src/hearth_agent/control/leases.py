"""The lease that carries one order to one device, and brings the device back into its own mode.

The controller only says what it wants; a task of each lease does the writing, so that a device that hangs delays
neither the controller nor another device. Written is on change, with a dead band; a timed order is written again at
half the device's reversion time, and not at all while the device is in its own mode. Every write is read back: where
that fails the device is *unknown*, and the only thing it is told until it obeys is its safe state.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from enum import StrEnum

from hearth_agent.control.orders import Interval
from hearth_agent.devices.device import Device
from hearth_agent.devices.errors import DeviceError
from hearth_agent.devices.profile import ControlSpec, SafetyClass
from hearth_agent.events import EventLog
from hearth_core.clock import Clock

logger = logging.getLogger(__name__)

POWER_STEP_W = 50.0
# a little more power is not worth a write, nor soon after the last one; less power always is
_MORE_W = 200.0
_MORE_AFTER_S = 30.0
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 60.0

Variables = Mapping[str, float]
_FORGOTTEN: Variables = {}


class LeaseState(StrEnum):
    """What is known about the device's side."""

    UNKNOWN = "unknown"
    OWN = "own"
    HELD = "held"


class Lease:
    """One control of one device. ``None`` as an order means the device's own mode."""

    def __init__(self, device: Device, control: ControlSpec, clock: Clock, events: EventLog) -> None:
        self.device = device
        self._control, self._clock, self._events = control, clock, events
        self._wanted: Variables | None = None
        self._written: Variables | None = None
        self.state = LeaseState.UNKNOWN
        self.changes = 0
        """Orders written because they changed (safe states included)."""
        self.refreshes = 0
        """Orders written only to keep them alive."""
        self._written_s = -math.inf
        self._retry_s = 0.0
        self._retry_at_s = -math.inf
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._released = False
        self._connections = 0

    def want(self, order: Variables | None) -> None:
        """Say what the device should do now; cheap, never waits."""
        if self._released:
            return
        self._wanted = order
        now_s = self._clock.monotonic()
        if now_s < self._retry_at_s:
            return
        if self.device.connections != self._connections and self.state is LeaseState.HELD:
            self._written = _FORGOTTEN  # the device may have been restarted: tell it again
        if self.state is LeaseState.UNKNOWN or order != self._written or self._refresh_due(now_s):
            self._due.set()

    def since_write_s(self) -> float:
        """Return how long ago the device was last told something [s]."""
        return self._clock.monotonic() - self._written_s

    @property
    def order(self) -> Variables | None:
        """The order in force; None for the device's own mode, or unknown."""
        return self._written or None

    def _refresh_due(self, now_s: float) -> bool:
        lease_s = self._control.lease_s
        held = self.state is LeaseState.HELD and self._control.safety_class is SafetyClass.TIMED
        return held and lease_s is not None and now_s - self._written_s >= lease_s / 2

    async def run(self) -> None:
        """Write whenever something is due; the safe state comes first."""
        while True:
            await self._due.wait()
            self._due.clear()
            async with self._writing:
                if not self._released:
                    await self._write()

    async def release(self) -> bool:
        """Put the device back into its own mode, for good; True when it obeyed."""
        self._released = True
        async with self._writing:
            if self.state is LeaseState.OWN:
                return True
            return await self._tell(None)

    async def _write(self) -> None:
        if self.state is LeaseState.UNKNOWN and not await self._tell(None):
            return
        if self._wanted != self._written:
            await self._tell(self._wanted)
        elif self._refresh_due(self._clock.monotonic()) and self._written:
            await self._tell(self._written, refresh=True)

    async def _tell(self, order: Variables | None, *, refresh: bool = False) -> bool:
        """Write an order or the safe state and compare; tell an outage once."""
        control = self._control
        writes = control.safe if order is None else control.refresh if refresh else control.order
        variables: Variables = {} if order is None else {**order, "lease_s": control.lease_s or 0.0}
        started_s = self._clock.monotonic()
        try:
            obeyed = await self.device.apply(writes, variables, again=refresh)
            why = "reads back something else than was written"
        except DeviceError as error:
            obeyed, why = False, str(error)
        if not obeyed:
            self._failed(why)
            return False
        if self._retry_s:
            self._events.info("control_back", "obeys again", self.device.id)
        self._retry_s, self._retry_at_s = 0.0, -math.inf
        if refresh:
            self.refreshes += 1
        else:
            self.changes += 1
        self._written, self._written_s, self._connections = order, started_s, self.device.connections
        self.state = LeaseState.OWN if order is None else LeaseState.HELD
        return True

    def _failed(self, why: str) -> None:
        if not self._retry_s:
            self._events.error("control_unknown", f"{why}; its state is unknown until it obeys", self.device.id)
        self.state, self._written = LeaseState.UNKNOWN, None
        self._retry_s = min(max(2 * self._retry_s, _FIRST_RETRY_S), _LONGEST_RETRY_S)
        self._retry_at_s = self._clock.monotonic() + self._retry_s


def battery_order(wanted: Interval | None, widest: Interval, lease: Lease) -> Variables | None:
    """Turn an interval into an order worth writing: rounded towards safety, steady inside a dead band.

    Args:
        wanted: What the controller allows now; None or the widest interval is the device's own mode.
        widest: The device's own mode.
        lease: Whose present order is kept while the new one is nearly the same.
    """
    if wanted is None or wanted.contains(widest):
        return None
    low, high = _rounded(wanted)
    current = lease.order
    if current is not None:
        pairs = ((-current["charge_w"], low), (current["discharge_w"], high))
        changed = any(_gentler(old, new) for old, new in pairs)
        more_w = max(abs(new - old) for old, new in pairs)
        if not changed and (more_w < _MORE_W or lease.since_write_s() < _MORE_AFTER_S):
            return current
    # a forced charge is the only order that may take power from the grid
    return {"charge_w": -low, "discharge_w": high, "grid_charge": 1.0 if high < 0 else 0.0}


def _gentler(old: float, new: float) -> bool:
    """Tell whether a bound moves towards 0, or to another side of it (which is another mode)."""
    return abs(new) < abs(old) or old * new < 0 or (old == 0) != (new == 0)


def ev_order(limit_a: float | None) -> Variables | None:
    """Turn a current limit into an order: 0 pauses and leaves the current alone."""
    if limit_a is None:
        return None
    if limit_a <= 0:
        return {"current_a": 6.0, "paused": 1.0, "allowed": 0.0}
    return {"current_a": float(math.floor(limit_a)), "paused": 0.0, "allowed": 1.0}


def _rounded(wanted: Interval) -> tuple[float, float]:
    """Round to whole steps: a limit towards 0, so that it holds; what is forced stays within the limit."""
    low = math.ceil(wanted.lowest_w / POWER_STEP_W) * POWER_STEP_W
    high = math.floor(wanted.highest_w / POWER_STEP_W) * POWER_STEP_W
    if high < low:  # less than a step apart: the limit nearer to 0 counts
        low = high = low if high < 0 or low < 0 else high
    return low + 0.0, high + 0.0
