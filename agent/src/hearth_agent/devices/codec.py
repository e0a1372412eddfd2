"""Numbers in registers: decoding what a device answers, encoding what it is told.

Bytes inside a register are always high byte first; `WordOrder` says which register of a long number comes first.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from hearth_agent.devices.registers import REGISTERS, RegisterType, WordOrder

_FLOATS = {
    RegisterType.F32: (struct.Struct(">f"), struct.Struct(">I")),
    RegisterType.F64: (struct.Struct(">d"), struct.Struct(">Q")),
}
_SIGN_BIT = {RegisterType.S16: 1 << 15, RegisterType.S32: 1 << 31, RegisterType.S64: 1 << 63}


class EncodeError(ValueError):
    """A number does not fit the register it is meant for."""


def unsigned(registers: Sequence[int], offset: int, count: int, word_order: WordOrder) -> int:
    """Join ``count`` registers into one unsigned integer.

    Example:
        >>> unsigned([0x0001, 0x0002], 0, 2, WordOrder.BIG), unsigned([0x0001, 0x0002], 0, 2, WordOrder.LITTLE)
        (65538, 131073)
    """
    raw = 0
    if word_order is WordOrder.BIG:
        for index in range(offset, offset + count):
            raw = raw << 16 | registers[index]
    else:
        for index in range(offset + count - 1, offset - 1, -1):
            raw = raw << 16 | registers[index]
    return raw


def interpret(raw: int, kind: RegisterType) -> float | None:
    """Turn the unsigned raw value into the number it stands for; None for NaN and infinity."""
    if kind in _FLOATS:
        as_float, as_bits = _FLOATS[kind]
        number: float = as_float.unpack(as_bits.pack(raw))[0]
        return number if math.isfinite(number) else None
    sign_bit = _SIGN_BIT.get(kind)
    if sign_bit is not None and raw & sign_bit:
        return raw - 2 * sign_bit
    return raw


def encode(value: float, kind: RegisterType, word_order: WordOrder) -> list[int]:
    """Turn a number into registers, rounding to the nearest integer where the type is one.

    Raises:
        EncodeError: The number is not finite, or too large for the type.
    """
    if not math.isfinite(value):
        raise EncodeError(f"{value} is no number a device can be told")
    count = REGISTERS[kind]
    if kind in _FLOATS:
        as_float, as_bits = _FLOATS[kind]
        try:
            raw: int = as_bits.unpack(as_float.pack(value))[0]
        except OverflowError as error:
            raise EncodeError(f"{value} does not fit {kind}") from error
    else:
        raw = round(value)
        sign_bit = _SIGN_BIT.get(kind)
        low, high = (-sign_bit, sign_bit - 1) if sign_bit else (0, (1 << 16 * count) - 1)
        if not low <= raw <= high:
            raise EncodeError(f"{value:g} does not fit {kind}")
        raw &= (1 << 16 * count) - 1
    words = [raw >> 16 * shift & 0xFFFF for shift in range(count - 1, -1, -1)]
    return words if word_order is WordOrder.BIG else words[::-1]


def text(registers: Sequence[int], *, low_byte_first: bool = False) -> str:
    """Read a text: two characters a register, NULs and blanks at the end cut off.

    Args:
        registers: As the device answers.
        low_byte_first: The first character of each register is its low byte (some makers; never for numbers).

    Example:
        >>> text([0x4672, 0x6F6E, 0x6975, 0x7300])
        'Fronius'
    """
    data = b"".join(register.to_bytes(2, "little" if low_byte_first else "big") for register in registers)
    printable = data.split(b"\0", 1)[0].decode("ascii", errors="replace")
    return "".join(c for c in printable if c.isprintable()).strip()
