"""Register images whose values are computed when they are read."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExceptionCode(IntEnum):
    """Modbus exception codes (Modbus Application Protocol V1.1b3, section 7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    BUSY = 6
    TARGET_DID_NOT_ANSWER = 0x0B


class ModbusRefusalError(Exception):
    """The device answers a request with an exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"modbus exception {code}")


class ModbusSilenceError(Exception):
    """The device does not answer this request."""


class Function(IntEnum):
    """The function codes these devices speak."""

    READ_COILS = 1
    READ_DISCRETE = 2
    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_COIL = 5
    WRITE_ONE = 6
    WRITE_MANY = 16


@dataclass(frozen=True)
class Block:
    """Consecutive registers that one function renders, big-endian."""

    start: int
    count: int
    render: Callable[[], bytes]


class RegisterImage:
    """Blocks of registers; what lies between them does not exist."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = sorted(blocks, key=lambda block: block.start)

    def read(self, address: int, count: int) -> bytes:
        """Return ``2 * count`` bytes.

        Raises:
            ModbusRefusalError: A register in the range does not exist (code 2).
        """
        found, at, end = b"", address, address + count
        for block in self._blocks:
            if block.start <= at < block.start + block.count:
                last = min(end, block.start + block.count)
                found += block.render()[2 * (at - block.start) : 2 * (last - block.start)]
                at = last
                if at == end:
                    return found
        raise ModbusRefusalError(ExceptionCode.ILLEGAL_ADDRESS)


def words(layout: str, *values: float | bytes) -> bytes:
    """Pack values big-endian by a `struct` layout."""
    return struct.pack(">" + layout, *values)


def signed(raw: int) -> int:
    """Return a register's value as a signed 16-bit number."""
    return raw - 0x10000 if raw & 0x8000 else raw


def clip_u16(value: float) -> int:
    """Round into 0..65534; 65535 means "not implemented"."""
    return min(max(round(value), 0), 0xFFFE)


def clip_s16(value: float) -> int:
    """Round into -32767..32767; -32768 means "not implemented"."""
    return min(max(round(value), -0x7FFF), 0x7FFF)
