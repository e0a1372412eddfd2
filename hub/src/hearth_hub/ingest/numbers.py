"""The numbers of a batch, from JSON text to arrays.

Few numbers are read by msgspec, many by simdjson, which writes a column straight into memory; that takes a third of the
time, and leaves no million of float objects to be swept through the processor's caches beside the database.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import simdjson

from hearth_core.errors import PoisonMessageError
from hearth_core.points import is_known

_MANY = 32
_LISTS = msgspec.json.Decoder(dict[str, list[float | None]])
_TEXTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[float | None])
_own = threading.local()

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Readings of one device."""

    at_ms: npt.NDArray[np.int64]
    names: tuple[str, ...]
    values: Matrix
    """Shape (names, readings); NaN is missing."""

    def __len__(self) -> int:
        return len(self.at_ms)


def read_columns(at_ms: list[int], points: msgspec.Raw) -> Columns:
    """Read the points of a batch, ``{"power_w": [1.5, null], ...}``, one value for each instant.

    Raises:
        PoisonMessageError: They are not of the vocabulary, not as many as the instants, or no numbers.
    """
    try:
        named = _many(points, len(at_ms)) if len(at_ms) >= _MANY else _few(points, len(at_ms))
    except msgspec.MsgspecError as error:
        raise PoisonMessageError(f"points: {error}") from error
    names, values = named
    for name in names:
        if not is_known(name):
            raise PoisonMessageError(f"point {name!r} is not in the vocabulary and does not start with x_")
    return Columns(np.array(at_ms, np.int64), names, values)


def _few(points: msgspec.Raw, length: int) -> tuple[tuple[str, ...], Matrix]:
    lists = _LISTS.decode(points)
    for name, values in lists.items():
        _check_length(name, len(values), length)
    return tuple(lists), np.array(list(lists.values()), np.float64).reshape(len(lists), length)


def _many(points: msgspec.Raw, length: int) -> tuple[tuple[str, ...], Matrix]:
    texts = _TEXTS.decode(points)
    matrix = np.empty((len(texts), length))
    for row, (name, text) in zip(matrix, texts.items(), strict=True):
        values = _column(bytes(text))
        _check_length(name, len(values), length)
        row[:] = values
    return tuple(texts), matrix


def _column(text: bytes) -> npt.NDArray[np.float64]:
    if text.count(b"[") == 1:
        if (parser := getattr(_own, "parser", None)) is None:
            parser = _own.parser = simdjson.Parser()
        try:
            numbers = parser.parse(text)
            if isinstance(numbers, simdjson.Array):
                return np.frombuffer(numbers.as_buffer(of_type="d"))
        except (TypeError, ValueError, RuntimeError):
            pass  # a hole, or no numbers at all: the strict reader tells
    return np.array(_LIST.decode(text), np.float64)


def _check_length(name: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise PoisonMessageError(f"point {name!r} has {found} values for {wanted} instants")
