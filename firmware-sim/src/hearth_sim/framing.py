"""The three ways a Modbus request travels: with a TCP header, as RTU with a checksum, and as ASCII lines.

RTU frames carry no length. On a wire they end with a pause; over TCP the pause is lost, so that the length is told by
the function code, and a wrong checksum drops bytes until the next request begins.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol

from hearth_sim.registers import Function

_HEADER = struct.Struct(">HHHB")  # transaction, protocol, length, unit
_LONGEST_FRAME = 254
_FIXED_REQUEST = 8  # unit, function, address, count or value, checksum
_FRAME_PAUSE_S = 0.5  # half a frame that old belongs to nothing
_LONGEST_ASCII = 513


class Request(NamedTuple):
    """One request: what belongs in front of its answer, who is asked, and what."""

    transaction: int
    unit: int
    pdu: bytes


class BrokenStreamError(Exception):
    """What comes is no Modbus; there is no way back into the stream."""


class Framer(Protocol):
    """Cuts a stream into requests and packs the answers."""

    def feed(self, data: bytes) -> list[Request]:
        """Take bytes as they come and return the requests that are complete.

        Raises:
            BrokenStreamError: The connection has to be given up.
        """
        ...

    def pack(self, request: Request, answer: bytes) -> bytes:
        """Return the frame of an answer."""
        ...


class TcpFramer:
    """Modbus TCP: a header with transaction and length."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[Request]:
        """See `Framer.feed`."""
        self._bytes += data
        found = []
        while len(self._bytes) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(self._bytes)
            if protocol != 0 or not 2 <= length <= _LONGEST_FRAME:
                raise BrokenStreamError
            end = 6 + length
            if len(self._bytes) < end:
                break
            found.append(Request(transaction, unit, self._bytes[_HEADER.size : end]))
            self._bytes = self._bytes[end:]
        return found

    def pack(self, request: Request, answer: bytes) -> bytes:
        """See `Framer.pack`."""
        return _HEADER.pack(request.transaction, 0, len(answer) + 1, request.unit) + answer


class RtuFramer:
    """Modbus RTU: unit, request, CRC-16."""

    def __init__(self) -> None:
        self._bytes = b""
        self._heard_s = 0.0

    def feed(self, data: bytes) -> list[Request]:
        """See `Framer.feed`; never gives up."""
        now_s = time.monotonic()
        if now_s - self._heard_s > _FRAME_PAUSE_S:
            self._bytes = b""
        self._heard_s = now_s
        self._bytes += data
        found = []
        while len(self._bytes) >= 4:
            length = self._length()
            if len(self._bytes) < length:
                break
            frame = self._bytes[:length]
            if crc16(frame[:-2]) == frame[-2:]:
                found.append(Request(0, frame[0], frame[1:-2]))
                self._bytes = self._bytes[length:]
            else:
                self._bytes = self._bytes[1:]
        return found

    def _length(self) -> int:
        function = self._bytes[1]
        if function != Function.WRITE_MANY:
            return _FIXED_REQUEST
        return 9 + self._bytes[6] if len(self._bytes) > 6 else _FIXED_REQUEST

    def pack(self, request: Request, answer: bytes) -> bytes:
        """See `Framer.pack`."""
        frame = bytes([request.unit]) + answer
        return frame + crc16(frame)


class AsciiFramer:
    """Modbus ASCII: a colon, hexadecimal digits, LRC, carriage return and line feed."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[Request]:
        """See `Framer.feed`; a line that is no request is passed over."""
        self._bytes = (self._bytes + data)[-_LONGEST_ASCII * 4 :]
        found = []
        while b"\r\n" in self._bytes:
            line, self._bytes = self._bytes.split(b"\r\n", 1)
            try:
                frame = bytes.fromhex(line.rpartition(b":")[2].decode("ascii"))
            except ValueError:
                continue
            if len(frame) >= 3 and sum(frame) % 256 == 0:
                found.append(Request(0, frame[0], frame[1:-1]))
        return found

    def pack(self, request: Request, answer: bytes) -> bytes:
        """See `Framer.pack`."""
        frame = bytes([request.unit]) + answer
        check = -sum(frame) % 256
        return b":" + (frame + bytes([check])).hex().upper().encode() + b"\r\n"


class Framing(Enum):
    """How requests travel."""

    TCP = "tcp"
    RTU = "rtu"
    ASCII = "ascii"

    def framer(self) -> Framer:
        """Return a framer for one connection."""
        kinds: dict[Framing, Callable[[], Framer]]
        kinds = {Framing.TCP: TcpFramer, Framing.RTU: RtuFramer, Framing.ASCII: AsciiFramer}
        return kinds[self]()


def crc16(data: bytes) -> bytes:
    """Return the RTU checksum (CRC-16/MODBUS), low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)
