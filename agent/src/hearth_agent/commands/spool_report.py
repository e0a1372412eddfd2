"""What the spool holds, read from a copy: the file itself stays locked by a running agent, and is never touched."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

from hearth_agent.spool.errors import ForeignSpoolError
from hearth_agent.spool.store import SpoolStore
from hearth_agent.spool.table import OldLayoutError

_FILES = ("spool.sqlite", "spool.sqlite-wal")
_ROOM_LEFT = 1.5  # the copy may take this part of the free space at most: 1 / 1.5


def spool_report(data_dir: Path) -> str:
    """Return epoch, watermark and tallies as text, or why they cannot be told."""
    sources = [data_dir / name for name in _FILES if (data_dir / name).is_file()]
    if data_dir / _FILES[0] not in sources:
        return f"There is no spool in {data_dir}.\n"
    try:
        with tempfile.TemporaryDirectory(prefix="hearth-spool-") as folder:
            wanted = sum(source.stat().st_size for source in sources)
            if wanted * _ROOM_LEFT > shutil.disk_usage(folder).free:
                return f"The spool has {wanted} bytes; there is no room for a copy.\n"
            for source in sources:
                shutil.copy(source, folder)
            return _read(Path(folder) / _FILES[0])
    except (OSError, sqlite3.Error, OldLayoutError, ForeignSpoolError, ValueError) as error:
        return f"The spool cannot be read: {type(error).__name__}: {error}\n"


def _read(path: Path) -> str:
    size = path.stat().st_size
    store = SpoolStore(path, history_s=0.0, cap_bytes=2 * size)
    try:
        lines = [
            f"epoch {store.epoch}",
            f"last record {store.last_seq}, acknowledged {store.acked}, damaged records met {store.unreadable}",
            f"size {size} bytes; the last run closed it: {'no' if store.was_cut_off else 'yes'}",
            "device                produced  waiting for the hub",
        ]
        lines += [f"{device:<20} {produced:>9}  {waiting:>9}" for device, produced, waiting in store.tallies()]
    finally:
        store.abandon()
    return "\n".join(lines) + "\n"
