"""Columnar batches become rows in PostgreSQL's binary COPY format, a whole shape at a time.

Every row of a shape (which points are there and which are missing) has the same bytes at the same places, so numpy
writes the columns into one array of records and no Python object is made for a row.
Source: the file format of ``COPY ... (FORMAT binary)`` in PostgreSQL's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hearth_core.messages import DeviceBatch
from hearth_core.points import POINTS, PointClass

COLUMNS = ("at", "device_id", *POINTS, "extra")
"""The columns of a row, in this order."""

_POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts microseconds
_TYPES = {PointClass.GAUGE: ">f4", PointClass.COUNTER: ">f8", PointClass.STATE: ">i2"}
_POINTS = tuple(POINTS.values())
_PLACES = {name: place for place, name in enumerate(POINTS)}
_ABSENT = -1
_JSONB_VERSION = b"\x01"

# So many rows are built while the database takes in those before them.
_PIECE_ROWS = 2000

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

Records = npt.NDArray[np.void]


@dataclass(frozen=True)
class Rows:
    """Rows in the order in which they are sent."""

    data: list[bytes]
    """Between `HEADER` and `TRAILER`."""
    at_ms: npt.NDArray[np.int64]
    device_ids: npt.NDArray[np.int32]
    owners: npt.NDArray[np.int32]
    """For each row the number that `Gatherer.add` was given with it."""

    def __len__(self) -> int:
        return len(self.at_ms)


@dataclass
class _Shape:
    """Batches with the same points, one after the other."""

    names: tuple[str, ...]
    at_ms: list[int] = field(default_factory=list)
    values: list[list[float | None]] = field(default_factory=list)
    device_ids: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = [[] for _ in self.names]


class Gatherer:
    """Takes batches, gives rows."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, ...], _Shape] = {}
        self._full: list[_Shape] = []
        self._built: list[Rows] = []

    def add(self, owner: int, device_id: int, batch: DeviceBatch, start: int, end: int) -> None:
        """Take the readings ``[start, end)`` of a batch."""
        names = tuple(batch.points)
        if (shape := self._open.get(names)) is None:
            shape = self._open[names] = _Shape(names)
        whole = start == 0 and end == len(batch.at_ms)
        shape.at_ms += batch.at_ms if whole else batch.at_ms[start:end]
        for column, values in zip(shape.values, batch.points.values(), strict=True):
            column += values if whole else values[start:end]
        shape.device_ids.append(device_id)
        shape.owners.append(owner)
        shape.lengths.append(end - start)
        if len(shape.at_ms) >= _PIECE_ROWS:
            self._full.append(self._open.pop(names))

    def __bool__(self) -> bool:
        return bool(self._open or self._full)

    def pieces(self) -> Iterator[bytes]:
        """Build the rows piece by piece, so that the database works on one while the next is made.

        A value outside its point's range is missing, never 0.
        """
        for shape in (*self._full, *self._open.values()):
            for part in _rows(shape):
                self._built.append(part)
                yield from part.data

    def rows(self) -> Rows:
        """Return all rows, in the order of `pieces`, which must have been taken before."""
        return Rows(
            [data for part in self._built for data in part.data],
            np.concatenate([part.at_ms for part in self._built]),
            np.concatenate([part.device_ids for part in self._built]),
            np.concatenate([part.owners for part in self._built]),
        )


def _rows(shape: _Shape) -> list[Rows]:
    """Turn a shape into rows, split where values are missing."""
    at_ms = np.array(shape.at_ms, np.int64)
    device_ids = np.repeat(np.array(shape.device_ids, np.int32), shape.lengths)
    owners = np.repeat(np.array(shape.owners, np.int32), shape.lengths)
    known = [(name, np.array(values, np.float64)) for name, values in zip(shape.names, shape.values, strict=True)]
    columns = {name: values for name, values in known if name in POINTS}
    extras = {name: values for name, values in zip(shape.names, shape.values, strict=True) if name not in POINTS}
    present = _present(columns, len(at_ms))
    parts = []
    for places, rows in _patterns(present):
        records = _records(places, at_ms[rows], device_ids[rows])
        for place in places:
            name = _POINTS[place].name
            records[name] = columns[name][rows]
        data = _with_extras(records, extras, rows) if extras else records.tobytes()
        parts.append(Rows([data], at_ms[rows], device_ids[rows], owners[rows]))
    return parts


def _present(columns: dict[str, npt.NDArray[np.float64]], length: int) -> npt.NDArray[np.bool_]:
    """Tell which points each row has, shape (rows, points of the vocabulary)."""
    present = np.zeros((length, len(_POINTS)), np.bool_)
    for name, values in columns.items():
        point = POINTS[name]
        present[:, _PLACES[name]] = (values >= point.low) & (values <= point.high)
    return present


def _patterns(present: npt.NDArray[np.bool_]) -> list[tuple[tuple[int, ...], Any]]:
    """Return each set of points that occurs, with the rows that have it."""
    if len(present) == 1 or (present == present[0]).all():
        return [(tuple(np.flatnonzero(present[0]).tolist()), slice(None))]
    patterns, which = np.unique(present, axis=0, return_inverse=True)
    return [
        (tuple(np.flatnonzero(pattern).tolist()), np.flatnonzero(which.ravel() == number))
        for number, pattern in enumerate(patterns)
    ]


def _records(places: tuple[int, ...], at_ms: npt.NDArray[np.int64], device_ids: npt.NDArray[np.int32]) -> Records:
    records = np.repeat(_template(places), len(at_ms))
    records["at"] = at_ms * 1000 - _POSTGRES_EPOCH_US
    records["device_id"] = device_ids
    return records


@lru_cache(maxsize=1024)
def _template(places: tuple[int, ...]) -> Records:
    """Return one row with these points in which only the values are left to be filled in."""
    fields: list[tuple[str, str]] = [("fields", ">i2"), ("at_length", ">i4"), ("at", ">i8")]
    fields += [("device_id_length", ">i4"), ("device_id", ">i4")]
    constants = {"fields": len(COLUMNS), "at_length": 8, "device_id_length": 4}
    for place, point in enumerate(_POINTS):
        length = f"{point.name}_length"
        fields.append((length, ">i4"))
        constants[length] = _ABSENT
        if place in places:
            kind = _TYPES[point.point_class]
            fields.append((point.name, kind))
            constants[length] = np.dtype(kind).itemsize
    fields.append(("extra_length", ">i4"))
    constants["extra_length"] = _ABSENT
    template = np.zeros(1, np.dtype(fields))
    for name, value in constants.items():
        template[name] = value
    return template


def _with_extras(records: Records, extras: dict[str, list[float | None]], rows: slice | Sequence[int]) -> bytes:
    """Append what vendors have beyond the vocabulary; here each row has a length of its own."""
    size = records.dtype.itemsize - 4
    numbers = range(len(records))[rows] if isinstance(rows, slice) else rows
    data = records.tobytes()
    parts: list[bytes] = []
    for place, number in enumerate(numbers):
        parts.append(data[place * (size + 4) : place * (size + 4) + size])
        text = _JSONB_VERSION + msgspec.json.encode({name: values[number] for name, values in extras.items()})
        parts += [len(text).to_bytes(4, "big"), text]
    return b"".join(parts)
