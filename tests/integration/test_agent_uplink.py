"""The uplink against a real broker: whatever the broker or the hub forgets, every reading arrives."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import cast

import aiomqtt
import pytest

from hearth_agent.devices.snapshot import Measured
from hearth_agent.events import EventLog
from hearth_agent.spool.records import Columns
from hearth_agent.spool.spool import Spool
from hearth_agent.spool.store import SpoolStore
from hearth_agent.uplink import link, session, window
from hearth_agent.uplink.link import Uplink
from hearth_agent.uplink.outbox import Outbox
from hearth_core.broker import parse_broker_url
from hearth_core.clock import RealClock, now_ms
from hearth_core.messages import Ack, AgentState, Birth, Event, Readings, Status, decode, encode
from hearth_core.site import Limits, Site
from hearth_core.tariff import Tariff

SITE = Site(
    name="Anna",
    timezone="Europe/Berlin",
    latitude=47.7,
    longitude=9.2,
    price_zone="DE-LU",
    limits=Limits(main_fuse_a=35),
    tariff=Tariff(),
)


class Hub:
    """A hub of this test: keeps what it stores in memory and answers only when it is told to."""

    def __init__(self, url: str) -> None:
        self.address = parse_broker_url(url)
        self.stored: dict[str, set[int]] = {}
        self.readings: set[tuple[str, int]] = set()
        self.received: list[Readings] = []
        self.statuses: list[Status] = []
        self.births: list[Birth] = []
        self.events: list[Event] = []
        self.other: dict[str, bytes] = {}
        self.answers: Callable[[int], bool] = lambda _: True
        self.client: aiomqtt.Client | None = None
        self.is_mute = False

    def upto(self, epoch: str) -> int:
        stored = self.stored.get(epoch, set())
        seq = 0
        while seq + 1 in stored:
            seq += 1
        return seq

    async def run(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    self.address.host, self.address.port, protocol=aiomqtt.ProtocolVersion.V5
                ) as client:
                    self.client = client
                    await client.subscribe("hearth/anna/#", qos=1)
                    async for message in client.messages:
                        await self.take(
                            client, message.topic.value.removeprefix("hearth/anna/"), bytes(message.payload)
                        )
            self.client = None
            await asyncio.sleep(0.05)

    async def take(self, client: aiomqtt.Client, part: str, payload: bytes) -> None:
        if part == "readings":
            message = decode(payload, Readings)
            self.received.append(message)
            if self.answers(message.seq):
                self.stored.setdefault(message.epoch, set()).update(range(message.seq, message.last_seq + 1))
                self.readings |= {(b.device, at) for b in message.batches for at in b.at_ms}
                await self.acknowledge(message.epoch)
        elif part == "status":
            self.statuses.append(decode(payload, Status))
        elif part == "birth":
            self.births.append(decode(payload, Birth))
            await self.acknowledge(self.births[-1].epoch)
        elif part == "event":
            self.events.append(decode(payload, Event))
        elif part != "ack":
            self.other[part] = payload

    async def acknowledge(self, epoch: str) -> None:
        if self.client is not None and not self.is_mute:
            ahead = max(self.stored.get(epoch, set()), default=0)
            answer = encode(Ack(epoch=epoch, upto=self.upto(epoch), ahead=ahead))
            await self.client.publish("hearth/anna/ack", answer, qos=1)


class Home:
    """An agent's spool and uplink without its devices."""

    def __init__(self, folder: Path, url: str) -> None:
        self.clock = RealClock()
        self.events = EventLog(self.clock)
        self.spool = Spool(folder / "spool.sqlite", self.clock, self.events, 86_400.0, 100_000_000)
        self.outbox = Outbox()
        self.heard: dict[str, bytes] = {}
        self.uplink = Uplink(
            parse_broker_url(url),
            "anna",
            "session-1",
            self.spool,
            self.outbox,
            self.events,
            self,
            self.hear,
            self.clock,
        )

    async def hear(self, part: str, payload: bytes) -> None:
        self.heard[part] = payload

    def birth(self) -> Birth:
        return Birth(
            session="session-1",
            at_ms=now_ms(self.clock),
            epoch=self.spool.epoch,
            software="test",
            site=SITE,
            devices=[],
        )

    async def status(self, state: AgentState) -> Status:
        return Status(
            state=state,
            session="session-1",
            at_ms=now_ms(self.clock),
            epoch=self.spool.epoch,
            last_seq=self.spool.last_seq,
            tallies=await self.spool.tallies(),
        )

    def mood(self) -> str:
        return ""

    async def measure(self, first: int, count: int) -> None:
        for index in range(first, first + count):
            self.spool.add("grid", 1_000_000 + 1000 * index, Measured(0.0, {"power_w": float(index)}))
            await self.spool.flush()


