"""For tests of others: a whole simulated house on free ports, with switches that make its devices fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hearth_core.clock import Clock
from hearth_sim.house import House
from hearth_sim.modbus_server import Answer, Faults, ModbusServer
from hearth_sim.report import truth
from hearth_sim.serving import HouseOptions, HouseServer, build_house

__all__ = ["Answer", "Faults", "HouseOptions", "RunningHouse", "running_house"]
_HOST = "127.0.0.1"


class RunningHouse:
    """A house that answers Modbus TCP on 127.0.0.1; devices are ``grid``, ``inverter``, ``charger``, ``heat-pump``."""

    def __init__(self, server: HouseServer) -> None:
        self._server = server
        self.host = _HOST

    @property
    def house(self) -> House:
        """The physics behind the registers."""
        return self._server.house

    @property
    def ports(self) -> dict[str, int]:
        """Port of each device."""
        return self._server.ports

    @property
    def servers(self) -> dict[str, ModbusServer]:
        """Server of each device, e.g. to count its requests and writes."""
        return self._server.servers

    @property
    def faults(self) -> dict[str, Faults]:
        """Fault switches of each device, e.g. ``faults["grid"].answer = Answer.SILENT``."""
        return {name: server.faults for name, server in self._server.servers.items()}

    def truth(self) -> dict[str, object]:
        """Return the report as the house process would write it now."""
        self.house.advance()
        return truth(self.house, {name: server.written for name, server in self.servers.items()})

    async def unplug(self, device: str) -> None:
        """Close a device's port and connections; its state lives on."""
        await self.servers[device].stop()

    async def plug_in(self, device: str) -> None:
        """Listen on the device's old port again."""
        await self.servers[device].start(_HOST, self.ports[device])


@asynccontextmanager
async def running_house(
    clock: Clock, start_s: float | None = None, options: HouseOptions | None = None
) -> AsyncIterator[RunningHouse]:
    """Run a house while the block lasts.

    Args:
        clock: The house's time. With a `ManualClock` the house lives on only when the test moves the clock.
        start_s: When the house begins [s since 1970 UTC]; the clock's now when left out.
        options: Seed, battery, start charge, limits.
    """
    server = HouseServer(build_house(clock, clock.time() if start_s is None else start_s, options or HouseOptions()))
    await server.start(_HOST, {})
    try:
        yield RunningHouse(server)
    finally:
        await server.stop()
