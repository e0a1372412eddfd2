"""A TCP proxy between an agent and its broker that makes bad weather: slow, lossy, cut, doubled, shuffled, garbled.

No byte can be lost inside a TCP stream; what a lost packet does to it is a stall until it is sent again, and that
is what ``loss`` makes. Latency holds for each direction. Doubling and shuffling work on MQTT PUBLISH packets.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field

from tests.faults.background import Background
from tests.faults.weather import Counts, Shuffle, Weather

_HOST = "127.0.0.1"
_CHUNK = 1400  # a packet's worth
_HELD_S = 0.3
_MOST_UNDER_WAY = 64


@dataclass
class Proxy:
    """Listens on ``port`` and passes everything on to ``target``."""

    target: int
    seed: int
    weather: Weather = field(default_factory=Weather)
    port: int = 0
    attempts_s: list[float] = field(default_factory=list)
    """When somebody connected [s, monotonic]."""
    counts: Counts = field(default_factory=Counts)
    _server: asyncio.Server | None = None
    _garbage: list[bool] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def start(self, background: Background) -> None:
        """Listen on a free port."""
        background.run(self._start())

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def stop(self, background: Background) -> None:
        """Close the port and every connection."""
        background.run(self._stop())

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def garble(self, *, forbidden: bool = False) -> None:
        """Let random bytes take the place of the next packet to the broker.

        Args:
            forbidden: They begin with an empty packet of a type that does not exist. Others may look like the head of
                a long message, and then the broker waits for its end until the keepalive is over.
        """
        self._garbage.append(forbidden)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.attempts_s.append(time.monotonic())
        self._writers.add(writer)
        try:
            await self._pass()
            upstream_reader, upstream_writer = await asyncio.open_connection(_HOST, self.target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(upstream_writer)
        ways = [
            asyncio.create_task(self._carry(reader, upstream_writer, up=True)),
            asyncio.create_task(self._carry(upstream_reader, writer, up=False)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for one in (writer, upstream_writer):
                one.transport.abort()
                self._writers.discard(one)
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self) -> None:
        while self.weather.cut:  # noqa: ASYNC110  the weather is changed from another thread
            await asyncio.sleep(0.02)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        """One direction: what is read now goes out in order, later."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_UNDER_WAY)
        delivery = asyncio.create_task(self._deliver(under_way, writer))
        shuffle = Shuffle(self.weather, self.counts)
        try:
            while True:
                try:
                    data = await asyncio.wait_for(reader.read(_CHUNK), _HELD_S)
                except TimeoutError:
                    data = None
                if data == b"":
                    return
                if data and up and self._garbage:
                    first = b"\0\0" if self._garbage.pop(0) else b""
                    out = first + self._random.randbytes(len(data) - len(first))
                else:
                    out = shuffle.feed(data) if data is not None else shuffle.flush()
                if out:
                    await under_way.put((time.monotonic() + self.weather.latency_s, out))
        except ConnectionError:
            return
        finally:
            delivery.cancel()
            await asyncio.gather(delivery, return_exceptions=True)

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                due_s, data = await under_way.get()
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                if self.weather.loss and self._random.random() < self.weather.loss:
                    await asyncio.sleep(self.weather.resend_s)
                if self.weather.bytes_per_s:
                    await asyncio.sleep(len(data) / self.weather.bytes_per_s)
                await self._pass()
                writer.write(data)
                await writer.drain()
