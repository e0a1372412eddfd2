"""What can be read of a damaged spool file moves into a new one, and what cannot is declared there."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from hearth_agent.spool import old_layout
from hearth_agent.spool.compact import Names, UnreadableError, unpack_body, unpack_counts
from hearth_agent.spool.records import Counts, Lost, SpoolRecord
from hearth_agent.spool.runs import AGENT
from hearth_agent.spool.store import SpoolStore
from hearth_agent.spool.table import LAYOUT
from hearth_core.errors import PoisonMessageError
from hearth_core.messages import Gap

logger = logging.getLogger(__name__)

_SELECT_OLD = "SELECT seq, through, at_ms, counts, payload FROM record WHERE seq > ? AND seq <= ?"
_SELECT = "SELECT seq, coalesce(through, seq), at_ms, counts, body FROM record WHERE seq > ? AND seq <= ?"
_NEVER = 2**53
_UNREADABLE = (PoisonMessageError, UnreadableError, ValueError, TypeError)


class _Layout(NamedTuple):
    """How the rows of a file are read."""

    select: str
    record: Callable[..., SpoolRecord]
    counts: Callable[[Any], Counts]


class Known(NamedTuple):
    """What a running agent knows of its file."""

    acked: int
    """The hub's last word."""
    last_seq: int
    """The last record that was committed; what a failed flush may have left behind it was given back."""


class Salvage:
    """One damaged file on its way into a new store."""

    def __init__(self, path: Path, store: SpoolStore, now_ms: int, devices: Iterable[str]) -> None:
        self._path, self._store, self._now_ms = path, store, now_ms
        self._devices = devices
        self._saved: Counts = {}
        self._known: Counts = {}
        self._base: Counts | None = None
        # flush instants: of the last record before the damage, of the first after it, and of the newest
        self._before_ms: int | None = None
        self._after_ms: int | None = None
        self._newest_ms: int | None = None

    def run(self, known: Known | None) -> int:
        """Move unacknowledged records; return how many readings were saved."""
        readings = 0
        with self._store.transaction():
            for record in self._readable(known):
                self._move(record)
                readings += record.rows
            self._declare(tail_is_known=known is not None)
        return readings

    def _move(self, record: SpoolRecord) -> None:
        lost = {gap.device: Lost(gap.count, gap.from_ms, gap.until_ms, gap.reason) for gap in record.gaps if gap.count}
        holes = [gap for gap in record.gaps if not gap.count]
        self._store.append(record.batches, lost, record.at_ms, holes)
        if self._base is None:
            self._base = record.base
        for device, count in record.own.items():
            self._saved[device] = self._saved.get(device, 0) + count
        for device, count in record.counts.items():
            self._known[device] = max(count, self._known.get(device, 0))

    def _declare(self, *, tail_is_known: bool) -> None:
        base = self._base or {}
        lost = {}
        for device, count in self._known.items():
            missing = count - base.get(device, 0) - self._saved.get(device, 0)
            if missing > 0:
                lost[device] = Lost(missing, self._before_ms, self._after_ms, "the spool file was damaged")
        holes = (
            [] if tail_is_known else [self._tail(device) for device in dict.fromkeys([*self._known, *self._devices])]
        )
        if lost or holes:
            self._store.append({}, lost, self._now_ms, holes)

    def _tail(self, device: str) -> Gap:
        known = self._newest_ms is not None and self._newest_ms <= self._now_ms
        return Gap(
            device=device,
            count=0,
            produced=0,
            reason="the spool file was damaged; what it held last may be missing",
            from_ms=self._newest_ms if known else None,
            until_ms=self._now_ms if known else None,
        )

    def _readable(self, known: Known | None) -> Iterator[SpoolRecord]:
        """Yield unacknowledged records: forward to the damage, then backward from the end to it."""
        try:
            with closing(sqlite3.connect(self._path)) as db:
                layout = _layout(db)
                acked, upto = known or Known(_acked(db), _NEVER)
                self._base = _counts_at(db, acked, layout)
                reached = yield from self._forward(db, layout, acked, upto)
                if reached is not None:
                    yield from self._backward(db, layout, reached, upto)
        except (sqlite3.DatabaseError, UnreadableError) as error:
            logger.warning("nothing more can be read from %s: %s", self._path.name, error)

    def _forward(
        self, db: sqlite3.Connection, layout: _Layout, acked: int, upto: int
    ) -> Generator[SpoolRecord, None, int | None]:
        """Return the last sequence number when damage stopped it, else None."""
        last = acked
        try:
            for row in db.execute(f"{layout.select} ORDER BY seq", (acked, upto)):
                last = row[0]
                record = _record(layout, row)
                if record is not None:
                    self._before_ms = self._newest_ms = record.at_ms
                    yield record
        except sqlite3.DatabaseError:
            return last
        return None

    def _backward(self, db: sqlite3.Connection, layout: _Layout, reached: int, upto: int) -> Iterator[SpoolRecord]:
        for row in db.execute(f"{layout.select} ORDER BY seq DESC", (reached, upto)):
            record = _record(layout, row)
            if record is not None:
                if self._after_ms is None:
                    self._newest_ms = record.at_ms
                self._after_ms = record.at_ms
                yield record


def is_foreign(path: Path, agent: str) -> bool:
    """Tell whether a file says that it is another agent's; one that says nothing, or cannot, is taken as one's own."""
    try:
        with closing(sqlite3.connect(path)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (AGENT,)).fetchone()
    except sqlite3.DatabaseError:
        return False
    return row is not None and row[0] != agent


def _record(layout: _Layout, row: tuple[Any, ...]) -> SpoolRecord | None:
    try:
        return layout.record(*row)
    except _UNREADABLE:
        return None


def _layout(db: sqlite3.Connection) -> _Layout:
    if db.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
        return _Layout(_SELECT_OLD, old_layout.unpack, json.loads)
    names = Names(dict(db.execute("SELECT id, text FROM name")))

    def record(seq: int, through: int, at_ms: int, counts: bytes, body: bytes) -> SpoolRecord:
        return SpoolRecord(seq, through, at_ms, unpack_counts(counts, names), *unpack_body(body, at_ms, names))

    return _Layout(_SELECT, record, lambda data: unpack_counts(data, names))


def _acked(db: sqlite3.Connection) -> int:
    """Return the hub's last word, or 0: what is sent twice is stored once."""
    for query in (
        "SELECT value FROM meta WHERE key IN ('closed', 'acked')",
        "SELECT seq - unacked FROM record WHERE typeof(unacked) = 'integer' ORDER BY seq DESC LIMIT 1",
    ):
        try:
            row = db.execute(query).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and str(row[0]).isdigit():
            return int(row[0])
    return 0


def _counts_at(db: sqlite3.Connection, seq: int, layout: _Layout) -> Counts | None:
    if seq == 0:
        return {}
    for table in ("record", "mark"):
        query = f"SELECT counts FROM {table} WHERE seq <= ? ORDER BY seq DESC LIMIT 1"  # noqa: S608  two fixed names
        try:
            row = db.execute(query, (seq,)).fetchone()
            if row:
                return layout.counts(row[0])
        except (sqlite3.DatabaseError, *_UNREADABLE):
            continue
    return None
