"""A spool file that cannot be trusted is put aside, what can be read of it moves into a new epoch, and life goes on.

The new file is made beside the old one and takes its place when it is complete: a crash or a full disk in between
leaves the old one where it was, and the next start tries again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hearth_agent.spool import old_layout
from hearth_agent.spool.errors import ForeignSpoolError, casts_doubt
from hearth_agent.spool.salvage import Known, Salvage, is_foreign
from hearth_agent.spool.store import SpoolStore
from hearth_agent.spool.table import OldLayoutError
from hearth_core.errors import PoisonMessageError

logger = logging.getLogger(__name__)

_KEPT_FILES = 2
_LOG = "-wal"


def open_store(
    path: Path,
    history_s: float,
    cap_bytes: int,
    now_ms: int,
    devices: Sequence[str] = (),
    agent: str | None = None,
) -> tuple[SpoolStore, str | None]:
    """Open the spool, whatever state its file is in, and begin a run.

    Args:
        path: The spool file.
        history_s: See `SpoolStore`.
        cap_bytes: See `SpoolStore`.
        now_ms: The present instant.
        devices: Of what a hole is declared even if nothing at all can be read.
        agent: Whose file it must be; another agent's is put aside and nothing of it is sent.

    Returns:
        The store, and what happened to the old file when it could not be used.

    Raises:
        sqlite3.Error: The disk is full, read-only or failing, or somebody else has the file open.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _ready(path).exists():
        _switch(path, now_ms)
    log = path.with_name(path.name + _LOG)
    log_lost = not log.exists()
    try:
        return _begun(SpoolStore(path, history_s, cap_bytes, agent), now_ms, devices, log_lost=log_lost), None
    except OldLayoutError:
        return _convert(path, history_s, cap_bytes, now_ms, devices, agent)
    except ForeignSpoolError as error:
        why = str(error)
    except sqlite3.DatabaseError as error:
        if not casts_doubt(error):
            raise
        why = f"damaged ({error})"
    return replace(path, history_s, cap_bytes, now_ms, why, devices=devices, agent=agent)


def _begun(store: SpoolStore, now_ms: int, devices: Sequence[str], *, log_lost: bool = False) -> SpoolStore:
    try:
        store.begin_run(now_ms, devices, log_lost=log_lost)
    except sqlite3.Error:
        store.abandon()
        raise
    return store


def _convert(
    path: Path, history_s: float, cap_bytes: int, now_ms: int, devices: Sequence[str], agent: str | None
) -> tuple[SpoolStore, str | None]:
    try:
        with closing(SpoolStore(_empty_beside(path), history_s, cap_bytes, agent)) as store:
            old_layout.convert(path, store)
    except (sqlite3.DatabaseError, PoisonMessageError, ValueError, KeyError) as error:
        if isinstance(error, sqlite3.Error) and not casts_doubt(error):
            raise
        return replace(path, history_s, cap_bytes, now_ms, f"damaged ({error})", devices=devices, agent=agent)
    _beside(path).rename(_ready(path))
    _switch(path, now_ms).unlink()
    store = _begun(SpoolStore(path, history_s, cap_bytes, agent), now_ms, devices)
    logger.info("the spool file was rewritten in the present layout")
    return store, None


def replace(
    path: Path,
    history_s: float,
    cap_bytes: int,
    now_ms: int,
    why: str,
    known: Known | None = None,
    devices: Sequence[str] = (),
    agent: str | None = None,
) -> tuple[SpoolStore, str]:
    """Put the file aside and begin a new epoch with the unacknowledged records that can still be read.

    Of another agent's file nothing is moved: its readings are not this home's.

    Args:
        path: The spool file.
        history_s: See `SpoolStore`.
        cap_bytes: See `SpoolStore`.
        now_ms: The present instant.
        why: What is wrong with the file, for a person.
        known: What a running agent knows of the file.
        devices: See `open_store`.
        agent: See `open_store`.

    Raises:
        sqlite3.Error: The new file cannot be written; the old one is where it was.
    """
    with closing(SpoolStore(_empty_beside(path), history_s, cap_bytes, agent)) as store:
        foreign = agent is not None and is_foreign(path, agent)
        saved = 0 if foreign else Salvage(path, store, now_ms, devices).run(known)
        epoch = store.epoch
    _beside(path).rename(_ready(path))
    aside = _switch(path, now_ms)
    _forget_oldest(path)
    store = _begun(SpoolStore(path, history_s, cap_bytes, agent), now_ms, devices)
    text = f"the spool file was {why}; it is kept as {aside.name}, {saved} readings moved into epoch {epoch}"
    return store, text


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".fresh")


def _ready(path: Path) -> Path:
    return path.with_name(path.name + ".ready")


def _empty_beside(path: Path) -> Path:
    fresh = _beside(path)
    for suffix in ("", _LOG):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    return fresh


def _switch(path: Path, now_ms: int) -> Path:
    """Put the complete new file in place; return where the old one is kept."""
    aside = path.with_name(f"{path.stem}-{now_ms}.quarantine")
    # the log first: beside another main file it would be taken for that one's
    for suffix in (_LOG, ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    _ready(path).rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return aside


def _forget_oldest(path: Path) -> None:
    aside = sorted(path.parent.glob(f"{path.stem}-*.quarantine"), key=lambda file: file.stat().st_mtime)
    for file in aside[:-_KEPT_FILES]:
        file.unlink()
        file.with_name(file.name + _LOG).unlink(missing_ok=True)