def fill(folder: Path, records: int) -> None:
    """Make a spool file that a run left behind in good order."""
    with contextlib.closing(SpoolStore(folder / "spool.sqlite", 86_400.0, 100_000_000)) as store, store.transaction():
        for index in range(records):
            at_ms = 1_000_000 + 1000 * index
            store.append({"grid": Columns([at_ms], {"power_w": [float(index)]})}, {}, at_ms)


@pytest.fixture
async def hub(mosquitto: object) -> AsyncIterator[Hub]:
    url: str = mosquitto.url  # type: ignore[attr-defined]
    hub = Hub(url)
    async with running(hub.run()):
        await until(lambda: hub.client is not None)
        yield hub


@contextlib.asynccontextmanager
async def running(work: object) -> AsyncIterator[None]:
    task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=0.2)


async def until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  what is waited for happens behind a broker
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def living(home: Home) -> AsyncIterator[None]:
    await home.spool.open()
    async with running(home.uplink.run()):
        yield
    await home.spool.close()


async def test_readings_events_and_forecasts_arrive_and_the_goodbye_is_said(
    tmp_path: Path, mosquitto: object, hub: Hub
) -> None:
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        home.events.info("test", "hello")
        home.outbox.put("forecast", b"{}")
        await home.measure(0, 50)
        await until(lambda: home.spool.acked == 50)
        await until(lambda: bool(hub.events) and "forecast" in hub.other)
        assert hub.births[0].epoch == home.spool.epoch
        assert len(hub.readings) == 50
        await home.uplink.finish()
        await until(lambda: hub.statuses[-1].state is AgentState.STOPPED)
        assert [(t.produced, t.spooled) for t in hub.statuses[-1].tallies] == [(50, 0)]
    assert hub.statuses[0].state is AgentState.ONLINE


def hub_url(mosquitto: object) -> str:
    url: str = mosquitto.url  # type: ignore[attr-defined]
    return url


