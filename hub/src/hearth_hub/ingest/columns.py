"""Columnar batches become rows in PostgreSQL's binary COPY format, a whole shape at a time.

Every row of a shape (which points are there and which are missing) has the same bytes at the same places, so numpy
writes the columns into one array of records and no Python object is made for a row.
Source: the file format of ``COPY ... (FORMAT binary)`` in PostgreSQL's documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from hearth_core.points import POINTS, PointClass
from hearth_hub.ingest.numbers import Columns, Matrix

COLUMNS = ("at", "device_id", *POINTS, "extra")
"""The columns of a row, in this order."""

_POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts microseconds
_TYPES = {PointClass.GAUGE: ">f4", PointClass.COUNTER: ">f8", PointClass.STATE: ">i2"}
_ABSENT = -1
_JSONB_VERSION = b"\x01"

# So many rows are built while the database takes in those before them.
_PIECE_ROWS = 500

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


def newest(rows: Rows) -> list[tuple[int, int]]:
    """Return the newest instant [ms] of each device, with the device's id, in the order of the ids."""
    order = np.lexsort((rows.at_ms, rows.device_ids))
    devices = rows.device_ids[order]
    last = order[np.append(devices[1:] != devices[:-1], True)]
    return list(zip(rows.at_ms[last].tolist(), rows.device_ids[last].tolist(), strict=True))


@dataclass
class _Shape:
    """Batches with the same points, one after the other."""

    names: tuple[str, ...]
    at_ms: list[npt.NDArray[np.int64]] = field(default_factory=list)
    values: list[Matrix] = field(default_factory=list)
    device_ids: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    size: int = 0


class Gatherer:
    """Takes batches, gives rows."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, ...], _Shape] = {}
        self._full: list[_Shape] = []
        self._built: list[Rows] = []

    def add(self, owner: int, device_id: int, batch: Columns, start: int, end: int) -> None:
        """Take the readings ``[start, end)`` of a batch."""
        if (shape := self._open.get(batch.names)) is None:
            shape = self._open[batch.names] = _Shape(batch.names)
        shape.at_ms.append(batch.at_ms[start:end])
        shape.values.append(batch.values[:, start:end])
        shape.device_ids.append(device_id)
        shape.owners.append(owner)
        shape.lengths.append(end - start)
        shape.size += end - start
        if shape.size >= _PIECE_ROWS:
            self._full.append(self._open.pop(batch.names))

    def full_pieces(self) -> Iterator[bytes]:
        """Build what is enough to be sent by now, so that the database works on it while more is gathered.

        A value outside its point's range is missing, never 0.
        """
        full, self._full = self._full, []
        for shape in full:
            yield from self._build(shape)

    def last_pieces(self) -> Iterator[bytes]:
        """Build all the rest."""
        yield from self.full_pieces()
        left, self._open = self._open, {}
        for shape in left.values():
            yield from self._build(shape)

    def _build(self, shape: _Shape) -> Iterator[bytes]:
        for part in _rows(shape):
            self._built.append(part)
            yield from part.data

    def rows(self) -> Rows:
        """Return all rows that were built, in this order."""
        return Rows(
            [data for part in self._built for data in part.data],
            np.concatenate([part.at_ms for part in self._built]),
            np.concatenate([part.device_ids for part in self._built]),
            np.concatenate([part.owners for part in self._built]),
        )


def _rows(shape: _Shape) -> list[Rows]:
    """Turn a shape into rows, split where values are missing."""
    at_ms = np.concatenate(shape.at_ms)
    values = np.concatenate(shape.values, axis=1)
    device_ids = np.repeat(np.array(shape.device_ids, np.int32), shape.lengths)
    owners = np.repeat(np.array(shape.owners, np.int32), shape.lengths)
    canonical = [place for place, name in enumerate(shape.names) if name in POINTS]
    columns, known = values[canonical], [POINTS[shape.names[place]] for place in canonical]
    extras = {name: values[place] for place, name in enumerate(shape.names) if name not in POINTS}
    low, high = (np.array([[getattr(point, end)] for point in known]).reshape(-1, 1) for end in ("low", "high"))
    parts = []
    for present, rows in _patterns((columns >= low) & (columns <= high)):
        records = _records(tuple(known[place].name for place in present), at_ms[rows], device_ids[rows])
        for place in present:
            records[known[place].name] = columns[place][rows]
        data = (
            _with_extras(records, {name: part[rows] for name, part in extras.items()}) if extras else records.tobytes()
        )
        parts.append(Rows([data], at_ms[rows], device_ids[rows], owners[rows]))
    return parts


def _patterns(present: npt.NDArray[np.bool_]) -> list[tuple[list[int], Any]]:
    """Return each set of points that occurs, with the rows that have it.

    Args:
        present: Shape (points, rows).
    """
    always = present.all(axis=1)
    if (always | ~present.any(axis=1)).all():
        return [(np.flatnonzero(always).tolist(), slice(None))]
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    return [
        (np.flatnonzero(pattern).tolist(), np.flatnonzero(which.ravel() == number))
        for number, pattern in enumerate(patterns.T)
    ]


def _records(names: tuple[str, ...], at_ms: npt.NDArray[np.int64], device_ids: npt.NDArray[np.int32]) -> Records:
    records = np.repeat(_template(names), len(at_ms))
    records["at"] = at_ms * 1000 - _POSTGRES_EPOCH_US
    records["device_id"] = device_ids
    return records


@lru_cache(maxsize=1024)
def _template(names: tuple[str, ...]) -> Records:
    """Return one row with these points in which only the values are left to be filled in."""
    fields: list[tuple[str, str]] = [("fields", ">i2"), ("at_length", ">i4"), ("at", ">i8")]
    fields += [("device_id_length", ">i4"), ("device_id", ">i4")]
    constants = {"fields": len(COLUMNS), "at_length": 8, "device_id_length": 4}
    for point in POINTS.values():
        length = f"{point.name}_length"
        fields.append((length, ">i4"))
        constants[length] = _ABSENT
        if point.name in names:
            kind = _TYPES[point.point_class]
            fields.append((point.name, kind))
            constants[length] = np.dtype(kind).itemsize
    fields.append(("extra_length", ">i4"))
    constants["extra_length"] = _ABSENT
    template = np.zeros(1, np.dtype(fields))
    for name, value in constants.items():
        template[name] = value
    return template


def _with_extras(records: Records, extras: dict[str, npt.NDArray[np.float64]]) -> bytes:
    """Append what vendors have beyond the vocabulary; here each row has a length of its own."""
    size, data = records.dtype.itemsize, records.tobytes()
    parts: list[bytes] = []
    for place, numbers in enumerate(zip(*(values.tolist() for values in extras.values()), strict=True)):
        text = _JSONB_VERSION + msgspec.json.encode(dict(zip(extras, numbers, strict=True)))  # NaN becomes null
        parts += [data[place * size : (place + 1) * size - 4], len(text).to_bytes(4, "big"), text]
    return b"".join(parts)
