"""What a spool file says of the runs that wrote it: when the last one began, whether it ended in order, and whose."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from hearth_agent.spool.errors import ForeignSpoolError
from hearth_agent.spool.table import RecordTable

AGENT = "agent"
"""The fact under which a file says whose it is; files of earlier versions say nothing."""
_CLOSED = "closed"
_OPENED = "opened"


class Runs:
    """The note of the present run, and what the one before left."""

    def __init__(self, db: sqlite3.Connection, table: RecordTable, agent: str | None) -> None:
        """Read what is noted.

        Raises:
            ForeignSpoolError: The file is another agent's.
            sqlite3.DatabaseError: What is noted cannot be.
        """
        self._db, self._table, self._agent = db, table, agent
        owner = table.meta(AGENT)
        if agent is not None and owner not in (None, agent):
            raise ForeignSpoolError(f"another agent's ({owner})")
        self.closed_acked = table.meta_number(_CLOSED)
        """The hub's last word to a run that ended in order."""
        self.before_ms = table.meta_number(_OPENED)
        """When the run before began."""
        self._opened_ms: int | None = None
        self.is_on_file = False
        """The file itself, without its log, says that a run is on."""

    def begin(self, now_ms: int) -> None:
        """Take the instant of the beginning into the note; `write` puts it down."""
        self._opened_ms = now_ms

    def write(self) -> None:
        """Note that a run is on, in the transaction of the caller."""
        self._table.set_meta(_CLOSED, None)
        if self._opened_ms is not None:
            self._table.set_meta(_OPENED, str(self._opened_ms))
        if self._agent is not None:
            self._table.set_meta(AGENT, self._agent)

    def put_on_file(self) -> None:
        """Move the note out of the log: were that lost, the file alone would say that the last run ended in order."""
        if self._db.in_transaction:
            return
        # the note is committed: what fails here must not make the caller write a record a second time
        with suppress(sqlite3.OperationalError):
            busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self.is_on_file = not busy

    def end(self, acked: int) -> None:
        """Note that the run ended in order, and the hub's last word."""
        self._table.set_meta(_CLOSED, str(acked))
