"""The numbers of a batch, from JSON text to arrays.

Few numbers are read by msgspec, many by simdjson, which writes a column straight into memory; that takes a third of the
time, and leaves no million of float objects to be swept through the processor's caches beside the database.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import simdjson

from hearth_core.errors import PoisonMessageError
from hearth_core.points import is_known

_MANY = 32
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


def read_columns(at_ms: list[int], points: Mapping[str, msgspec.Raw]) -> Columns:
    """Read the points of a batch, ``{"power_w": [1.5, null], ...}``, one value for each instant.

    Raises:
        PoisonMessageError: They are not of the vocabulary, not as many as the instants, or no numbers.
    """
    matrix = np.empty((len(points), len(at_ms)))
    for row, (name, text) in zip(matrix, points.items(), strict=True):
        if not is_known(name):
            raise PoisonMessageError(f"point {name!r} is not in the vocabulary and does not start with x_")
        try:
            values = _column(bytes(text), len(at_ms) >= _MANY)
        except msgspec.MsgspecError as error:
            raise PoisonMessageError(f"point {name!r}: {error}") from error
        if len(values) != len(at_ms):
            raise PoisonMessageError(f"point {name!r} has {len(values)} values for {len(at_ms)} instants")
        row[:] = values
    return Columns(np.array(at_ms, np.int64), tuple(points), matrix)


def _column(text: bytes, is_long: bool) -> npt.NDArray[np.float64] | list[float | None]:
    if is_long and text.count(b"[") == 1:
        if (parser := getattr(_own, "parser", None)) is None:
            parser = _own.parser = simdjson.Parser()
        try:
            numbers = parser.parse(text)
            if isinstance(numbers, simdjson.Array):
                return np.frombuffer(numbers.as_buffer(of_type="d"))
        except (TypeError, ValueError, RuntimeError):
            pass  # a hole, or no numbers at all: the strict reader tells
    return _LIST.decode(text)
