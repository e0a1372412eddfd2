"""The spool file: SQLite in WAL mode, fully synchronous, one connection, one transaction a flush.

Everything here blocks and belongs to one thread (`hearth_agent.spool.spool`).
SQLite up to 3.51.2 can lose committed pages when two connections share a WAL file, hence exactly one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hearth_agent.spool.records import Columns, build_record
from hearth_core.messages import Gap, Readings, encode

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY, through INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    counts TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mark (seq INTEGER PRIMARY KEY, counts TEXT NOT NULL);
"""
_ROW_OVERHEAD = 120
_PRUNE_EVERY = 64
_PRUNE_ROWS = 512

Counts = dict[str, int]


class Record(NamedTuple):
    """One record as it goes on the wire; it covers ``seq..through``."""

    seq: int
    through: int
    payload: bytes


class Appended(NamedTuple):
    """What a flush did."""

    record: Record
    dropped: int
    """Unacknowledged readings that had to give way to the size cap."""


class SpoolStore:
    """One spool file = one epoch; ``seq`` is dense from 1."""

    def __init__(self, path: Path, history_s: float, cap_bytes: int) -> None:
        """Open or create the file.

        Raises:
            sqlite3.DatabaseError: The file is damaged.
        """
        self._history_s, self._cap_bytes = history_s, cap_bytes
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except sqlite3.Error:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA journal_size_limit=4194304")
        check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(check)
        self._db.executescript(_SCHEMA)
        meta = dict(self._db.execute("SELECT key, value FROM meta"))
        self.epoch = meta.get("epoch") or self._begin_epoch()
        self.acked = int(meta.get("acked", 0))
        row = self._db.execute("SELECT through, counts FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        self.last_seq: int = row[0] if row else 0
        self.produced: Counts = json.loads(row[1]) if row else {}
        total = self._db.execute("SELECT count(*), coalesce(sum(length(payload)), 0) FROM record").fetchone()
        self._bytes: int = total[1] + total[0] * _ROW_OVERHEAD
        self._since_prune = 0
        self._acked_counts = self._counts_at(self.acked)

    def _begin_epoch(self) -> str:
        epoch = os.urandom(8).hex()
        self._db.execute("INSERT INTO meta VALUES ('epoch', ?)", (epoch,))
        return epoch

    def append(self, columns: Mapping[str, Columns], dropped: Mapping[str, int], at_ms: int) -> Appended:
        """Write one record, the acknowledgement known by now, and room for both, in one transaction.

        Raises:
            sqlite3.Error: Nothing was written.
        """
        before = (self.last_seq, self.produced, self._bytes)
        committed = False
        self._db.execute("BEGIN IMMEDIATE")
        try:
            record, counts = build_record(self.epoch, self.last_seq + 1, columns, dropped, self.produced)
            appended = self._insert(record, counts, at_ms)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('acked', ?)", (str(self.acked),))
            self._prune(at_ms)
            lost = self._make_room(at_ms) if self._bytes > self._cap_bytes else 0
            self._db.execute("COMMIT")
            committed = True
        finally:
            if not committed:
                self.last_seq, self.produced, self._bytes = before
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        return Appended(appended, lost)

    def _insert(self, record: Readings, counts: Counts, at_ms: int) -> Record:
        payload = encode(record)
        row = (record.seq, record.last_seq, at_ms, json.dumps(counts), payload)
        self._db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", row)
        self._bytes += len(payload) + _ROW_OVERHEAD
        self.last_seq, self.produced = max(self.last_seq, record.last_seq), counts
        return Record(record.seq, record.last_seq, payload)

    def fetch(self, from_seq: int, limit: int, max_bytes: int) -> list[Record]:
        """Return records that cover ``from_seq`` and what follows, as far as limit and size allow (at least one)."""
        rows = self._db.execute(
            "SELECT seq, through, payload FROM record WHERE seq >= ? ORDER BY seq LIMIT ?",
            (self._start_of(from_seq), limit),
        )
        records: list[Record] = []
        size = 0
        for row in rows:
            size += len(row[2])
            if records and size > max_bytes:
                break
            records.append(Record(*row))
        return records

    def _start_of(self, seq: int) -> int:
        row = self._db.execute("SELECT seq FROM record WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (seq,)).fetchone()
        return row[0] if row and self._covers(row[0], seq) else seq

    def _covers(self, start: int, seq: int) -> bool:
        through: int = self._db.execute("SELECT through FROM record WHERE seq = ?", (start,)).fetchone()[0]
        return through >= seq

    def acknowledge(self, upto: int) -> None:
        """Remember that the hub has everything up to ``upto``; it reaches the disk with the next flush.

        A lower number than before means that the hub was restored from a backup: what it lacks is sent again,
        and what is no longer here becomes a gap.
        """
        if upto < self.acked:
            self._declare_pruned(upto)
        self.acked = upto
        self._acked_counts = self._counts_at(upto)

    def tallies(self) -> list[tuple[str, int, int]]:
        """Return (device, produced, not yet acknowledged) of this epoch."""
        return [(d, n, max(0, n - self._acked_counts.get(d, 0))) for d, n in sorted(self.produced.items())]

    def close(self) -> None:
        """Write down the last acknowledgement and close the file."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('acked', ?)", (str(self.acked),))
        self._db.close()

    def _counts_at(self, seq: int) -> Counts:
        """Return the running counts after record ``seq``."""
        if seq <= 0:
            return {}
        for table in ("record", "mark"):
            row = self._db.execute(
                f"SELECT counts FROM {table} WHERE seq <= ? ORDER BY seq DESC LIMIT 1",  # noqa: S608  two fixed names
                (seq,),
            ).fetchone()
            if row:
                counts: Counts = json.loads(row[0])
                return counts
        return {}

    def _prune(self, now_ms: int) -> None:
        """Every now and then let go of acknowledged records that are older than the local history."""
        self._since_prune += 1
        if self._since_prune < _PRUNE_EVERY:
            return
        self._since_prune = 0
        old_ms = now_ms - int(self._history_s * 1000)
        rows = self._db.execute(
            "SELECT seq, at_ms FROM record WHERE through <= ? ORDER BY seq LIMIT ?", (self.acked, _PRUNE_ROWS)
        ).fetchall()
        old = [seq for seq, at_ms in rows if at_ms < old_ms]
        if old:
            self._delete_through(max(old))

    def _delete_through(self, seq: int) -> None:
        """Delete records up to ``seq``, leaving one mark with the counts reached there."""
        last = self._db.execute("SELECT through, counts FROM record WHERE seq = ?", (seq,)).fetchone()
        size = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM record WHERE seq <= ?", (seq,)
        ).fetchone()
        self._db.execute("INSERT OR REPLACE INTO mark VALUES (?, ?)", last)
        self._db.execute("DELETE FROM record WHERE seq <= ?", (seq,))
        self._bytes -= size[1] + size[0] * _ROW_OVERHEAD

    def _make_room(self, at_ms: int) -> int:
        """Bring the file under its cap: oldest acknowledged records go first, then oldest ones behind a gap."""
        target = int(self._cap_bytes * 0.95)
        rows = self._db.execute("SELECT seq, through, length(payload) FROM record ORDER BY seq").fetchall()
        excess = self._bytes - target
        last_acked = last_unacked = 0
        for seq, through, size in rows[:-1]:  # the newest record always stays
            if excess <= 0:
                break
            excess -= size + _ROW_OVERHEAD
            if through <= self.acked:
                last_acked = seq
            else:
                last_unacked = seq
        if last_acked:
            self._delete_through(last_acked)
        return self._replace_by_gap(last_unacked, at_ms) if last_unacked else 0

    def _replace_by_gap(self, last: int, at_ms: int) -> int:
        first = self._db.execute("SELECT min(seq) FROM record").fetchone()[0]
        through = self._db.execute("SELECT through FROM record WHERE seq = ?", (last,)).fetchone()[0]
        base, counts = self._counts_at(max(first - 1, self.acked)), self._counts_at(last)
        self._delete_through(last)
        self._db.execute("DELETE FROM mark WHERE seq = ?", (through,))
        start = max(first, self.acked + 1)
        self._insert_gap(start, through, base, counts, at_ms, "the spool reached its size cap")
        return sum(counts.values()) - sum(base.values())

    def _insert_gap(self, first: int, through: int, base: Counts, counts: Counts, at_ms: int, reason: str) -> None:
        gaps = [
            Gap(device=device, count=count - base.get(device, 0), produced=count, reason=reason)
            for device, count in counts.items()
            if count > base.get(device, 0)
        ]
        produced = self.produced
        self._insert(Readings(epoch=self.epoch, seq=first, through=through, gaps=gaps), counts, at_ms)
        self.produced = produced

    def _declare_pruned(self, upto: int) -> None:
        """Put a gap in place of records the hub lost and this file no longer has.

        Exact when ``upto`` is 0 or still in the file; else the count is the least that can be told: from the
        last mark at or below it.
        """
        oldest = self._db.execute("SELECT min(seq) FROM record").fetchone()[0] or self.last_seq + 1
        if oldest <= upto + 1:
            return
        base, counts = self._counts_at(upto), self._counts_at(oldest - 1)
        at_row = self._db.execute("SELECT at_ms FROM record WHERE seq = ?", (oldest,)).fetchone()
        reason = "older than the local history when the hub asked again"
        self._insert_gap(upto + 1, oldest - 1, base, counts, at_row[0] if at_row else 0, reason)
