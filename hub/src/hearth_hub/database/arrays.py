"""Whole columns in one value: arrays of the database become arrays of numpy, without an object for each number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from psycopg import AsyncCursor
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.postgres import types
from psycopg.pq import Format

from hearth_hub.database.pool import Connection

_HEADER_BYTES = 20  # dimensions, flags, type, length, lower bound
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's


class _FloatsLoader(Loader):
    """``float8[]`` of one dimension without NULL."""

    format = Format.BINARY
    item: npt.DTypeLike = np.dtype([("length", ">i4"), ("value", ">f8")])
    native: npt.DTypeLike = np.float64

    def load(self, data: Buffer) -> npt.NDArray[Any]:
        """Return the numbers."""
        return np.frombuffer(data, self.item, offset=_HEADER_BYTES)["value"].astype(self.native)


class _InstantsLoader(_FloatsLoader):
    """``timestamptz[]`` as whole microseconds since PostgreSQL's epoch, as `microseconds` counts them."""

    item = np.dtype([("length", ">i4"), ("value", ">i8")])
    native = np.int64


def array_cursor(connection: Connection) -> AsyncCursor[tuple[Any, ...]]:
    """Return a cursor that hands out ``float8[]`` and ``timestamptz[]`` as arrays; they must not contain NULL."""
    cursor = connection.cursor(binary=True)
    cursor.adapters.register_loader(types["float8"].array_oid, _FloatsLoader)
    cursor.adapters.register_loader(types["timestamptz"].array_oid, _InstantsLoader)
    return cursor


def microseconds(at: datetime) -> int:
    """Return an instant as the arrays of `array_cursor` count it."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def instant_us(count: int) -> datetime:
    """Return the instant of what `microseconds` counts."""
    return _EPOCH + timedelta(microseconds=int(count))
