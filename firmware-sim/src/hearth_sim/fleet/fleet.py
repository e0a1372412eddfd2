"""Runs a fleet in one process and one event loop: ticks the homes' clock, tends them, and knows when to end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable

from hearth_core.errors import TransientError
from hearth_sim.fleet.descriptors import make_room_for
from hearth_sim.fleet.dialer import Dialer
from hearth_sim.fleet.figures import Figures, Result
from hearth_sim.fleet.home import Circumstances, Home
from hearth_sim.fleet.settings import FleetSettings
from hearth_sim.fleet.values import make_variants

_TICK_S = 0.02
_TEND_S = 2.0
_LOOK_S = 0.05
_GO_ON_AFTER = 200
_NOBODY_S = 15.0


class BrokerUnreachableError(TransientError):
    """Homes could not be connected in time."""


class Fleet:
    """Many homes; used once."""

    def __init__(self, settings: FleetSettings, on_ready: Callable[[], None] = lambda: None) -> None:
        self._settings, self._on_ready = settings, on_ready
        self._broker = settings.checked_broker()
        make_room_for(settings.homes)
        self.figures = Figures(settings.series)
        self._dialer = Dialer(self._broker, self.figures)
        self._stop = asyncio.Event()
        self._began_ms = int(time.time() * 1000)
        self._sampling = True
        self._homes = self._make_homes()

    def _make_homes(self) -> list[Home]:
        settings = self._settings
        shared = Circumstances(
            settings=settings,
            broker=self._broker,
            figures=self.figures,
            session=hashlib.sha256(f"{settings.seed} {time.time_ns()}".encode()).hexdigest()[:32],
            began_ms=self._began_ms,
            ready=self._dialer.on_ready,
            lost=self._dialer.on_lost,
        )
        variants = make_variants(settings.seed, settings.homes, settings.series, settings.interval_ms)
        self.figures.homes_draining = settings.homes if settings.backlog_records else 0
        return [Home(index, variants[index % len(variants)], shared) for index in range(settings.homes)]

    def stop(self) -> None:
        """End the run now; `run` returns within a few seconds."""
        self._stop.set()

    @property
    def unacknowledged(self) -> int:
        """Readings that were produced and that the hub has not acknowledged."""
        return self.figures.produced - self.figures.acknowledged

    async def run(self) -> Result:
        """Live as ordered and return the figures.

        Raises:
            BrokerUnreachableError: The homes could not all be connected within the limit.
        """
        self.figures.begin()
        try:
            await self._live_tended()
        finally:
            self.figures.end()
            await self._dialer.leave(self._homes)
        return self.figures.result(self._settings.homes, self.unacknowledged)

    async def _live_tended(self) -> None:
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._tick()), group.create_task(self._tend())]
            if self._settings.storm_s:
                work.append(group.create_task(self._storm()))
            problem = await self._connect_all()
            if problem is None and not self._stop.is_set():
                await self._live()
            for task in work:
                task.cancel()
        if problem is not None:
            raise problem

    async def _connect_all(self) -> BrokerUnreachableError | None:
        settings, figures, began_s = self._settings, self.figures, time.monotonic()
        for number, home in enumerate(self._homes):
            await self._wait_until(began_s + settings.start_spread_s * number / settings.homes)
            if self._stop.is_set():
                return None
            self._dialer.connect(home)
        sent_s = time.monotonic()

        def over() -> bool:
            waited_s = time.monotonic() - sent_s
            patience_s = settings.limit_s if figures.connections else min(_NOBODY_S, settings.limit_s)
            return figures.connected == settings.homes or waited_s >= patience_s

        await self._wait(over)
        if figures.connected == settings.homes or self._stop.is_set():
            return None
        return BrokerUnreachableError(
            f"broker {self._broker!r}: {figures.connected} of {settings.homes} homes are connected after "
            f"{time.monotonic() - sent_s:.0f} s ({self._dialer.reason}). Is it running, and does it allow so many "
            f"connections (mosquitto: max_connections -1, and its own limit of open files)?"
        )

    async def _live(self) -> None:
        settings, figures = self._settings, self.figures
        figures.note_ready()
        self._on_ready()
        until_s = time.monotonic() + settings.duration_s
        limit_s = until_s + settings.limit_s
        await self._wait_until(until_s)
        if settings.until_acked:
            await self._wait(lambda: figures.homes_draining == 0 or time.monotonic() >= limit_s)
        self._sampling = False
        if settings.until_acked:
            await self._wait(lambda: self.unacknowledged == 0 or time.monotonic() >= limit_s)

    async def _wait_until(self, due_s: float) -> None:
        await self._wait(lambda: time.monotonic() >= due_s)

    async def _wait(self, done: Callable[[], bool]) -> None:
        """Wait until something is done or the run is stopped."""
        while not (done() or self._stop.is_set()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._stop.wait()

    async def _tick(self) -> None:
        """Let each home sample at its instant: a home has its place in every interval."""
        interval_ms, count = self._settings.interval_ms, self._settings.homes
        slot = 0
        while self._sampling:
            now_ms, handled = time.time() * 1000, 0
            while handled < _GO_ON_AFTER:
                lap, place = divmod(slot, count)
                due_ms = self._began_ms + lap * interval_ms + place * interval_ms // count
                if due_ms > now_ms:
                    break
                self._homes[place].sample(due_ms)
                slot, handled = slot + 1, handled + 1
            behind = handled == _GO_ON_AFTER
            await asyncio.sleep(0 if behind else max(_TICK_S, (due_ms - now_ms) / 1000))

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(_TEND_S)
            for number, home in enumerate(self._homes):
                home.tend(time.monotonic())
                if number % _GO_ON_AFTER == 0:
                    await asyncio.sleep(0)

    async def _storm(self) -> None:
        while True:
            await asyncio.sleep(self._settings.storm_s)
            if self.figures.ready_s is not None:
                self._dialer.storm(self._homes)
