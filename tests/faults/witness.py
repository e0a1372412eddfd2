"""A Modbus TCP meter that numbers its readings, so that the rows in the hub's table prove by themselves what was lost.

The import register of every answer holds the next whole number [kWh]; a float32 carries whole numbers exactly up to
2^24. A number is *confirmed* once the agent asks again on the same connection: then it has surely received it. Of an
answer whose connection broke nobody can say whether it arrived.
"""

from __future__ import annotations

import asyncio
import struct
import time

from tests.faults.background import Background

POINTS = 20
"""Values in one reading, see witness.yaml."""
HOST = "127.0.0.1"
_HEADER = struct.Struct(">HHHB")  # transaction, protocol, length, unit
_REQUEST = struct.Struct(">BHH")  # function, address, count
_READ_INPUT, _BUSY, _ILLEGAL = 4, 6, 2
_NUMBER_AT, _FREQUENCY_AT, _REGISTERS = 72, 70, 80


class Witness:
    """One device on one port. Its clock is the wall clock, as the agent's is."""

    def __init__(self) -> None:
        self.port = 0
        self.last = 0
        self.answered_s: list[float] = []
        """When number ``i + 1`` was answered [s since 1970]."""
        self.confirmed: set[int] = set()
        self.resting = False
        """Refuse every read, politely, so that the agent can finish what it has."""
        self.silent = False
        """Take requests and say nothing."""
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    def start(self, background: Background) -> None:
        """Listen on a free port."""
        background.run(self._start())

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self, self._links), HOST, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def stop(self, background: Background) -> None:
        """Close the port and every connection."""
        background.run(self._stop())

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.transport.abort()

    def answered_since(self, at_s: float) -> bool:
        """Tell whether a reading was answered after an instant."""
        return bool(self.answered_s) and self.answered_s[-1] > at_s

    def lateness_s(self, since_s: float, until_s: float, period_s: float = 1.0) -> list[float]:
        """Return how long after each multiple of the poll period the answers of a span went out [s]."""
        half_s = period_s / 2
        inside = [at_s for at_s in self.answered_s if since_s <= at_s <= until_s]
        return [max(0.0, (at_s + half_s) % period_s - half_s) for at_s in inside]

    def registers(self) -> bytes:
        """Return the whole image with the next number in it."""
        self.last += 1
        self.answered_s.append(time.time())
        values = [float(self.last % 90 + i / 8) for i in range(_REGISTERS // 2)]
        values[_FREQUENCY_AT // 2] = 50.0
        values[_NUMBER_AT // 2] = float(self.last)
        return struct.pack(f">{len(values)}f", *values)


class _Link(asyncio.Protocol):
    """One connection of an agent."""

    transport: asyncio.Transport

    def __init__(self, witness: Witness, links: set[_Link]) -> None:
        self._witness, self._links = witness, links
        self._bytes = b""
        self._told: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._links.discard(self)

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while len(self._bytes) >= _HEADER.size:
            transaction, _, length, unit = _HEADER.unpack_from(self._bytes)
            if len(self._bytes) < 6 + length:
                return
            pdu, self._bytes = self._bytes[_HEADER.size : 6 + length], self._bytes[6 + length :]
            if self._witness.silent:
                continue
            answer = self._answer(pdu)
            self.transport.write(_HEADER.pack(transaction, 0, len(answer) + 1, unit) + answer)

    def _answer(self, pdu: bytes) -> bytes:
        if self._told is not None:
            self._witness.confirmed.add(self._told)
            self._told = None
        if self._witness.resting:
            return bytes([pdu[0] | 0x80, _BUSY])
        if len(pdu) != _REQUEST.size:
            return bytes([pdu[0] | 0x80, _ILLEGAL])
        function, address, count = _REQUEST.unpack(pdu)
        if function != _READ_INPUT or address + count > _REGISTERS or not address <= _NUMBER_AT < address + count:
            return bytes([function | 0x80, _ILLEGAL])
        image = self._witness.registers()[2 * address : 2 * (address + count)]
        self._told = self._witness.last
        return bytes([function, len(image)]) + image
