"""What an agent's disk holds, read from a copy of its files by somebody who is not the agent.

The agent holds its file exclusively, and SQLite would recover the write-ahead log of a dead one; a copy harms nobody.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hearth_agent.spool.table import RecordTable

WH_PER_NUMBER = 1000.0
_NUMBER = "import_energy_wh"
_ALL = 2**53


@dataclass
class Committed:
    """The numbers in the records of one spool file."""

    epoch: str = ""
    last_seq: int = 0
    acked: int = 0
    numbers: dict[str, set[int]] = field(default_factory=dict)
    waiting: dict[str, set[int]] = field(default_factory=dict)
    """Those in records that the agent will still send."""


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[sqlite3.Connection]:
    with tempfile.TemporaryDirectory(prefix="hearth-spool-") as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        log = path.with_name(path.name + "-wal")
        if log.exists():
            shutil.copy(log, copy.with_name(log.name))
        with contextlib.closing(sqlite3.connect(copy)) as db:
            yield db


def read_spool(path: Path) -> Committed:
    """Return what a spool file holds. The agent of that file should not run: a copy in mid-write may be torn.

    Raises:
        sqlite3.DatabaseError: The file cannot be read.
    """
    with _copied(path) as db:
        table = RecordTable(db)
        newest, closed = table.newest(), table.meta("closed")
        acked = int(closed) if closed else newest[1] if newest else 0
        found = Committed(table.meta("epoch") or "", acked=acked)
        for record in table.read(1, _ALL):
            found.last_seq = max(found.last_seq, record.through)
            for device, columns in record.batches.items():
                column = columns.points.get(_NUMBER, [])
                numbers = {round(value / WH_PER_NUMBER) for value in column if value is not None}
                found.numbers.setdefault(device, set()).update(numbers)
                if record.through > acked:
                    found.waiting.setdefault(device, set()).update(numbers)
        return found


def last_seq(path: Path) -> tuple[str, int]:
    """Return epoch and newest record of a spool whose agent may run; for waiting, not for judging.

    Raises:
        sqlite3.DatabaseError: The copy was torn; the next one may not be.
    """
    with _copied(path) as db:
        table = RecordTable(db)
        newest = table.newest()
        return table.meta("epoch") or "", newest[0].through if newest else 0
