"""A damaged spool file is put aside, what can be read of it moves into a new epoch, and life goes on."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from hearth_agent.spool.records import Columns
from hearth_agent.spool.store import SpoolStore
from hearth_core.errors import PoisonMessageError
from hearth_core.messages import Readings, decode

logger = logging.getLogger(__name__)


def open_store(path: Path, history_s: float, cap_bytes: int, now_ms: int) -> tuple[SpoolStore, str | None]:
    """Open the spool, whatever state its file is in.

    Returns:
        The store, and what happened to the old file when it could not be used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return SpoolStore(path, history_s, cap_bytes), None
    except sqlite3.OperationalError:
        # locked, or the disk is full or read-only: the file itself may be fine
        raise
    except sqlite3.DatabaseError as error:
        return replace(path, history_s, cap_bytes, now_ms, f"damaged ({error})")


def replace(path: Path, history_s: float, cap_bytes: int, now_ms: int, why: str) -> tuple[SpoolStore, str]:
    """Put the file aside and begin a new epoch with the unacknowledged records that can still be read."""
    aside = path.with_name(f"{path.stem}-{now_ms}.quarantine")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    store = SpoolStore(path, history_s, cap_bytes)
    saved = 0
    for record in _readable(aside):
        columns = {batch.device: Columns(batch.at_ms, batch.points) for batch in record.batches}
        lost = {gap.device: gap.count for gap in record.gaps}
        if columns or lost:
            store.append(columns, lost, now_ms)
            saved += sum(len(batch.at_ms) for batch in record.batches)
    text = f"the spool file was {why}; it is kept as {aside.name}, {saved} readings moved into epoch {store.epoch}"
    return store, text


def _readable(path: Path) -> Iterator[Readings]:
    """Yield unacknowledged records: forward to the damage, then backward from the end to it."""
    try:
        with closing(sqlite3.connect(path)) as db:
            acked = _acked(db)
            reached = yield from _rows(db, f"SELECT seq, payload FROM record WHERE seq > {acked} ORDER BY seq")  # noqa: S608  an integer
            if reached is not None:
                query = f"SELECT seq, payload FROM record WHERE seq > {reached} ORDER BY seq DESC"  # noqa: S608  an integer
                yield from _rows(db, query)
    except sqlite3.DatabaseError as error:
        logger.warning("nothing more can be read from %s: %s", path.name, error)


def _acked(db: sqlite3.Connection) -> int:
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'acked'").fetchone()
    except sqlite3.DatabaseError:
        return 0
    return int(row[0]) if row and str(row[0]).isdigit() else 0


def _rows(db: sqlite3.Connection, query: str) -> Generator[Readings, None, int | None]:
    """Yield the records of a query; return the last sequence number when damage stopped it, else None."""
    last = 0
    try:
        for seq, payload in db.execute(query):
            last = seq
            try:
                yield decode(bytes(payload), Readings)
            except (PoisonMessageError, TypeError):
                continue
    except sqlite3.DatabaseError:
        return last
    return None
