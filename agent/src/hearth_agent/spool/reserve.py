"""A file of nothing beside the spool: given up when the disk is full, so that there is room to make room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SIZE_BYTES = 1024 * 1024
_FREE_BYTES = 8 * _SIZE_BYTES


class Reserve:
    """One megabyte of the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> bool:
        """Take the room unless it is taken already; False while the disk has little to give."""
        if self._path.exists():
            return True
        try:
            if shutil.disk_usage(self._path.parent).free < _FREE_BYTES:
                return False
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _SIZE_BYTES)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        return True

    def is_all_that_is_left(self) -> bool:
        """Tell whether the disk has less to give than this file would take."""
        try:
            return shutil.disk_usage(self._path.parent).free < _SIZE_BYTES
        except OSError:
            return False

    def give_up(self) -> None:
        """Give the room back to the disk."""
        self._path.unlink(missing_ok=True)
