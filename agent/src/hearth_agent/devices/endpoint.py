"""Where a device is reached: a TCP address, or a serial line.

Devices with the same endpoint share one connection (`hearth_agent.devices.bus`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

from hearth_agent.devices.profile import SerialLine, Transport

ON_A_LINE = (Transport.RTU, Transport.ASCII)
_FACTORY = SerialLine()
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_SILENT_CHARACTERS = 3.5
# above 19200 baud the norm fixes the silence between two frames
_FAST_BAUD = 19_200
_FAST_SILENCE_S = 0.00175


def is_host(text: str) -> bool:
    """Tell whether a text can be a host's name or its address, without a port or a scheme."""
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True


@dataclass(frozen=True)
class Endpoint:
    """One end of a wire; equal endpoints are the same wire."""

    transport: Transport
    host: str = ""
    port: int = 0
    path: str = ""
    """The serial device, e.g. ``/dev/ttyUSB0``; empty for TCP."""
    line: SerialLine = _FACTORY

    def __post_init__(self) -> None:
        if (self.transport in ON_A_LINE) != bool(self.path):
            msg = f"{self.transport} needs {'a host' if self.path else 'a serial device'}"
            raise ValueError(msg)

    @property
    def place(self) -> str:
        """Host and port, or the serial device: what two devices may share only with equal settings."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def described(self) -> str:
        """The settings in a person's words, e.g. ``rtu, 9600 baud 8N1``."""
        line = self.line
        settings = f", {line.baudrate} baud {line.bytesize}{line.parity}{line.stopbits}" if self.path else ""
        return f"{self.transport}{settings}"

    @property
    def numbered(self) -> bool:
        """Whether answers carry the number of their question, so that a late one is known by it."""
        return self.transport is Transport.TCP

    @property
    def silence_s(self) -> float:
        """Silence between two frames that the serial norm asks for [s]; 0 over TCP."""
        if not self.path:
            return 0.0
        if self.line.baudrate > _FAST_BAUD:
            return _FAST_SILENCE_S
        bits = 1 + self.line.bytesize + (self.line.parity != "N") + self.line.stopbits
        return _SILENT_CHARACTERS * bits / self.line.baudrate


def tcp(host: str, port: int) -> Endpoint:
    """Return a Modbus TCP endpoint."""
    return Endpoint(Transport.TCP, host=host, port=port)
