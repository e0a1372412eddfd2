"""The lease that carries one order to one device, and brings the device back into its own mode.

The controller only says what it wants; a task of each lease does the writing, so that a device that hangs delays
neither the controller nor another device. Written is on change; a timed order is written again at half the device's
reversion time, and nothing while the device is in its own mode. Every write is read back: where that fails the device
is *unknown*, and until it obeys it is told nothing that could raise its power. A controller that falls silent is
taken for dead. How to undo an order is on the disk before the order leaves (`hearth_agent.control.wayback`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from enum import StrEnum
from functools import partial, reduce

from hearth_agent.control.books import Books
from hearth_agent.control.permits import Permits, name_of
from hearth_agent.control.wayback import WayBack
from hearth_agent.control.wording import Variables, case_of, meet
from hearth_agent.devices.controls import ControlKind, ControlSpec, SafetyClass, writes_of
from hearth_agent.devices.device import Device
from hearth_agent.devices.errors import DeviceError
from hearth_agent.events import EventLog
from hearth_core.clock import Clock

SILENCE_S = 10.0
"""A controller that steps every few seconds and has wanted nothing for so long is dead [real seconds]."""
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 60.0


class LeaseState(StrEnum):
    """What is known about the device's side."""

    UNKNOWN = "unknown"
    OWN = "own"
    HELD = "held"


