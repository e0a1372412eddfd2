"""Frames around requests, and answers found in the bytes that come back: Modbus TCP, RTU and ASCII.

The frames are pymodbus's. What counts as the answer is decided here: whatever belongs to another question is dropped.
"""

from __future__ import annotations

import logging
from typing import NamedTuple, Protocol

from pymodbus.framer.ascii import FramerAscii
from pymodbus.framer.rtu import FramerRTU
from pymodbus.framer.socket import FramerSocket
from pymodbus.pdu import DecodePDU

from hearth_agent.devices.profile import Transport
from hearth_agent.devices.question import REFUSED, Question

# pymodbus logs frames it cannot use; the device tells an outage once instead
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
_DECODER = DecodePDU(is_server=False)
_HEADER = 8
_LONGEST_TCP = 254
_REFUSAL_SIZE = 2
_CRC_SIZE = 2
_ABL_START = b">"
"""ABL's chargers begin their answers so; it is no digit, and stands nowhere else in a frame."""


class BrokenStreamError(Exception):
    """The bytes of a TCP connection are no longer Modbus; only a new connection helps."""


class Asked(NamedTuple):
    """The question that is waited for."""

    unit: int
    number: int
    question: Question


class Framing(Protocol):
    """One way to put requests on the wire."""

    def encode(self, asked: Asked) -> bytes:
        """Return the request's frame."""
        ...

    def take(self, buffer: bytearray, asked: Asked | None) -> bytes | None:
        """Take the answer out of what was received; None as long as it is not there.

        Args:
            buffer: Bytes received so far; what cannot be part of the answer is removed.
            asked: What is waited for, or None when nothing is.

        Raises:
            BrokenStreamError: The stream cannot be followed any further.
        """
        ...


class TcpFraming:
    """Frames that carry the number of their question."""

    def __init__(self) -> None:
        self._framer = FramerSocket(_DECODER)

    def encode(self, asked: Asked) -> bytes:
        """See `Framing.encode`."""
        return self._framer.encode(asked.question.pdu, asked.unit, asked.number)

    def take(self, buffer: bytearray, asked: Asked | None) -> bytes | None:
        """See `Framing.take`."""
        while len(buffer) >= _HEADER:
            if buffer[2] or buffer[3] or not 2 <= int.from_bytes(buffer[4:6], "big") <= _LONGEST_TCP:
                raise BrokenStreamError
            used, unit, number, pdu = self._framer.decode(bytes(buffer))
            if not used:
                return None
            del buffer[:used]
            # unit 0 means the device itself, which may answer with the unit it has
            if asked is not None and number == asked.number and asked.unit in (0, unit):
                return pdu
        return None


class RtuFraming:
    """Binary frames with a checksum; the answer is looked for byte by byte, so that noise before it does no harm."""

    def __init__(self) -> None:
        self._framer = FramerRTU(_DECODER)

    def encode(self, asked: Asked) -> bytes:
        """See `Framing.encode`."""
        return self._framer.encode(asked.question.pdu, asked.unit, 0)

    def take(self, buffer: bytearray, asked: Asked | None) -> bytes | None:
        """See `Framing.take`."""
        if asked is None:
            buffer.clear()
            return None
        question = asked.question
        starts = (
            (bytes([asked.unit]) + question.shape, question.answer_size),
            (bytes([asked.unit, question.fc | REFUSED]), _REFUSAL_SIZE),
        )
        for start, size in starts:
            at = buffer.find(start)
            while at >= 0 and (end := at + 1 + size) + _CRC_SIZE <= len(buffer):
                frame = bytes(buffer[at:end])
                if self._framer.compute_CRC(frame) == int.from_bytes(buffer[end : end + _CRC_SIZE], "big"):
                    buffer.clear()
                    return frame[1:]
                at = buffer.find(start, at + 1)
        return None


class AsciiFraming:
    """Frames in hexadecimal digits between a colon and the end of a line."""

    def __init__(self) -> None:
        self._framer = FramerAscii(_DECODER)

    def encode(self, asked: Asked) -> bytes:
        """See `Framing.encode`."""
        return self._framer.encode(asked.question.pdu, asked.unit, 0)

    def take(self, buffer: bytearray, asked: Asked | None) -> bytes | None:
        """See `Framing.take`."""
        while asked is not None:
            try:
                used, unit, _, pdu = self._framer.decode(bytes(buffer).replace(_ABL_START, b":"))
            except ValueError:  # a frame whose unit is no number
                break
            del buffer[:used]
            if not pdu:
                return None
            if unit == asked.unit and (asked.question.is_answer(pdu) or asked.question.refusal(pdu) is not None):
                return pdu
        buffer.clear()
        return None


def framing(transport: Transport) -> Framing:
    """Return the frames of a transport."""
    if transport is Transport.TCP:
        return TcpFraming()
    return AsciiFraming() if transport is Transport.ASCII else RtuFraming()
