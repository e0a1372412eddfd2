"""The tables of a spool file: single steps in SQL, of which `hearth_agent.spool.store` makes transactions."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from hearth_agent.spool.compact import (
    Names,
    UnreadableError,
    pack_body,
    pack_counts,
    unpack_body,
    unpack_counts,
)
from hearth_agent.spool.gaps import gaps_between
from hearth_agent.spool.records import Counts, SpoolRecord

LAYOUT = 2
"""Kept as SQLite's user_version; before, records were stored as JSON messages."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS name (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY, through INTEGER, at_ms INTEGER NOT NULL, unacked INTEGER NOT NULL,
    counts BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mark (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, counts BLOB NOT NULL);
"""
_COLUMNS = "seq, coalesce(through, seq), at_ms, counts, body"
_MOST_MARKS = 2000


class OldLayoutError(Exception):
    """The file was written by an earlier version."""


class Head(NamedTuple):
    """A record without its content."""

    seq: int
    through: int
    at_ms: int
    """When it was flushed."""


class RecordTable:
    """Records, marks and names over one connection; nothing here begins or ends a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Make or check the tables.

        Raises:
            OldLayoutError: The file is to be converted first.
            sqlite3.DatabaseError: The file is damaged.
        """
        self._db = db
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != LAYOUT:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise OldLayoutError(f"layout {version}")
            db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={LAYOUT};COMMIT")
        self.unreadable: set[int] = set()
        """Records that were met and are not what was written."""
        self.load_names()

    def load_names(self) -> None:
        """Take the dictionary as it is stored (also after a rollback)."""
        try:
            self._names = Names(dict(self._db.execute("SELECT id, text FROM name")))
        except UnreadableError as error:
            raise sqlite3.DatabaseError(str(error)) from error

    def meta(self, key: str) -> str | None:
        """Return a single fact of the file."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        _expect(str, f"meta {key}", row[0])
        value: str = row[0]
        return value

    def meta_number(self, key: str) -> int | None:
        """Return a fact that is a whole number from 0.

        Raises:
            sqlite3.DatabaseError: It is none.
        """
        text = self.meta(key)
        if text is not None and not text.isdecimal():
            raise sqlite3.DatabaseError(f"meta {key}: {text[:20]!r} is no number")
        return None if text is None else int(text)

    def set_meta(self, key: str, value: str | None) -> None:
        """Write or delete a single fact."""
        if value is None:
            self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def insert(self, record: SpoolRecord, acked: int) -> None:
        """Write one record, and with it how far the hub's word had come: no other page has to change."""
        counts, body = pack_counts(record.counts, self._names), pack_body(record, self._names)
        self._store_names()
        through = record.through if record.through > record.seq else None
        row = (record.seq, through, record.at_ms, record.seq - acked, counts, body)
        self._db.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", row)

    def newest(self) -> tuple[SpoolRecord, int] | None:
        """Return the newest record and how far the hub's word had come when it was written.

        Raises:
            sqlite3.DatabaseError: Its counts are damaged: numbers would be given a second time.
        """
        row = self._db.execute(f"SELECT {_COLUMNS}, unacked FROM record ORDER BY seq DESC LIMIT 1").fetchone()  # noqa: S608  fixed columns
        if row is None:
            return None
        *columns, unacked = row
        _expect(int, "the newest record", unacked)
        return self._record(*columns, base=None), row[0] - unacked

    def newest_first(self, limit: int) -> Iterator[SpoolRecord]:
        """Yield the newest records, backward; one that is damaged comes as a gap.

        Raises:
            sqlite3.DatabaseError: The counts of one are damaged.
        """
        query = f"SELECT {_COLUMNS} FROM record ORDER BY seq DESC LIMIT ?"  # noqa: S608  fixed columns
        for row in self._db.execute(query, (limit,)).fetchall():
            yield self._record(*row, base=None)

    def read(self, from_seq: int, limit: int) -> Iterator[SpoolRecord]:
        """Yield the record that covers ``from_seq`` and what follows; one that is damaged comes as a gap."""
        start = self._start_of(from_seq)
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM record WHERE seq >= ? ORDER BY seq LIMIT ?", (start, limit))  # noqa: S608  fixed columns
        base: Counts | None = None
        for row in rows:
            record = self._record(*row, base=base)
            base = record.counts
            yield record

    def _record(
        self, seq: int, through: int, at_ms: int, counts: bytes, body: bytes, *, base: Counts | None
    ) -> SpoolRecord:
        _expect(int, f"record {seq}", through, at_ms)
        try:
            reached = unpack_counts(counts, self._names)
        except UnreadableError as error:
            raise sqlite3.DatabaseError(f"record {seq}: {error}") from error
        try:
            batches, gaps = unpack_body(body, at_ms, self._names)
        except UnreadableError:
            self.unreadable.add(seq)
            before = self.counts_at(seq - 1) if base is None else base
            gaps = gaps_between(before, reached, "the stored record could not be read", None, at_ms)
            return SpoolRecord(seq, through, at_ms, reached, {}, gaps)
        return SpoolRecord(seq, through, at_ms, reached, batches, gaps)

    def _start_of(self, seq: int) -> int:
        row = self._db.execute(
            "SELECT seq, coalesce(through, seq) FROM record WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (seq,)
        ).fetchone()
        return row[0] if row and row[1] >= seq else seq

    def counts_at(self, seq: int) -> Counts:
        """Return the running counts after record ``seq``, or the nearest known before it."""
        found = self._last_at("record", seq) or self._last_at("mark", seq)
        return found[1] if found else {}

    def flushed_at(self, seq: int) -> int | None:
        """Return when record ``seq``, or the nearest known before it, was flushed."""
        found = self._last_at("record", seq) or self._last_at("mark", seq)
        return found[0] if found else None

    def _last_at(self, table: str, seq: int) -> tuple[int, Counts] | None:
        if seq <= 0:
            return None
        query = f"SELECT at_ms, counts FROM {table} WHERE seq <= ? ORDER BY seq DESC LIMIT 1"  # noqa: S608  two fixed names
        row = self._db.execute(query, (seq,)).fetchone()
        if row is None:
            return None
        _expect(int, f"{table} {seq}", row[0])
        try:
            return row[0], unpack_counts(row[1], self._names)
        except UnreadableError as error:
            raise sqlite3.DatabaseError(f"{table} {seq}: {error}") from error

    def heads(self) -> Iterator[Head]:
        """Yield what is known of each record without reading it, oldest first."""
        rows = self._db.execute("SELECT seq, coalesce(through, seq), at_ms FROM record ORDER BY seq")
        yield from itertools.starmap(Head, rows)

    def count(self) -> int:
        """Return how many records there are."""
        number: int = self._db.execute("SELECT count(*) FROM record").fetchone()[0]
        return number

    def delete_through(self, seq: int) -> None:
        """Delete records up to ``seq``, leaving one mark with the counts reached there."""
        self._db.execute(
            "INSERT OR REPLACE INTO mark SELECT coalesce(through, seq), at_ms, counts FROM record WHERE seq = ?", (seq,)
        )
        self._db.execute("DELETE FROM record WHERE seq <= ?", (seq,))
        self._db.execute(
            "DELETE FROM mark WHERE seq <= (SELECT seq FROM mark ORDER BY seq DESC LIMIT 1 OFFSET ?)", (_MOST_MARKS,)
        )

    def insert_mark(self, seq: int, counts: Counts) -> None:
        """Note the counts reached at a record of unknown age that is here no more."""
        packed = pack_counts(counts, self._names)
        self._store_names()
        self._db.execute("INSERT INTO mark VALUES (?, 0, ?)", (seq, packed))

    def _store_names(self) -> None:
        if self._names.fresh:
            self._db.executemany("INSERT INTO name VALUES (?, ?)", self._names.fresh)
            self._names.fresh.clear()

    def drop_mark(self, seq: int) -> None:
        """Delete the mark of records that are not delivered but declared as a gap."""
        self._db.execute("DELETE FROM mark WHERE seq = ?", (seq,))

    def used_bytes(self) -> int:
        """Return the size of the pages that hold something."""
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def _expect(kind: type, what: str, *values: object) -> None:
    """Raise sqlite3.DatabaseError for a value of another kind: damage can make NULL of a column that never is."""
    for value in values:
        if not isinstance(value, kind):
            raise sqlite3.DatabaseError(f"{what}: {type(value).__name__} where {kind.__name__} was written")
