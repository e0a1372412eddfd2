"""A link that remembers what it asked and was answered, so that nothing is asked twice."""

from __future__ import annotations

from hearth_agent.devices.bus import LATER_S, Bus, Manners
from hearth_agent.devices.errors import DeviceRefusedError
from hearth_agent.devices.link import ModbusLink
from hearth_agent.devices.packing import Span


class PoliteLink(ModbusLink):
    """Notes every register a device tells."""

    def __init__(self, device: str, bus: Bus, unit: int, manners: Manners) -> None:
        super().__init__(device, bus, unit, manners)
        self.image: dict[tuple[int, int], int] = {}
        """(function code, address) -> register, as last read."""
        self.requests: dict[Span, bool] = {}
        """What was asked, and whether it was answered or refused."""

    async def read(self, fc: int, address: int, count: int, deadline_s: float = LATER_S) -> list[int]:
        """See `ModbusLink.read`."""
        span = Span(fc, address, address + count)
        try:
            registers = await super().read(fc, address, count, deadline_s)
        except DeviceRefusedError:
            self.requests[span] = False
            raise
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
        return [self.image[span.fc, at] for at in range(span.address, span.end)] if self.requests[span] else None
