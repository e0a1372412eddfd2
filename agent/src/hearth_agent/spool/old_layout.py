"""Spool files of the first layout, whose records were whole JSON messages, are rewritten once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hearth_agent.spool.records import Columns, SpoolRecord
from hearth_agent.spool.store import SpoolStore
from hearth_core.messages import Readings, decode


def convert(path: Path, into: SpoolStore) -> None:
    """Copy everything into an empty store: same epoch, same numbers.

    Raises:
        sqlite3.DatabaseError: The file is damaged.
        PoisonMessageError: One of its records is damaged.
    """
    with closing(sqlite3.connect(path)) as db:
        facts = dict(db.execute("SELECT key, value FROM meta"))
        marks = [(seq, json.loads(counts)) for seq, counts in db.execute("SELECT seq, counts FROM mark")]
        into.restore(facts["epoch"], int(facts.get("acked", 0)), _records(db), marks)


def _records(db: sqlite3.Connection) -> Iterator[SpoolRecord]:
    for row in db.execute("SELECT seq, through, at_ms, counts, payload FROM record ORDER BY seq"):
        yield unpack(*row)


def unpack(seq: int, through: int, at_ms: int, counts: str, payload: bytes) -> SpoolRecord:
    """Return a stored row as a record.

    Raises:
        PoisonMessageError: The payload is damaged.
        ValueError: The counts are damaged.
    """
    readings = decode(bytes(payload), Readings)
    batches = {batch.device: Columns(batch.at_ms, batch.points) for batch in readings.batches}
    return SpoolRecord(seq, through, at_ms, json.loads(counts), batches, readings.gaps)
