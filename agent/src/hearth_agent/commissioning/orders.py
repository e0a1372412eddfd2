"""Moving a device for a test: through the lease that also carries the controller's orders, and always back again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hearth_agent.control.books import Books
from hearth_agent.control.leases import Lease, LeaseState
from hearth_agent.control.orders import Interval
from hearth_agent.control.wording import Variables, battery_order, ev_order
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import ControlKind
from hearth_agent.events import EventLog
from hearth_core.clock import Clock
from hearth_core.errors import TransientError

# real time, because a device answers in real time whatever the clock does
_PATIENCE_S = 15.0
_NAP_S = 0.02


class DisobedientError(TransientError):
    """A device did not take an order."""


class StuckError(TransientError):
    """A device did not confirm that it is back in its own mode: somebody must look at it."""


class Mover:
    """One control of one device in the hands of a test."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._order: Variables | None = None

    async def battery(self, power_w: float) -> None:
        """Make the battery deliver exactly ``power_w`` (+ = discharge), whatever the house does."""
        widest = Interval(float("-inf"), float("inf"))
        await self._tell(battery_order(Interval(power_w, power_w), widest, self._lease))

    async def car(self, limit_a: float) -> None:
        """Let the car charge with at most so much; 0 pauses it."""
        await self._tell(ev_order(limit_a))

    def keep(self) -> None:
        """Keep the last order alive; to be called every few seconds."""
        self._lease.want(self._order)

    async def _tell(self, order: Variables | None) -> None:
        """Order something and wait until the device has it.

        Raises:
            DisobedientError: It does not take it.
        """
        self._order = order
        try:
            async with asyncio.timeout(_PATIENCE_S):
                self._lease.want(order)
                while self._lease.state is LeaseState.UNKNOWN or self._lease.order != order:
                    await asyncio.sleep(_NAP_S)
                    self._lease.want(order)
        except TimeoutError:
            raise DisobedientError(f"{self._lease.device.id} does not take the order") from None


@asynccontextmanager
async def moved(
    device: Device, kind: ControlKind, books: Books, clock: Clock, events: EventLog
) -> AsyncIterator[Mover]:
    """Hold a device's control while the block lasts; it is in its own mode before and after, whatever happens.

    Raises:
        StuckError: It does not confirm its own mode at the end.
    """
    lease = Lease(device, kind, device.profile.controls[kind], books, clock, events, keeps_orders_ok=True)
    task = asyncio.create_task(lease.run())
    try:
        yield Mover(lease)
    finally:
        obeyed = await _given_back(lease)
        while not task.done():  # a cancellation can be swallowed below Python 3.12
            task.cancel()
            await asyncio.wait([task], timeout=_NAP_S)
        if not obeyed:
            raise StuckError(f"{device.id} does not confirm its own mode: look at the device now")


async def _given_back(lease: Lease) -> bool:
    """Try for a while; an outage of a second must not leave a battery forced."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not await lease.release():  # noqa: ASYNC110  each try asks the device
                await asyncio.sleep(_PATIENCE_S / 10)
    except TimeoutError:
        return False
    return True
