"""Reads one device on the common phase of the clock; every device has a task of its own.

A device that hangs or is gone delays nobody else, also where several share a wire: each poll says until when it must
be through, and when the next one comes. While the controller guards a limit it asks for fresh values:
then the few points that limits need are read again each control period, between two polls.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import Poll
from hearth_agent.devices.snapshot import Measured, Snapshot
from hearth_core.clock import Clock, SharedClock

_NEWEST_LAG = 0.1
Sink = Callable[[str, int, Measured], None]


class Poller:
    """Polls one device for ever."""

    def __init__(
        self, device: Device, clock: Clock, snapshot: Snapshot, sink: Sink, poll_s: float, control_s: float
    ) -> None:
        self._device, self._clock, self._snapshot, self._sink = device, clock, snapshot, sink
        self._poll_s, self._control_s = poll_s, control_s
        self.wanted_fresh = False
        """Set by the controller while a limit depends on this device."""
        self.late_s = 0.0
        """How late its polls end [s], smoothed; a device that does not answer says nothing about it."""

    async def run(self) -> None:
        """Poll at once, then at every multiple of ``poll_s``; of instants that were missed the last is made up for."""
        next_poll_s = self._clock.time()
        while True:
            now_s = self._clock.time()
            if next_poll_s - now_s > self._poll_s:  # the wall clock was set back
                next_poll_s = self._after(now_s, self._poll_s)
            next_s = min(next_poll_s, self._after(now_s, self._control_s)) if self.wanted_fresh else next_poll_s
            if next_s > now_s:
                self._device.expect(self._real_s(next_s - now_s))
                await self._clock.sleep(next_s - now_s)
            if self._clock.time() >= next_poll_s:
                if await self.poll():
                    self.late_s += _NEWEST_LAG * (self._clock.time() - next_poll_s - self.late_s)
                latest_s = self._after(self._clock.time(), self._poll_s) - self._poll_s
                next_poll_s = max(self._after(next_poll_s, self._poll_s), latest_s)
            elif self.wanted_fresh:
                await self.refresh()

    async def poll(self) -> bool:
        """Read every point once and hand the values on; tell whether there were any."""
        # what guards a limit is read before what is only watched
        within_s = self._control_s if self.wanted_fresh else self._poll_s
        measured = await self._device.measure(deadline_s=self._real_s(within_s))
        if measured is None or not measured.values:
            return False
        self._snapshot.poll(self._device.id, measured)
        self._sink(self._device.id, int(self._clock.time() * 1000), measured)
        return True

    async def refresh(self) -> None:
        """Read the points that limits need."""
        measured = await self._device.measure(Poll.CONTROL, self._real_s(self._control_s))
        if measured is not None and measured.values:
            self._snapshot.refresh(self._device.id, measured)

    def _real_s(self, ahead_s: float) -> float:
        """Return when so much of the clock's time will have passed (`time.monotonic`)."""
        speed = self._clock.speed if isinstance(self._clock, SharedClock) else 1.0
        return time.monotonic() + ahead_s / speed if speed > 0 else math.inf

    @staticmethod
    def _after(at_s: float, period_s: float) -> float:
        """Return the first multiple of the period after an instant."""
        return (math.floor(at_s / period_s) + 1) * period_s
