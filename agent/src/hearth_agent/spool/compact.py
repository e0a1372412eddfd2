"""How a record is written down: few bytes, so that a flush touches one small page, and a checksum on every part.

A value is a whole number of thousandths, an instant the distance to the one before, and names are numbers of a
dictionary that is kept beside the records. Small numbers take few bytes.
"""

from __future__ import annotations

import binascii
import json
import struct
from collections.abc import Mapping
from itertools import accumulate, pairwise

import msgspec

from hearth_agent.spool.records import Columns, Counts, SpoolRecord
from hearth_core.messages import Gap

_THOUSANDTHS = 1000
_LARGEST_EXACT = 4e12
_CHECK_BYTES = 2
# codes of a value; from _FIRST_NUMBER on a code is the number itself
_MISSING = 0
_FLOAT = 1
_FIRST_NUMBER = 2
_DOUBLE = struct.Struct("<d")


class UnreadableError(ValueError):
    """A stored part is not what was written."""


class Names:
    """Devices and the columns of their batches, by number; the text of a number never changes."""

    def __init__(self, texts: Mapping[int, str]) -> None:
        """Take the dictionary as it is stored.

        Raises:
            UnreadableError: An entry is damaged.
        """
        self._words: dict[int, tuple[str, ...]] = {}
        self._numbers: dict[tuple[str, ...], int] = {}
        self._layouts: dict[str, tuple[str, ...]] = {}
        self.fresh: list[tuple[int, str]] = []
        """Entries that are not stored yet."""
        for number, text in texts.items():
            try:
                self._learn(number, tuple(msgspec.json.decode(text, type=list[str])))
            except (msgspec.MsgspecError, TypeError) as error:  # damage can turn a text into nothing, or a number
                raise UnreadableError(f"name {number}: {error}") from error

    def _learn(self, number: int, word: tuple[str, ...]) -> None:
        self._words[number] = word
        self._numbers[word] = number
        if len(word) > 1:
            self._layouts[word[0]] = word

    def number(self, word: tuple[str, ...]) -> int:
        """Return the number of a device (one name) or of a layout (device, points ...)."""
        known = self._numbers.get(word)
        if known is None:
            known = max(self._words, default=0) + 1
            self._learn(known, word)
            self.fresh.append((known, json.dumps(word)))
        return known

    def layout(self, device: str, points: Mapping[str, object]) -> tuple[str, ...]:
        """Return the device's layout, grown by the points it lacks."""
        word = self._layouts.get(device, (device,))
        return (*word, *(name for name in points if name not in word[1:]))

    def word(self, number: int) -> tuple[str, ...]:
        """Return what a number stands for."""
        try:
            return self._words[number]
        except KeyError as error:
            raise UnreadableError(f"name {number} is unknown") from error


def pack_counts(counts: Counts, names: Names) -> bytes:
    """Write down running counts."""
    data = bytearray()
    for device, count in counts.items():
        _write(data, names.number((device,)))
        _write(data, count)
    return _seal(data)


def unpack_counts(data: bytes, names: Names) -> Counts:
    """Read running counts.

    Raises:
        UnreadableError: They are damaged.
    """
    reader = _Reader(data)
    counts = {}
    while reader.left():
        number = reader.number()
        counts[names.word(number)[0]] = reader.number()
    return counts


def pack_body(record: SpoolRecord, names: Names) -> bytes:
    """Write down batches and gaps."""
    data = bytearray()
    _write(data, len(record.batches))
    for device, columns in record.batches.items():
        _pack_batch(data, device, columns, record.at_ms, names)
    if record.gaps:
        data += msgspec.msgpack.encode(record.gaps)
    return _seal(data)


def unpack_body(data: bytes, at_ms: int, names: Names) -> tuple[dict[str, Columns], list[Gap]]:
    """Read batches and gaps.

    Raises:
        UnreadableError: They are damaged.
    """
    if not isinstance(at_ms, int):
        raise UnreadableError(f"{type(at_ms).__name__} where an instant was written")
    reader = _Reader(data)
    batches = dict(_unpack_batch(reader, at_ms, names) for _ in range(reader.number()))
    try:
        return batches, msgspec.msgpack.decode(reader.rest(), type=list[Gap]) if reader.left() else []
    except msgspec.MsgspecError as error:
        raise UnreadableError(str(error)) from error


def _pack_batch(data: bytearray, device: str, columns: Columns, flushed_ms: int, names: Names) -> None:
    at_ms, points = columns
    word = names.layout(device, points)
    _write(data, names.number(word))
    _write(data, len(at_ms))
    for earlier, later in pairwise([flushed_ms, *at_ms]):
        _write(data, _unsigned(later - earlier))
    nothing = [None] * len(at_ms)
    for name in word[1:]:
        for value in points.get(name, nothing):
            _pack_value(data, value)


def _pack_value(data: bytearray, value: float | None) -> None:
    if value is None:
        _write(data, _MISSING)
    elif abs(value) > _LARGEST_EXACT:
        _write(data, _FLOAT)
        data += _DOUBLE.pack(value)
    else:
        _write(data, _unsigned(round(value * _THOUSANDTHS)) + _FIRST_NUMBER)


def _unpack_batch(reader: _Reader, flushed_ms: int, names: Names) -> tuple[str, Columns]:
    device, *points = names.word(reader.number())
    rows = reader.number()
    steps = [_signed(reader.number()) for _ in range(rows)]
    at_ms = list(accumulate(steps, initial=flushed_ms))[1:]
    columns = {name: [_unpack_value(reader) for _ in range(rows)] for name in points}
    present = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    return device, Columns(at_ms, present)


def _unpack_value(reader: _Reader) -> float | None:
    code = reader.number()
    if code >= _FIRST_NUMBER:
        return _signed(code - _FIRST_NUMBER) / _THOUSANDTHS
    return reader.double() if code == _FLOAT else None


def _unsigned(number: int) -> int:
    """Small numbers of either sign become small ones without a sign."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def _signed(number: int) -> int:
    return -(number + 1 >> 1) if number & 1 else number >> 1


def _write(data: bytearray, number: int) -> None:
    """Append seven bits a byte, lowest first; the eighth says that more follow."""
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)


class _Reader:
    """Reads what `_write` wrote."""

    def __init__(self, sealed: bytes) -> None:
        if not isinstance(sealed, bytes):
            raise UnreadableError(f"{type(sealed).__name__} where bytes were written")
        self._data = sealed[:-_CHECK_BYTES]
        self._at = 0
        if _seal(self._data) != sealed:
            raise UnreadableError("the checksum is wrong")

    def left(self) -> bool:
        """Tell whether anything follows."""
        return self._at < len(self._data)

    def number(self) -> int:
        """Return the next number."""
        number = shift = 0
        while self.left():
            byte = self._data[self._at]
            self._at += 1
            number |= (byte & 0x7F) << shift
            if byte <= 0x7F:
                return number
            shift += 7
        raise UnreadableError("it ends in the middle of a number")

    def double(self) -> float:
        """Return the next float."""
        self._at += _DOUBLE.size
        if self._at > len(self._data):
            raise UnreadableError("it ends in the middle of a value")
        value: float = _DOUBLE.unpack_from(self._data, self._at - _DOUBLE.size)[0]
        return value

    def rest(self) -> bytes:
        """Return everything that follows."""
        return self._data[self._at :]


def _seal(data: bytes | bytearray) -> bytes:
    return bytes(data) + binascii.crc_hqx(data, 0).to_bytes(_CHECK_BYTES, "big")
