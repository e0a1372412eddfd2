"""Keeps every home connected: many handshakes at a time, a jittered pause after each failure, storms on demand."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Sequence

from hearth_core.broker import BrokerAddress
from hearth_sim.fleet.figures import Figures
from hearth_sim.fleet.home import Home

_HANDSHAKES = 100
"""As many as a broker's listening socket queues: more would only wait for the kernel to try again after a second."""
_HANDSHAKE_S = 20.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_GOODBYE_S = 3.0
_GO_ON_AFTER = 200
_STORM = "storm"


class Dialer:
    """Connects homes and hears from them when they are connected or cut off."""

    def __init__(self, broker: BrokerAddress, figures: Figures) -> None:
        self._broker, self._figures = broker, figures
        self._tls = ssl.create_default_context() if broker.tls else None
        self._hands = asyncio.Semaphore(_HANDSHAKES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._attempts: dict[Home, asyncio.Future[str | None]] = {}
        self._leaving = False
        self._all_gone = asyncio.Event()
        self.reason = "no answer"
        """Why the last attempt failed."""

    def connect(self, home: Home, pause_s: float = 0.0) -> None:
        """Begin to connect a home; it is tried until it works."""
        task = asyncio.create_task(self._keep_trying(home, pause_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_ready(self, home: Home) -> None:
        """Take note of a connection."""
        self._figures.connected += 1
        self._figures.connections += 1
        self._settle(home, None)

    def on_lost(self, home: Home, reason: str, was_ready: bool) -> None:
        """Connect again, at once after a storm."""
        if not was_ready:
            self._settle(home, reason)
            return
        self._figures.connected -= 1
        if self._leaving:
            if not self._figures.connected:
                self._all_gone.set()
            return
        if reason == _STORM:
            self.connect(home)
        else:
            self.reason = reason
            self._figures.connections_lost += 1
            self.connect(home, _FIRST_PAUSE_S)

    def storm(self, homes: Sequence[Home]) -> None:
        """Cut every connection at once, without a goodbye."""
        for home in homes:
            if home.connection is not None:
                home.connection.drop(_STORM)

    async def leave(self, homes: Sequence[Home]) -> None:
        """Say goodbye for all homes and give the words a few seconds to go out."""
        self._leaving = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for number, home in enumerate(homes):
            home.leave()
            if number % _GO_ON_AFTER == 0:
                await asyncio.sleep(0)
        if self._figures.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._all_gone.wait()
        for home in homes:
            if home.connection is not None:
                home.connection.drop("the broker does not close it")

    async def _keep_trying(self, home: Home, pause_s: float) -> None:
        while True:
            # jitter as agents do it, so that not all knock at once again
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311
            async with self._hands:
                reason = await self._try(home)
            if reason is None:
                return
            self.reason = reason
            pause_s = min(max(_FIRST_PAUSE_S, 2 * pause_s), _LONGEST_PAUSE_S)

    async def _try(self, home: Home) -> str | None:
        """Return why it failed, or None."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[str | None] = loop.create_future()
        self._attempts[home] = outcome
        connection = home.new_connection()
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await loop.create_connection(lambda: connection, self._broker.host, self._broker.port, ssl=self._tls)
                return await outcome
        except TimeoutError:
            return f"no answer within {_HANDSHAKE_S:g} s"
        except OSError as error:
            return str(error)
        finally:
            del self._attempts[home]
            if home.connection is not connection:
                connection.drop("gave up")

    def _settle(self, home: Home, reason: str | None) -> None:
        outcome = self._attempts.get(home)
        if outcome is not None and not outcome.done():
            outcome.set_result(reason)
