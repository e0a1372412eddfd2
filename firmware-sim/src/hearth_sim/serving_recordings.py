"""Recordings on the network, for the command line and for tests of others.

Example:
    async with served(devices_of("sdm630", unit=3) + devices_of("keba-p30")) as running:
        ...  # both answer on 127.0.0.1:running.port, each on its unit
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hearth_core.clock import Clock
from hearth_core.errors import ConfigError
from hearth_sim.framing import Framing
from hearth_sim.modbus_server import ModbusServer
from hearth_sim.recorded_device import RecordedDevice, Written
from hearth_sim.recordings import Recording, load
from hearth_sim.serial_line import USUAL_LINE, SerialLine

_HOST = "127.0.0.1"


@dataclass
class Served:
    """Recorded devices that answer."""

    devices: list[RecordedDevice]
    server: ModbusServer
    """Its fault switches, and its counts of requests and writes."""
    host: str = _HOST
    port: int = 0
    path: str = ""
    """What a client of a serial line opens."""

    @property
    def device(self) -> RecordedDevice:
        """The first of them."""
        return self.devices[0]

    async def unplug(self) -> None:
        """Close the port and its connections; what the devices were told lives on."""
        await self.server.stop()

    async def plug_in(self) -> None:
        """Listen on the old port again."""
        await self.server.start(self.host, self.port)


def devices_of(
    recording: Recording | str | Path,
    *,
    unit: int | None = None,
    clock: Clock | None = None,
    told: Callable[[Written], None] | None = None,
) -> list[RecordedDevice]:
    """Bring every unit of a recording to life.

    Args:
        recording: A recording, its name, or its file.
        unit: Another unit id, for recordings of a single unit.
        clock: The devices' time; the machine's when left out.
        told: Called with every write.

    Raises:
        ConfigError: There is no such recording, or another unit id is wanted for several units.
    """
    recording = recording if isinstance(recording, Recording) else load(recording)
    if unit is not None and len(recording.units) > 1:
        remedy = f"The recording has the units {', '.join(map(str, recording.units))}; leave it out."
        raise ConfigError("command line", "unit", unit, remedy)
    return [RecordedDevice(recording, one, unit=unit, clock=clock, told=told) for one in recording.units]


@asynccontextmanager
async def served(
    devices: Sequence[RecordedDevice], *, host: str = _HOST, port: int = 0, framing: Framing = Framing.TCP
) -> AsyncIterator[Served]:
    """Serve devices on one port while the block lasts.

    Args:
        devices: Devices of different unit ids, see `devices_of`.
        host: Address to listen on.
        port: Port; 0 takes any free one.
        framing: ``RTU`` and ``ASCII`` travel over TCP here, as behind a transparent serial server.

    Raises:
        ConfigError: The port cannot be listened on.
    """
    running = Served(list(devices), ModbusServer(devices, framing), host=host)
    running.port = await running.server.start(host, port)
    try:
        yield running
    finally:
        await running.server.stop()


@asynccontextmanager
async def served_serially(
    devices: Sequence[RecordedDevice],
    path: Path | None = None,
    *,
    line: str = USUAL_LINE,
    framing: Framing = Framing.RTU,
) -> AsyncIterator[Served]:
    """Serve devices on a serial line while the block lasts; see `SerialLine.start`."""
    running = Served(list(devices), ModbusServer(devices, framing))
    serial = SerialLine(running.server)
    running.path = serial.start(path, line)
    try:
        yield running
    finally:
        serial.stop()
