"""A small Modbus server for simulated devices, one or several units on a port or a serial line.

pymodbus's own server was measured and left aside: it is fast enough (0.16 ms of CPU a request here), but answers an
unknown unit with exception 4, may answer a slow request with the next one's transaction id, and cannot stay silent or
send broken frames, which the fault switches need. Values are asked of the device at every request, in the order
requests arrive.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from hearth_core.errors import ConfigError
from hearth_sim.framing import BrokenStreamError, Framing
from hearth_sim.registers import ExceptionCode, Function, ModbusRefusalError, ModbusSilenceError

logger = logging.getLogger(__name__)
_PAIR = struct.Struct(">HH")
_MOST_READ, _MOST_BITS, _MOST_WRITTEN = 125, 2000, 123
_COIL = {0x0000: 0, 0xFF00: 1}
_READS = (Function.READ_HOLDING, Function.READ_INPUT)
_BIT_READS = (Function.READ_COILS, Function.READ_DISCRETE)


class Device(Protocol):
    """What the server needs of a device; both methods may raise `ModbusRefusalError` or `ModbusSilenceError`."""

    unit: int
    not_available: bytes
    """What a register pair reads when the device has no value."""

    def read(self, function: int, address: int, count: int) -> bytes:
        """Return ``2 * count`` bytes, computed now; a bit is a register of 0 or 1."""
        ...

    def write(self, function: int, address: int, values: Sequence[int]) -> bool:
        """Take values; return True when nothing but the lease was renewed."""
        ...


class Answer(Enum):
    """How a device answers."""

    NORMAL = "normal"
    SILENT = "silent"  # the connection stands, nothing comes back
    NOT_AVAILABLE = "not_available"  # NaN patterns in every register
    GARBAGE = "garbage"  # random register values
    BROKEN_FRAMES = "broken_frames"  # bytes that are no Modbus
    REFUSING = "refusing"  # an exception code


@dataclass
class Faults:
    """Switches a test turns; the defaults are a healthy device."""

    answer: Answer = Answer.NORMAL
    exception_code: int = ExceptionCode.DEVICE_FAILURE
    ignore_writes: bool = False
    """Confirm writes, but do nothing."""
    delay_s: float = 0.0
    """Real seconds before each answer."""


@dataclass
class WriteCount:
    """Write requests a device carried out; refreshes are those that changed nothing but a lease."""

    writes: int = 0
    refreshes: int = 0


@dataclass
class ModbusServer:
    """Devices of different unit ids behind one port."""

    devices: Sequence[Device]
    framing: Framing = Framing.TCP
    faults: Faults = field(default_factory=Faults)
    written: WriteCount = field(default_factory=WriteCount)
    requests: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Transport] = field(default_factory=set)

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            ConfigError: The address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port)
        except OSError as error:
            remedy = f"{error.strerror}. Choose another port, or stop what listens there."
            raise ConfigError("command line", "port", f"{host}:{port}", remedy) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._server is not None:
            self._server.close()
            self.drop_connections()
            await self._server.wait_closed()
            self._server = None

    def drop_connections(self) -> None:
        """Cut every open connection."""
        for transport in list(self._connections):
            transport.abort()

    def answer(self, unit: int, pdu: bytes) -> bytes | None:
        """Return the response to one request, or None to stay silent."""
        self.requests += 1
        if self.faults.answer is Answer.SILENT:
            return None
        function = pdu[0]
        try:
            return bytes([function]) + self._respond(unit, function, pdu[1:])
        except ModbusRefusalError as refusal:
            return bytes([function | 0x80, refusal.code])
        except ModbusSilenceError:
            return None

    def _respond(self, unit: int, function: int, body: bytes) -> bytes:
        if self.faults.answer is Answer.REFUSING:
            raise ModbusRefusalError(self.faults.exception_code)
        device = next((one for one in self.devices if one.unit == unit), None)
        if device is None:
            if self.framing is not Framing.TCP:
                raise ModbusSilenceError  # on a line nobody answers for another
            raise ModbusRefusalError(ExceptionCode.TARGET_DID_NOT_ANSWER)
        if function in _READS or function in _BIT_READS:
            return self._read(device, function, body)
        if function in (Function.WRITE_ONE, Function.WRITE_COIL) and len(body) == _PAIR.size:
            address, value = _PAIR.unpack(body)
            if function == Function.WRITE_COIL:
                if value not in _COIL:
                    raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
                value = _COIL[value]
            self._write(device, function, address, (value,))
            return body
        if function == Function.WRITE_MANY and len(body) >= 5:
            address, count = _PAIR.unpack_from(body)
            if not 1 <= count <= _MOST_WRITTEN or body[4] != 2 * count or len(body) != 5 + 2 * count:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
            self._write(device, function, address, struct.unpack(f">{count}H", body[5:]))
            return body[:4]
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)

    def _read(self, device: Device, function: int, body: bytes) -> bytes:
        if len(body) != _PAIR.size:
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        address, count = _PAIR.unpack(body)
        if not 1 <= count <= (_MOST_BITS if function in _BIT_READS else _MOST_READ):
            raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
        data = self._spoil(device, device.read(function, address, count))
        if function in _BIT_READS:
            data = _bits(data[1::2])
        return bytes([len(data)]) + data

    def send(self, frame: bytes, write: Callable[[bytes], object]) -> None:
        """Send an answer, as late and as broken as the faults want it."""
        if self.faults.answer is Answer.BROKEN_FRAMES:
            frame = random.randbytes(len(frame))  # noqa: S311  noise, no secret
        if self.faults.delay_s > 0:
            asyncio.get_running_loop().call_later(self.faults.delay_s, write, frame)
        else:
            write(frame)

    def _write(self, device: Device, function: int, address: int, values: Sequence[int]) -> None:
        if self.faults.ignore_writes:
            return
        only_refreshed = device.write(function, address, values)
        self.written.writes += 1
        self.written.refreshes += only_refreshed

    def _spoil(self, device: Device, data: bytes) -> bytes:
        if self.faults.answer is Answer.NOT_AVAILABLE:
            return (device.not_available * len(data))[: len(data)]
        if self.faults.answer is Answer.GARBAGE:
            return random.randbytes(len(data))  # noqa: S311  noise, no secret
        return data


def _bits(values: bytes) -> bytes:
    """Pack bits eight a byte, the first one lowest."""
    number = sum((value & 1) << place for place, value in enumerate(values))
    return number.to_bytes((len(values) + 7) // 8, "little")


class _Connection(asyncio.Protocol):
    """Cuts the stream into requests and answers them in order."""

    def __init__(self, server: ModbusServer) -> None:
        self._owner = server
        self._framer = server.framing.framer()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  create_server makes only these
        self._transport = transport
        self._owner._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            requests = self._framer.feed(data)
        except BrokenStreamError:
            self._transport.abort()
            return
        for request in requests:
            response = self._owner.answer(request.unit, request.pdu)
            if response is not None:
                self._owner.send(self._framer.pack(request, response), self._transport.write)
