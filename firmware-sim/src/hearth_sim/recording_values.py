"""Numbers and texts of a recording, laid into registers.

This is an encoder of its own: it shares no line with the agent's decoder, so that a mistake in one of them shows.
Bytes inside a register are always high byte first (texts may be the other way round); ``word_order: little`` puts the
low register of a long number first.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hearth_core.errors import ConfigError

Address = Annotated[int, Meta(ge=0, le=65535)]
FunctionCode = Literal[1, 2, 3, 4]
Number = int | float
Numbers = Number | list[Number]

_NUMBERS = {"u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "s64": "q", "f32": "f", "f64": "d"}
_KINDS = (*_NUMBERS, "text", "hex")
_REGISTER = re.compile("[0-9A-Fa-f]{4}")
_BIT_FUNCTIONS = (1, 2)
REGISTERS = {kind: struct.calcsize(">" + letter) // 2 for kind, letter in _NUMBERS.items()}


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a recording; a misspelt key is refused."""


class Values(Data, frozen=True, kw_only=True):
    """Consecutive values of one type from an address on; exactly one of the types is given."""

    address: Address
    fc: FunctionCode = 3
    """Function code that reads them; 1 and 2 hold bits, written as ``u16: 0`` or ``1``."""
    u16: Numbers | None = None
    s16: Numbers | None = None
    u32: Numbers | None = None
    s32: Numbers | None = None
    u64: Numbers | None = None
    s64: Numbers | None = None
    f32: Numbers | None = None
    f64: Numbers | None = None
    text: str | None = None
    hex: str | None = None
    """Registers as they are, four hexadecimal digits each."""
    count: Annotated[int, Meta(ge=1, le=125)] | None = None
    """Registers of a text; as many as it needs when left out."""
    low_byte_first: bool = False
    """Texts only."""
    word_order: Literal["big", "little"] = "big"


def encode(values: Values, source: str, field: str) -> list[list[int]]:
    """Return the registers of each value, one after the other.

    Args:
        values: One entry of a recording.
        source: The file, for the error.
        field: The entry's place in the file, for the error.

    Raises:
        ConfigError: No type or several, or a value that its type cannot hold.
    """
    given = [kind for kind in _KINDS if getattr(values, kind) is not None]
    if len(given) != 1:
        remedy = f"Give exactly one of {', '.join(_KINDS)}."
        raise ConfigError(source, field, given, remedy)
    (kind,) = given
    where = f"{field}.{kind}"
    if values.text is not None:
        registers = [_text(values, values.text, source, where)]
    elif values.hex is not None:
        registers = [_raw(values.hex, source, where)]
    else:
        numbers = getattr(values, kind)
        numbers = numbers if isinstance(numbers, list) else [numbers]
        registers = [_number(one, kind, values, source, where) for one in numbers]
    if not registers or not registers[0]:
        raise ConfigError(source, where, getattr(values, kind), "It is empty; write at least one value.")
    if values.address + sum(map(len, registers)) > 0x10000:
        raise ConfigError(source, f"{field}.address", values.address, "The values reach beyond register 65535.")
    return registers


def decode(registers: list[int], kind: str, word_order: str) -> float:
    """Return the number of one type that lies in registers, the opposite of `encode`."""
    words = registers if word_order == "big" else registers[::-1]
    number: float = struct.unpack(">" + _NUMBERS[kind], struct.pack(f">{len(words)}H", *words))[0]
    return number


def _number(number: Number, kind: str, values: Values, source: str, where: str) -> list[int]:
    if values.fc in _BIT_FUNCTIONS and (kind != "u16" or number not in (0, 1)):
        raise ConfigError(source, where, number, "Functions 1 and 2 read bits: write u16: 0 or 1.")
    if kind[0] != "f" and not isinstance(number, int):
        raise ConfigError(source, where, number, f"{kind} holds whole numbers; write the raw register value.")
    try:
        data = struct.pack(">" + _NUMBERS[kind], number)
    except (struct.error, OverflowError) as error:
        raise ConfigError(source, where, number, f"It does not fit {kind}.") from error
    if kind == "f32" and math.isnan(number):
        data = b"\x7f\xc0\x00\x00"  # the quiet NaN devices send
    words = list(struct.unpack(f">{len(data) // 2}H", data))
    return words if values.word_order == "big" else words[::-1]


def _text(values: Values, text: str, source: str, where: str) -> list[int]:
    if not text.isascii():
        raise ConfigError(source, where, text, "Write ASCII only, or the registers as hex.")
    count = values.count or math.ceil(len(text) / 2)
    if len(text) > 2 * count:
        raise ConfigError(source, where, text, f"{count} registers hold {2 * count} characters; raise count.")
    order = "<" if values.low_byte_first else ">"
    return list(struct.unpack(f"{order}{count}H", text.encode().ljust(2 * count, b"\0")))


def _raw(text: str, source: str, where: str) -> list[int]:
    groups = text.split()
    if not all(_REGISTER.fullmatch(group) for group in groups):
        remedy = 'Write four digits a register with blanks between, in quotes: "5375 6E53".'
        raise ConfigError(source, where, text, remedy)
    return [int(group, 16) for group in groups]
