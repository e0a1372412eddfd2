"""The spool file: SQLite in WAL mode, fully synchronous, one connection, one transaction a flush.

Everything here blocks and belongs to one thread (`hearth_agent.spool.spool`).
SQLite up to 3.51.2 can lose committed pages when two connections share a WAL file, hence exactly one, which keeps the
file locked; so there is no shared-memory file either, whose pages would be written as often as the data.
A page is small because each flush writes the one it touches twice: to the log, and later to its place.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hearth_agent.spool.errors import ForeignSpoolError
from hearth_agent.spool.gaps import cut_off, gaps_between, starts_ms
from hearth_agent.spool.merge import MAX_ROWS, Record, mergeable, message
from hearth_agent.spool.records import Columns, Counts, Lost, SpoolRecord, build_record
from hearth_agent.spool.reserve import Reserve
from hearth_agent.spool.room import make_room, prune
from hearth_agent.spool.runs import AGENT, Runs
from hearth_agent.spool.table import OldLayoutError, RecordTable
from hearth_core.messages import Gap

_PAGE_BYTES = 512
_LOG_BYTES = 4 * 1024 * 1024
_PRUNE_EVERY = 360
_FULL_DISK_SHARE = 0.9
_LOOK_BACK = 360


class Appended(NamedTuple):
    """What a flush did."""

    record: Record
    dropped: int
    """Unacknowledged readings that had to give way to the size cap."""


class SpoolStore:
    """One spool file = one epoch; ``seq`` is dense from 1."""

    def __init__(self, path: Path, history_s: float, cap_bytes: int, agent: str | None = None) -> None:
        """Open or create the file.

        Args:
            path: The spool file.
            history_s: How long acknowledged records stay.
            cap_bytes: How large the file may become.
            agent: Whose file it must be; one without a name becomes this agent's when a run begins.

        Raises:
            sqlite3.DatabaseError: The file is damaged.
            OldLayoutError: It was written by an earlier version.
            ForeignSpoolError: It is another agent's.
        """
        self._agent = agent
        self._history_s, self._cap_bytes = history_s, cap_bytes
        self._full_cap_bytes = cap_bytes
        self._reserve = Reserve(path.with_name("spool.reserve"))
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1.0)
        try:
            self._prepare()
        except (sqlite3.Error, OldLayoutError, ForeignSpoolError):
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
        check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            raise sqlite3.DatabaseError(check.replace("\n", " "))
        self._table = RecordTable(self._db)
        self._runs = Runs(self._db, self._table, self._agent)
        self.epoch = self._table.meta("epoch") or self._begin_epoch()
        newest = self._table.newest()
        closed = self._runs.closed_acked
        self._holes: list[Gap] = []
        self.was_cut_off = closed is None and (newest is not None or self._runs.before_ms is not None)
        """The run before did not close the file."""
        self.acked = closed if closed is not None else newest[1] if newest else 0
        self.last_seq = newest[0].through if newest else 0
        self.produced: Counts = newest[0].counts if newest else {}
        self.opened_at = self.last_seq
        """The last record of earlier runs: the hub cannot know of later ones before they were sent."""
        self._since_prune = 0
        self._acked_counts = self._table.counts_at(self.acked)
        self._reserve.keep()

    def _begin_epoch(self) -> str:
        epoch = os.urandom(8).hex()
        self._table.set_meta("epoch", epoch)
        self._table.set_meta(AGENT, self._agent)
        return epoch

    @property
    def unreadable(self) -> int:
        """How many damaged records were met."""
        return len(self._table.unreadable)

    @property
    def disk_is_full(self) -> bool:
        """Tell whether there is hardly any room left, or a full disk keeps the spool smaller than its cap."""
        return self._cap_bytes < self._full_cap_bytes or self._reserve.is_all_that_is_left()

    def begin_run(self, now_ms: int, devices: Iterable[str] = (), *, log_lost: bool = False) -> None:
        """Declare what a run that was cut off may have measured and is not here; then note that a new one began.

        Args:
            now_ms: The present instant.
            devices: Of what a hole is declared even if no record tells of it.
            log_lost: The write-ahead log is gone.

        On a full disk the note waits for the first flush.
        """
        if self.was_cut_off:
            self._holes = self._cut_off(now_ms, devices, log_lost=log_lost)
        self._runs.begin(now_ms)
        try:
            if self._holes:
                self.append({}, {}, now_ms)
            else:
                with self.transaction():
                    self._runs.write()
                self._runs.put_on_file()
        except sqlite3.OperationalError:
            return

    def _cut_off(self, now_ms: int, devices: Iterable[str], *, log_lost: bool) -> list[Gap]:
        reason = "the agent was cut off; what it measured after its last stored reading was not written or is lost"
        if log_lost:
            reason = "the agent was cut off and the spool's write-ahead log is gone"
        opened_ms = now_ms if self._runs.before_ms is None else self._runs.before_ms
        known = dict.fromkeys([*self.produced, *devices])
        return cut_off(self._table.newest_first(_LOOK_BACK), known, opened_ms, now_ms, reason)

    def append(
        self, columns: Mapping[str, Columns], lost: Mapping[str, Lost], at_ms: int, holes: Sequence[Gap] = ()
    ) -> Appended:
        """Write one record, and room for it, in one transaction.

        Args:
            columns: Readings by device.
            lost: Readings by device that were lost before they could be written.
            at_ms: The present instant.
            holes: Gaps of unknown size.

        Raises:
            sqlite3.Error: Nothing was written.
        """
        record = build_record(self.last_seq + 1, at_ms, columns, lost, [*self._holes, *holes], self.produced)
        self._since_prune += 1
        with self.transaction():
            if not self._runs.is_on_file:
                self._runs.write()
            self._table.insert(record, self.acked)
            if self._since_prune >= _PRUNE_EVERY:
                self._since_prune = 0
                prune(self._table, self.acked, at_ms - int(self._history_s * 1000))
            dropped = make_room(self._table, self.acked, self._cap_bytes, at_ms)
        self.last_seq, self.produced, self._holes = record.seq, record.counts, []
        if not self._runs.is_on_file:
            self._runs.put_on_file()
        return Appended(message(self.epoch, [record]), dropped)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in this block is written, or nothing; a block inside a block belongs to the outer one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        committed = False
        try:
            yield
            self._db.execute("COMMIT")
            committed = True
        finally:
            if not committed:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._table.load_names()

    def restore(
        self, epoch: str, acked: int, records: Iterable[SpoolRecord], marks: Iterable[tuple[int, Counts]]
    ) -> None:
        """Fill an empty file with the whole content of another."""
        with self.transaction():
            self._table.set_meta("epoch", epoch)
            for seq, counts in marks:
                self._table.insert_mark(seq, counts)
            for record in records:
                self._table.insert(record, acked)
                self.last_seq, self.produced = record.through, record.counts
        self.epoch, self.acked = epoch, acked

    def fetch(self, from_seq: int, limit: int, max_bytes: int) -> list[Record]:
        """Return one message that covers ``from_seq`` and what follows, made of up to ``limit`` records, if any."""
        records = mergeable(self._table.read(from_seq, min(limit, MAX_ROWS)))
        if records and records[0].seq > from_seq:
            records = [self._missing(from_seq, records[0])]
        return [message(self.epoch, records, max_bytes)] if records else []

    def _missing(self, from_seq: int, following: SpoolRecord) -> SpoolRecord:
        """Return a gap in place of records that are here no more.

        They were acknowledged once, and then the hub was restored to a time before. Exact when the hub lacks
        everything or the record before is still known; else the count is the most it can be: from the last mark.
        """
        base, counts = self._table.counts_at(from_seq - 1), following.base
        from_ms, until_ms = self._table.flushed_at(from_seq - 1), starts_ms(following)
        gaps = gaps_between(base, counts, "no longer in the spool when the hub asked for it", from_ms, until_ms)
        return SpoolRecord(from_seq, following.seq - 1, following.at_ms, counts, {}, gaps)

    def acknowledge(self, upto: int) -> None:
        """Remember that the hub has everything up to ``upto``; it reaches the disk with the next flush.

        A lower number than before means that the hub was restored from a backup: what it lacks is sent again.
        """
        self.acked = upto
        self._acked_counts = self._table.counts_at(upto)

    def tallies(self) -> list[tuple[str, int, int]]:
        """Return (device, produced, not yet acknowledged) of this epoch."""
        return [(d, n, max(0, n - self._acked_counts.get(d, 0))) for d, n in sorted(self.produced.items())]

    def close(self) -> None:
        """Write down that this was the end, and the last acknowledgement; then close the file."""
        try:
            if not self._holes:
                self._runs.end(self.acked)
        finally:
            self._db.close()

    def abandon(self) -> None:
        """Close the file without a word: it is not trusted any more."""
        self._db.close()

    def relieve(self, at_ms: int) -> int:
        """Make room on a full disk: from now on the file may not grow, and it begins by giving up a tenth.

        Returns:
            Unacknowledged readings that were dropped and declared.

        Raises:
            sqlite3.Error: Not even that is possible.
        """
        self._reserve.give_up()
        self._cap_bytes = min(self._cap_bytes, int(self._table.used_bytes() * _FULL_DISK_SHARE))
        with self.transaction():
            dropped = make_room(self._table, self.acked, self._cap_bytes, at_ms)
        self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        return dropped

    def relax(self) -> bool:
        """Return to the full cap once the disk has room again; tell whether it has."""
        if self._reserve.is_all_that_is_left() or not self._reserve.keep():
            return False
        self._cap_bytes = self._full_cap_bytes
        return True