class Lease:
    """One control of one device. ``None`` as an order means the device's own mode."""

    def __init__(
        self,
        device: Device,
        kind: ControlKind,
        control: ControlSpec,
        books: Books,
        clock: Clock,
        events: EventLog,
        *,
        keeps_orders_ok: bool = False,
        silence_s: float = SILENCE_S,
    ) -> None:
        """Take charge of a control.

        Args:
            device: The device.
            kind: Which of its controls.
            control: How it is ordered.
            books: What is kept on the disk.
            clock: Time of refreshes and spacing.
            events: Where failures are told.
            keeps_orders_ok: The owner accepts orders the device keeps when nobody is left to end them.
            silence_s: How long the controller may be silent [real seconds].
        """
        self.device, self.kind, self._control = device, kind, control
        self._permits = Permits(device, kind, control, books, events, keeps_orders_ok=keeps_orders_ok)
        self._way_back = WayBack(device, kind, control, books)
        self._budget, self._clock, self._events = books.budget, clock, events
        self.silence_s = silence_s
        self._wanted: Variables | None = None
        self._heard_s = time.monotonic()
        self._silent = False
        self._written: Variables | None = None
        self._calmest: Variables | None = None
        """Of an unknown device: what each of the orders it may have allows."""
        self.state = LeaseState.UNKNOWN
        self.changes = 0
        """Orders written because they changed (safe states included)."""
        self.refreshes = 0
        """Orders written only to keep them alive."""
        self._written_s = -math.inf
        self._changed_s = -math.inf
        self._retry_s = 0.0
        self._retry_at_s = -math.inf
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._released = False
        self._connections = 0

    @property
    def key(self) -> str:
        """The name of the control in books and events."""
        return f"{self.device.id}/{self.kind}"

    @property
    def order(self) -> Variables | None:
        """The order in force; None for the device's own mode, or unknown."""
        return self._written

    def since_write_s(self) -> float:
        """Return how long ago the device was last told something [s]."""
        return self._clock.monotonic() - self._written_s

    # --- what the controller says

    def want(self, order: Variables | None) -> None:
        """Say what the device should do now; cheap, never waits."""
        self._heard_s = time.monotonic()
        if self._silent:
            self._silent = False
            self._events.info("controller_back", "the controller goes on", self.device.id)
        self._wanted = order
        self._look()

    def _look(self) -> None:
        """Have the task write when something is due."""
        now_s = self._clock.monotonic()
        if self._released or now_s < self._retry_at_s:
            return
        if self.state is LeaseState.UNKNOWN or self._permitted() != self._written or self._repeat_due(now_s):
            self._due.set()

    def _repeat_due(self, now_s: float) -> bool:
        """Tell whether the order in force must be said again: to keep it alive, or to a device that came back."""
        return self.state is LeaseState.HELD and (self._is_back() or self._refresh_due(now_s))

    def _is_back(self) -> bool:
        """Tell whether the device was connected anew: it may have been restarted, and forgotten what it was told."""
        return self.device.connections != self._connections

    def _refresh_due(self, now_s: float) -> bool:
        control = self._control
        if control.safety_class is not SafetyClass.TIMED or control.lease_s is None:
            return False
        return now_s - self._written_s >= min(control.refresh_s or math.inf, control.lease_s / 2)

    def _permitted(self) -> Variables | None:
        return self._permits.permitted(self._wanted, self._written, self._clock.monotonic() - self._changed_s)

    # --- the task

    async def run(self) -> None:
        """Write whenever something is due; the safe state comes first."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.silence_s / 4):
                    await self._due.wait()
            self._due.clear()
            self._listen()
            async with self._writing:
                if not self._released and self._clock.monotonic() >= self._retry_at_s:
                    await self._write()

    def _listen(self) -> None:
        """Take a controller that has been silent for too long for dead: the device goes back into its own mode."""
        if time.monotonic() - self._heard_s <= self.silence_s:
            return
        self._wanted = None
        if not self._silent:
            self._silent = True
            self._events.error("controller_silent", f"{self.key}: no order for {self.silence_s:g} s", self.device.id)

    async def _write(self) -> None:
        if self.state is LeaseState.UNKNOWN and not await self._tell(self._calm()):
            return
        order = self._permitted()
        if order != self._written:
            if not await self._tell(order):
                return
            if self._permitted() is None and order is not None:  # only now it is known that the device latches
                await self._tell(None)
        elif order is not None and self._repeat_due(self._clock.monotonic()):
            await self._tell(order, refresh=not self._is_back())

    def _calm(self) -> Variables | None:
        """Return what an unknown device is told: its own mode, unless that may be more than it is allowed now.

        A battery's own mode follows the house. A car's, a heater's and an inverter's is full power.
        """
        calm = self._calmest
        if self.kind is ControlKind.BATTERY_INTERVAL or calm is None or self._silent:
            return None
        if self._wanted is not None:
            calm = meet(self.kind, calm, self._wanted)
        return calm if self._permits.can_be_told(calm) and self._permits.has_room() else None

    async def release(self) -> bool:
        """Put the device back into its own mode, for good; True when it obeyed."""
        self._released = True
        async with self._writing:
            return self.state is LeaseState.OWN or await self._tell(None)

    # --- one order

    async def _tell(self, order: Variables | None, *, refresh: bool = False) -> bool:
        """Write an order or the safe state and compare; tell an outage once."""
        started_s = self._clock.monotonic()
        try:
            if order is not None:
                timed = self._control.safety_class is SafetyClass.TIMED
                await self._way_back.note(reverts=timed and not self._permits.latches)
            why = await self._put(order, refresh=refresh)
        except (DeviceError, OSError) as error:
            why = str(error)
        except BaseException:  # cut off in the middle: it may have been told or not
            self.state = LeaseState.UNKNOWN
            raise
        if why is not None:
            self._failed(why, order)
            return False
        self._succeeded(order, started_s, refresh=refresh)
        if order is None:
            await self._way_back.forget(self.key)
        return True

    async def _put(self, order: Variables | None, *, refresh: bool) -> str | None:
        """Write and read back; return what is wrong, if anything."""
        control = self._control
        variables: Variables = {} if order is None else {**order, "lease_s": control.lease_s or 0.0}
        writes = control.safe if order is None else writes_of(control, case_of(self.kind, order))
        if refresh and control.refresh:
            writes = control.refresh
        if control.safety_class is SafetyClass.FLASH and await self.device.has(writes, variables):
            return None
        if control.writes_per_day is not None and not refresh:
            await self._count({name_of(self.device, write) for write in writes}, needed=order is None)
        applied = await self.device.apply(writes, variables, again=refresh, settle_s=control.settle_s)
        if not applied.timed:
            self._permits.found_latching()
        return None if applied.obeyed else "reads back something else than was written"

    async def _count(self, registers: set[str], *, needed: bool) -> None:
        """Count writes on the disk before they happen; a safe state is told even when that fails."""
        try:
            await asyncio.to_thread(self._budget.spend, registers)
        except OSError:
            if not needed:
                raise

    def _succeeded(self, order: Variables | None, started_s: float, *, refresh: bool) -> None:
        self._retry_at_s, self._calmest = -math.inf, None
        if refresh:
            self.refreshes += 1
        else:
            self.changes += 1
            self._changed_s = started_s if order is not None else self._changed_s
        self._written, self._written_s, self._connections = order, started_s, self.device.connections
        self.state = LeaseState.OWN if order is None else LeaseState.HELD
        if self._retry_s and order == self._permitted():  # until then it is only calmed: the next failure waits longer
            self._events.info("control_back", "obeys again", self.device.id)
            self._retry_s = 0.0

    def _failed(self, why: str, order: Variables | None) -> None:
        if not self._retry_s:
            self._events.error("control_unknown", f"{why}; its state is unknown until it obeys", self.device.id)
        possible = [one for one in (self._calmest, self._written, order) if one is not None]
        self._calmest = reduce(partial(meet, self.kind), possible) if possible else None
        self.state, self._written = LeaseState.UNKNOWN, None
        self._retry_s = min(max(2 * self._retry_s, _FIRST_RETRY_S), _LONGEST_RETRY_S)
        self._retry_at_s = self._clock.monotonic() + self._retry_s