async def test_a_hub_that_answers_only_some_gets_the_rest_again(
    tmp_path: Path, mosquitto: object, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PUBACK means nothing: what the hub did not acknowledge is still on the agent's disk."""
    monkeypatch.setattr(window, "SILENCE_S", 0.5)
    seen: set[int] = set()

    def every_third_is_lost_once(seq: int) -> bool:
        lost = seq % 3 == 0 and seq not in seen
        seen.add(seq)
        return not lost

    hub.answers = every_third_is_lost_once
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await until(lambda: bool(hub.births))
        await home.measure(0, 60)
        await until(lambda: home.spool.acked == 60)
    assert len(hub.readings) == 60
    assert hub.upto(home.spool.epoch) == 60
    assert sum(m.last_seq - m.seq + 1 for m in hub.received) > 60


async def test_nothing_is_lost_over_a_killed_broker(
    tmp_path: Path, mosquitto: object, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SILENCE_S", 1.0)
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await home.measure(0, 20)
        for round_ in range(1, 3):
            mosquitto.stop(signal.SIGKILL)  # type: ignore[attr-defined]
            await home.measure(20 * round_, 20)
            mosquitto.start()  # type: ignore[attr-defined]
        await until(lambda: home.spool.acked == 60)
    assert len(hub.readings) == 60


async def test_a_hub_that_lost_its_newest_rows_gets_them_again(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await home.measure(0, 30)
        await until(lambda: home.spool.acked == 30)
        hub.stored[home.spool.epoch] = set(range(1, 11))
        hub.readings = {r for r in hub.readings if r[1] < 1_010_000}
        await hub.acknowledge(home.spool.epoch)
        await until(lambda: len(hub.readings) == 30)
        await until(lambda: home.spool.acked == 30)


async def test_the_newest_reading_comes_before_a_long_backlog_is_through(
    tmp_path: Path, mosquitto: object, hub: Hub
) -> None:
    """A page must be fresh a moment after a week without internet."""
    home = Home(tmp_path, hub_url(mosquitto))
    fill(tmp_path, 1200)
    async with living(home):
        await until(lambda: home.spool.acked == 1200)
    assert (hub.received[0].seq, hub.received[0].through) == (1200, None)
    backlog = hub.received[1:]
    assert [m.seq for m in backlog] == [1, *(m.last_seq + 1 for m in backlog[:-1])]
    assert backlog[-1].last_seq == 1199
    assert 3 <= len(backlog) <= 4
    assert [m.batches[0].produced for m in backlog] == [m.last_seq for m in backlog]


async def test_only_two_messages_of_the_backlog_wait_for_a_silent_hub_and_live_ones_go_on(
    tmp_path: Path, mosquitto: object, hub: Hub
) -> None:
    hub.answers = lambda _: False
    home = Home(tmp_path, hub_url(mosquitto))
    fill(tmp_path, 2000)
    async with living(home):
        await until(lambda: len(hub.received) == 3)
        for index in range(5):
            await home.measure(2000 + index, 1)
            await until(lambda: hub.received[-1].seq == home.spool.last_seq)
        assert len(hub.received) == 8
        assert sum(m.last_seq > m.seq for m in hub.received) == 2


async def test_nothing_is_sent_before_the_hub_has_said_where_to_resume(
    tmp_path: Path, mosquitto: object, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a hub that was away when the agent announced itself is asked again."""
    monkeypatch.setattr(session, "_ASK_AGAIN_S", 0.5)
    home = Home(tmp_path, hub_url(mosquitto))
    hub.is_mute = True
    async with living(home):
        await home.measure(0, 3)
        await until(lambda: len(hub.births) == 2)
        assert hub.received == []
        hub.is_mute = False
        await until(lambda: home.spool.acked == 3)


async def test_an_old_copy_of_the_spool_is_sent_under_a_new_epoch(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    """A card from a drawer: its next numbers are ones the hub has seen, so none may be sent under its epoch."""
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await home.measure(0, 10)
        await until(lambda: home.spool.acked == 10)
    copy = (tmp_path / "spool.sqlite").read_bytes()
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await home.measure(10, 10)
        await until(lambda: home.spool.acked == 20)
    (tmp_path / "spool.sqlite").write_bytes(copy)
    home = Home(tmp_path, hub_url(mosquitto))
    await home.spool.open()
    epoch = home.spool.epoch
    await home.measure(100, 30)
    async with living(home):
        await until(lambda: home.spool.epoch != epoch)
        await until(lambda: len(hub.readings) == 50)
        await until(lambda: home.spool.acked == home.spool.last_seq)


async def test_numbers_of_lost_records_are_not_used_again(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    """The hub holds some above its watermark, so its watermark alone does not tell that the file lost them."""
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await home.measure(0, 5)
        await until(lambda: home.spool.acked == 5)
    copy = (tmp_path / "spool.sqlite").read_bytes()
    hub.answers = lambda seq: seq != 6
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await until(lambda: len(hub.births) == 2)
        for index in range(5, 10):
            await home.measure(index, 1)
            await until(lambda: hub.received[-1].seq == home.spool.last_seq)
        epoch = home.spool.epoch
        await until(lambda: max(hub.stored[epoch]) == 10)
        assert home.spool.acked == 5
    (tmp_path / "spool.sqlite").write_bytes(copy)
    hub.answers = lambda _: True
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await home.measure(100, 10)
        await until(lambda: home.spool.epoch != epoch)
        await until(lambda: home.spool.acked == home.spool.last_seq)
    assert {("grid", 1_000_000 + 1000 * index) for index in range(100, 110)} <= hub.readings
    assert max(hub.stored[epoch]) == 10


async def test_a_broker_that_is_away_is_tried_at_most_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A street whose hub comes back must not knock all at once."""
    knocks: list[float] = []

    def knock(*arguments: object) -> aiomqtt.Client:
        knocks.append(time.monotonic())
        return session.make_client(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(link, "make_client", knock)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        home = Home(tmp_path, f"mqtt://127.0.0.1:{nobody.getsockname()[1]}")
        async with living(home):
            await until(lambda: len(knocks) == 3)
    assert all(later - earlier >= 0.99 for earlier, later in pairwise(knocks))


async def test_an_agent_that_dies_is_told_lost_by_the_broker(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await until(lambda: bool(hub.statuses))
        connected = home.uplink._session
        assert connected is not None
        sock = cast("socket.socket", connected._client._client.socket())
        sock.shutdown(socket.SHUT_RDWR)
        await until(lambda: any(s.state is AgentState.LOST for s in hub.statuses))
        await until(lambda: hub.statuses[-1].state is AgentState.ONLINE)


async def test_what_the_hub_says_is_heard_and_nonsense_is_survived(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await until(lambda: bool(hub.births))
        assert hub.client is not None
        for topic, payload in [("ack", b"\xff"), ("ack", b"{}"), ("plan", b"a plan"), ("model/load", b"a model")]:
            await hub.client.publish(f"hearth/anna/{topic}", payload, qos=1)
        await until(lambda: set(home.heard) == {"plan", "model/load"})
        await home.measure(0, 1)
        await until(lambda: home.spool.acked == 1)


async def test_an_mqtt_3_broker_is_enough(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    home = Home(tmp_path, hub_url(mosquitto) + "?protocol=3.1.1")
    async with living(home):
        await home.measure(0, 5)
        await until(lambda: home.spool.acked == 5)


async def test_goodbye_does_not_wait_for_a_hub_that_is_away(tmp_path: Path, mosquitto: object, hub: Hub) -> None:
    hub.answers = lambda _: False
    home = Home(tmp_path, hub_url(mosquitto))
    async with living(home):
        await until(lambda: bool(hub.births))
        await home.measure(0, 3)
        started = time.monotonic()
        await home.uplink.finish()
        assert time.monotonic() - started < 4.5
        await until(lambda: hub.statuses[-1].state is AgentState.STOPPED)
        assert [(t.produced, t.spooled) for t in hub.statuses[-1].tallies] == [(3, 3)]
