"""A small Modbus TCP server for simulated devices.

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
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from hearth_core.errors import ConfigError
from hearth_sim.registers import ExceptionCode, Function, ModbusRefusalError

logger = logging.getLogger(__name__)
_HEADER = struct.Struct(">HHHB")  # transaction, protocol, length, unit
_PAIR = struct.Struct(">HH")
_MOST_READ, _MOST_WRITTEN = 125, 123
_LONGEST_FRAME = 254


class Device(Protocol):
    """What the server needs of a device; both methods may raise `ModbusRefusalError`."""

    unit: int
    not_available: bytes
    """What a register pair reads when the device has no value."""

    def read(self, function: int, address: int, count: int) -> bytes:
        """Return ``2 * count`` bytes, computed now."""
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
    """One device on one port."""

    device: Device
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

    def _respond(self, unit: int, function: int, body: bytes) -> bytes:
        if self.faults.answer is Answer.REFUSING:
            raise ModbusRefusalError(self.faults.exception_code)
        if unit != self.device.unit:
            raise ModbusRefusalError(ExceptionCode.TARGET_DID_NOT_ANSWER)
        if function in (Function.READ_HOLDING, Function.READ_INPUT):
            if len(body) != _PAIR.size:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
            address, count = _PAIR.unpack(body)
            if not 1 <= count <= _MOST_READ:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
            data = self._spoil(self.device.read(function, address, count))
            return bytes([len(data)]) + data
        if function == Function.WRITE_ONE and len(body) == _PAIR.size:
            address, value = _PAIR.unpack(body)
            self._write(function, address, (value,))
            return body
        if function == Function.WRITE_MANY and len(body) >= 5:
            address, count = _PAIR.unpack_from(body)
            if not 1 <= count <= _MOST_WRITTEN or body[4] != 2 * count or len(body) != 5 + 2 * count:
                raise ModbusRefusalError(ExceptionCode.ILLEGAL_VALUE)
            self._write(function, address, struct.unpack(f">{count}H", body[5:]))
            return body[:4]
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_FUNCTION)

    def _write(self, function: int, address: int, values: Sequence[int]) -> None:
        if self.faults.ignore_writes:
            return
        only_refreshed = self.device.write(function, address, values)
        self.written.writes += 1
        self.written.refreshes += only_refreshed

    def _spoil(self, data: bytes) -> bytes:
        if self.faults.answer is Answer.NOT_AVAILABLE:
            return (self.device.not_available * len(data))[: len(data)]
        if self.faults.answer is Answer.GARBAGE:
            return random.randbytes(len(data))  # noqa: S311  noise, no secret
        return data


class _Connection(asyncio.Protocol):
    """Cuts the stream into requests and answers them in order."""

    def __init__(self, server: ModbusServer) -> None:
        self._owner = server
        self._bytes = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  create_server makes only these
        self._transport = transport
        self._owner._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while len(self._bytes) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._bytes)
            if protocol != 0 or not 2 <= length <= _LONGEST_FRAME:
                self._transport.abort()
                return
            end = 6 + length
            if len(self._bytes) < end:
                return
            pdu, self._bytes = self._bytes[_HEADER.size : end], self._bytes[end:]
            response = self._owner.answer(unit, pdu)
            if response is not None:
                self._send(_HEADER.pack(transaction, 0, len(response) + 1, unit) + response)

    def _send(self, frame: bytes) -> None:
        faults = self._owner.faults
        if faults.answer is Answer.BROKEN_FRAMES:
            frame = random.randbytes(len(frame))  # noqa: S311  noise, no secret
        if faults.delay_s > 0:
            asyncio.get_running_loop().call_later(faults.delay_s, self._transport.write, frame)
        else:
            self._transport.write(frame)
