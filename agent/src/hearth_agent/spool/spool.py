"""The spool as the rest of the agent sees it: asynchronous, and with one thread for the one SQLite connection."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from hearth_agent.devices.snapshot import Measured
from hearth_agent.events import EventLog
from hearth_agent.spool.errors import casts_doubt, is_disk_full
from hearth_agent.spool.merge import MAX_BYTES, MAX_ROWS, Record
from hearth_agent.spool.records import Collector, Columns, Lost
from hearth_agent.spool.recovery import open_store, replace
from hearth_agent.spool.salvage import Known
from hearth_agent.spool.store import Appended, SpoolStore
from hearth_core.clock import Clock, now_ms
from hearth_core.messages import Tally

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Spool:
    """Collects readings and flushes them to disk; hands records out until the hub has them."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        events: EventLog,
        history_s: float,
        cap_bytes: int,
        devices: Sequence[str] = (),
        agent: str | None = None,
    ) -> None:
        self._path, self._clock, self._events = path, clock, events
        self._history_s, self._cap_bytes = history_s, cap_bytes
        self._devices, self._agent = devices, agent
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._store: SpoolStore | None = None
        self._distrusted: str | None = None
        self._collector = Collector()
        self._newest: Record | None = None
        self._turn = asyncio.Lock()
        self._failing = False
        self._disk_is_full = False
        self._confirmed = False
        self._unreadable = 0
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
        path, history_s, cap_bytes = self._path, self._history_s, self._cap_bytes
        at_ms, why, known = self._now_ms(), self._distrusted, Known(self.acked, self.last_seq)

        def work() -> tuple[SpoolStore, str | None]:
            if why is not None and path.exists():
                return replace(path, history_s, cap_bytes, at_ms, why, known, self._devices, self._agent)
            return open_store(path, history_s, cap_bytes, at_ms, self._devices, self._agent)

        try:
            store, trouble = await self._run(work)
        except (OSError, sqlite3.Error) as error:
            self._fail(f"the spool {self._path} cannot be opened: {error}")
            return False
        self._adopt(store)
        if trouble:
            self._events.error("spool_quarantined", trouble)
            self.grown.set()
        if store.was_cut_off:
            text = (
                "the agent was cut off; what it measured after its last stored reading may be missing (a gap says it)"
            )
            self._events.warning("spool_cut_off", text)
        logger.info("spool %s, epoch %s, SQLite %s", self._path, self.epoch, sqlite3.sqlite_version)
        return True

    def _now_ms(self) -> int:
        return max(0, now_ms(self._clock))

    def _adopt(self, store: SpoolStore) -> None:
        self._store, self._distrusted, self._newest = store, None, None
        self.epoch, self.acked, self.last_seq = store.epoch, store.acked, store.last_seq
        self._confirmed = False
        self._unreadable = 0

    def add(self, device: str, at_ms: int, measured: Measured) -> None:
        """Take one reading into the next flush."""
        self._collector.add(device, at_ms, measured)

    async def flush(self) -> None:
        """Commit what was gathered, as one record unless it is much; what cannot be written waits for the next one."""
        async with self._turn:
            await self._open()
            while self._collector:
                columns, lost = self._collector.take()
                if not await self._write(columns, lost):
                    self._collector.put_back(columns, lost)
                    return
            await self._watch_disk()

    async def _write(self, columns: dict[str, Columns], lost: dict[str, Lost]) -> bool:
        store, at_ms = self._store, self._now_ms()
        if store is None:
            return False
        try:
            try:
                appended = await self._run(lambda: store.append(columns, lost, at_ms))
            except sqlite3.OperationalError as error:
                if not is_disk_full(error):
                    raise
                appended = await self._write_on_full_disk(store, columns, lost, at_ms)
        except sqlite3.DatabaseError as error:
            await self._heed("a flush could not be written", error)
            return False
        if self._failing:
            self._events.info("spool_works", "readings are written to the spool again")
        self._failing = False
        self._newest, self.last_seq = appended.record, store.last_seq
        if appended.dropped:
            self._events.warning("spool_full", f"{appended.dropped} readings were dropped and declared as a gap")
        self.grown.set()
        return True

    async def _write_on_full_disk(
        self, store: SpoolStore, columns: dict[str, Columns], lost: dict[str, Lost], at_ms: int
    ) -> Appended:
        self._tell_disk_is_full()
        dropped = await self._run(lambda: store.relieve(at_ms))
        appended = await self._run(lambda: store.append(columns, lost, at_ms))
        return Appended(appended.record, dropped + appended.dropped)

    async def _watch_disk(self) -> None:
        store = self._store
        if store is None:
            return
        if await self._run(store.relax):
            if self._disk_is_full:
                self._events.info("disk_has_room", "the disk has room again")
            self._disk_is_full = False
        elif store.disk_is_full:
            self._tell_disk_is_full()

    def _tell_disk_is_full(self) -> None:
        if not self._disk_is_full:
            self._events.error("disk_full", "the disk is full: the spool makes room among its oldest records")
        self._disk_is_full = True

    async def acknowledge(self, upto: int, ahead: int = 0) -> None:
        """Take the hub's word that everything up to ``upto`` is stored there.

        Args:
            upto: The last record before the first one that the hub lacks.
            ahead: The highest record that the hub has seen at all.
        """
        store = self._store
        if store is None:
            return
        # before its first word in this run the hub can only know what earlier runs sent
        known, seen = store.last_seq if self._confirmed else store.opened_at, max(upto, ahead)
        if seen > known:
            # an old copy came back, or its newest records were lost: its next numbers are ones the hub has seen
            await self._begin_again(store, f"older than what the hub has ({seen} > {known})")
            return
        self._confirmed = True
        try:
            await self._run(lambda: store.acknowledge(upto))
        except sqlite3.DatabaseError as error:
            async with self._turn:
                await self._heed("an acknowledgement could not be noted", error)
            return
        self.acked = upto

    async def fetch(self, from_seq: int, limit: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> list[Record]:
        """Return one message that covers ``from_seq`` and what follows, made of up to ``limit`` records, if any."""
        newest, store = self._newest, self._store
        if newest is not None and newest.seq == from_seq:
            return [newest]
        if store is None:
            return []
        try:
            messages = await self._run(lambda: store.fetch(from_seq, limit, max_bytes))
        except sqlite3.DatabaseError as error:
            async with self._turn:
                await self._heed("records could not be read", error)
            return []
        if store.unreadable > self._unreadable:
            self._unreadable = store.unreadable
            self._events.error("spool_unreadable", f"{store.unreadable} records cannot be read and are gaps")
        return messages

    async def _heed(self, what: str, error: sqlite3.DatabaseError) -> None:
        """Decide after an error: wait for better times, or trust this file no more."""
        store = self._store
        self._fail(f"{what}: {error}")
        if store is not None and casts_doubt(error):
            await self._condemn(store, f"not to be trusted ({error})")

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
        if store is not None:
            try:
                await self._run(store.close)
            except sqlite3.Error as error:
                self._fail(f"the spool could not be closed in order: {error}")
        self._thread.shutdown(wait=False)

    def _fail(self, text: str) -> None:
        if not self._failing:
            self._events.error("spool_failed", text)
        self._failing = True

    async def _begin_again(self, store: SpoolStore, why: str) -> None:
        async with self._turn:
            if self._store is store:
                await self._condemn(store, why)

    async def _condemn(self, store: SpoolStore, why: str) -> None:
        """Close the file, and move what can be read into a new one, now or as soon as the disk allows."""
        self._store, self._distrusted, self._newest = None, why, None
        await self._run(store.abandon)
        await self._open()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
