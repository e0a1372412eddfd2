"""Ingest's SQL, a module a subject; every function runs in the caller's transaction and takes a whole batch at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec
import psycopg

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

AT = "timestamptz 'epoch' + k.{} * interval '1 ms'"
"""An instant of a `Given` row, exact to the millisecond, unlike `to_timestamp` of a fraction."""


class Given:
    """Rows that a statement reads as if they were a table named ``k``.

    They travel as one JSON text: psycopg turns lists into arrays an element at a time in Python, which costs more than
    everything else here.
    """

    def __init__(self, **columns: str) -> None:
        """Name the columns with their types."""
        self._names = tuple(columns)
        described = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        self.table = f"json_to_recordset(%s::json) as k({described})"

    def text(self, rows: Iterable[tuple[object, ...]]) -> str:
        """Return rows as the statement's parameter."""
        return msgspec.json.encode([dict(zip(self._names, row, strict=True)) for row in rows]).decode()
