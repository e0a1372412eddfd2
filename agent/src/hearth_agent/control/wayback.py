"""The way back from an order: on the disk before the order leaves, dropped when the device is its own master again."""

from __future__ import annotations

import asyncio
import logging

from hearth_agent.control.books import Books
from hearth_agent.control.ordered import SafeWrite
from hearth_agent.devices.controls import ControlKind, ControlSpec
from hearth_agent.devices.device import Device

logger = logging.getLogger(__name__)


class WayBack:
    """How the orders of one control are undone by whoever finds them (see `hearth_agent.control.ordered`)."""

    def __init__(self, device: Device, kind: ControlKind, control: ControlSpec, books: Books) -> None:
        self._device, self._kind, self._control, self._books = device, kind, control, books
        self._noted = False

    async def note(self, *, reverts: bool) -> None:
        """Keep on the disk how an order is undone, before it is given.

        Args:
            reverts: The device ends the order by itself, so that a full disk need not forbid it.

        Raises:
            DeviceError: The device does not say what the safe state needs.
            OSError: It cannot be kept, and nothing else would end the order.
        """
        if self._noted:
            return
        safe = [SafeWrite(*one) for one in await self._device.spell(self._control.safe)]
        entry = self._books.entry(self._device, self._kind, safe)
        try:
            await asyncio.to_thread(self._books.orders.put, entry)
            self._noted = True
        except OSError as error:
            if not reverts:
                raise
            logger.warning("%s: the way back is not on the disk (%s); the device reverts by itself", entry.key, error)

    async def forget(self, key: str) -> None:
        """Drop what is on the disk: the order is undone."""
        self._noted = False
        try:
            await asyncio.to_thread(self._books.orders.drop, key)
        except OSError as error:  # a safe state too many is told some day, that is all
            logger.warning("%s: %s", key, error)
