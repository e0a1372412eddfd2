"""What SQLite's errors mean for the file they come from."""

from __future__ import annotations

import sqlite3


class ForeignSpoolError(Exception):
    """The file is another agent's."""


_PRIMARY_CODE = 0xFF
_NOT_THE_FILE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def is_disk_full(error: sqlite3.Error) -> bool:
    """Tell whether there was no room."""
    return _code(error) == sqlite3.SQLITE_FULL


def casts_doubt(error: sqlite3.Error) -> bool:
    """Tell whether the file can be trusted no more; else the disk or somebody else is in the way for now.

    After a failed sync the pages in memory may never reach the disk, so an I/O error is one of them.
    """
    return _code(error) not in _NOT_THE_FILE


def _code(error: sqlite3.Error) -> int:
    # an error that was raised here has no code: it tells of damage
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE
