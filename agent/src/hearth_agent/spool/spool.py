"""The spool as the rest of the agent sees it: asynchronous, and with one thread for the one SQLite connection."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hearth_agent.devices.snapshot import Measured
from hearth_agent.events import EventLog
from hearth_agent.spool.records import Collector
from hearth_agent.spool.recovery import open_store, replace
from hearth_agent.spool.store import Record, SpoolStore
from hearth_core.clock import Clock, now_ms
from hearth_core.messages import Tally

logger = logging.getLogger(__name__)
T = TypeVar("T")

# the newest records stay in memory, so that a live link reads nothing from the disk
_KEPT_RECORDS = 64


class Spool:
    """Collects readings and flushes them to disk; hands records out until the hub has them."""

    def __init__(self, path: Path, clock: Clock, events: EventLog, history_s: float, cap_bytes: int) -> None:
        self._path, self._clock, self._events = path, clock, events
        self._history_s, self._cap_bytes = history_s, cap_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._store: SpoolStore | None = None
        self._collector = Collector()
        self._recent: OrderedDict[int, Record] = OrderedDict()
        self._turn = asyncio.Lock()
        self._failing = False
        self.grown = asyncio.Event()
        """Set with every record that was committed."""
        self.epoch = ""
        self.acked = 0
        self.last_seq = 0

    async def open(self) -> bool:
        """Open the file if it is not; a folder that cannot be written is told once and tried with every flush."""
        async with self._turn:
            return await self._open()

    async def _open(self) -> bool:
        if self._store is not None:
            return True
        arguments = (self._path, self._history_s, self._cap_bytes, now_ms(self._clock))
        try:
            store, trouble = await self._run(lambda: open_store(*arguments))
        except (OSError, sqlite3.Error) as error:
            self._fail(f"the spool {self._path} cannot be opened: {error}")
            return False
        self._adopt(store)
        if trouble:
            self._events.error("spool_quarantined", trouble)
        logger.info("spool %s, epoch %s, SQLite %s", self._path, self.epoch, sqlite3.sqlite_version)
        return True

    def add(self, device: str, at_ms: int, measured: Measured) -> None:
        """Take one reading into the next flush."""
        self._collector.add(device, at_ms, measured)

    async def flush(self) -> None:
        """Commit what was gathered as one record; what cannot be written waits for the next flush."""
        async with self._turn:
            await self._open()
            columns, dropped = self._collector.take()
            store, at_ms = self._store, now_ms(self._clock)
            if store is None or not (columns or dropped):
                self._collector.put_back(columns, dropped)
                return
            try:
                appended = await self._run(lambda: store.append(columns, dropped, at_ms))
            except sqlite3.OperationalError as error:
                self._collector.put_back(columns, dropped)
                self._fail(f"a flush could not be written: {error}")
                return
            except sqlite3.DatabaseError as error:
                self._collector.put_back(columns, dropped)
                await self._begin_again(f"damaged ({error})")
                return
            self._failing = False
            self.last_seq = store.last_seq
            self._recent[appended.record.seq] = appended.record
            if len(self._recent) > _KEPT_RECORDS:
                self._recent.popitem(last=False)
            if appended.dropped:
                self._recent.clear()
                self._events.warning("spool_full", f"{appended.dropped} readings were dropped and declared as a gap")
            self.grown.set()

    async def acknowledge(self, upto: int) -> None:
        """Take the hub's word that everything up to ``upto`` is stored there."""
        if upto > self.last_seq:
            # an old copy of the file came back: its next numbers would be taken for ones the hub has
            async with self._turn:
                await self._begin_again(f"older than what the hub has ({upto} > {self.last_seq})")
            return
        store = self._store
        if store is None:
            return
        self.acked = upto
        try:
            await self._run(lambda: store.acknowledge(upto))
        except sqlite3.Error as error:
            self._fail(f"an acknowledgement could not be noted: {error}")

    async def fetch(self, from_seq: int, limit: int, max_bytes: int) -> list[Record]:
        """Return up to ``limit`` records from ``from_seq`` on."""
        kept = self._recent.get(from_seq)
        if kept is not None:
            return self._kept_from(from_seq, limit)
        store = self._store
        if store is None:
            return []
        try:
            return await self._run(lambda: store.fetch(from_seq, limit, max_bytes))
        except sqlite3.OperationalError as error:
            self._fail(f"records could not be read: {error}")
        except sqlite3.DatabaseError as error:
            async with self._turn:
                await self._begin_again(f"damaged ({error})")
        return []

    def _kept_from(self, seq: int, limit: int) -> list[Record]:
        records: list[Record] = []
        while len(records) < limit and (kept := self._recent.get(seq)) is not None:
            records.append(kept)
            seq = kept.through + 1
        return records

    async def tallies(self) -> list[Tally]:
        """Return how many readings each device has produced in this epoch and how many wait for the hub."""
        store = self._store
        if store is None:
            return []
        counts = await self._run(store.tallies)
        return [Tally(device=device, produced=produced, spooled=spooled) for device, produced, spooled in counts]

    async def close(self) -> None:
        """Flush, close the file and end the thread."""
        if self._store is not None:
            await self.flush()
            store, self._store = self._store, None
            await self._run(store.close)
        self._thread.shutdown(wait=False)

    def _adopt(self, store: SpoolStore) -> None:
        self._store = store
        self.epoch, self.acked, self.last_seq = store.epoch, store.acked, store.last_seq
        self._recent.clear()

    def _fail(self, text: str) -> None:
        if not self._failing:
            self._events.error("spool_failed", text)
        self._failing = True

    async def _begin_again(self, why: str) -> None:
        old, self._store = self._store, None
        at_ms = now_ms(self._clock)

        def rebuild() -> tuple[SpoolStore, str]:
            try:
                if old is not None:
                    old.close()
            except sqlite3.Error:
                logger.debug("the damaged file could not be closed in order")
            return replace(self._path, self._history_s, self._cap_bytes, at_ms, why)

        try:
            store, text = await self._run(rebuild)
        except (OSError, sqlite3.Error) as error:
            self._fail(f"no new spool file can be made: {error}")
            return
        self._adopt(store)
        self._events.error("spool_quarantined", text)
        self.grown.set()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
