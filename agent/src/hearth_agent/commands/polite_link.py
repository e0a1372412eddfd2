"""A link that never hurries a device and remembers what it was answered."""

from __future__ import annotations

import asyncio
import time

from hearth_agent.devices.errors import DeviceRefusedError
from hearth_agent.devices.link import ModbusLink
from hearth_agent.devices.packing import Span


class PoliteLink(ModbusLink):
    """Waits between requests, and notes every register a device tells."""

    def __init__(self, device: str, host: str, port: int, unit: int, timeout_s: float, *, gap_s: float = 0.0) -> None:
        super().__init__(device, host, port, unit, timeout_s)
        self.gap_s = gap_s
        """Least silence between an answer and the next request [s]."""
        self.image: dict[tuple[int, int], int] = {}
        """(function code, address) -> register, as last read."""
        self.requests: dict[Span, bool] = {}
        """What was asked, and whether it was answered or refused."""
        self._heard_s = 0.0

    async def read(self, fc: int, address: int, count: int) -> list[int]:
        """See `ModbusLink.read`."""
        await asyncio.sleep(max(0.0, self._heard_s + self.gap_s - time.monotonic()))
        span = Span(fc, address, address + count)
        try:
            registers = await super().read(fc, address, count)
        except DeviceRefusedError:
            self.requests[span] = False
            raise
        finally:
            self._heard_s = time.monotonic()
        self.requests[span] = True
        self.image.update({(fc, address + i): word for i, word in enumerate(registers)})
        return registers

    async def ask(self, span: Span) -> list[int] | None:
        """Read registers, or recall them; None when the device refuses.

        Raises:
            DeviceError: The device does not answer.
        """
        if span not in self.requests:
            try:
                return await self.read(span.fc, span.address, span.end - span.address)
            except DeviceRefusedError:
                return None
        known = [self.image.get((span.fc, address)) for address in range(span.address, span.end)]
        return [word for word in known if word is not None] if self.requests[span] else None
