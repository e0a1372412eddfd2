"""A fleet on a real broker: what a hub sees of it when it is well, deaf, restored, or gone for a while."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from hearth_core.messages import Ack, AgentState, Birth, Readings, Status, decode, encode
from hearth_core.points import DeviceKind
from hearth_sim.fleet import window
from hearth_sim.fleet.figures import Result
from hearth_sim.fleet.fleet import BrokerUnreachableError, Fleet
from hearth_sim.fleet.settings import FleetSettings
from hearth_sim.fleet.values import SERIES


class Broker(Protocol):
    """The part of the shared fixture used here."""

    port: int
    url: str

    def start(self) -> None: ...

    def stop(self, how: signal.Signals = ...) -> None: ...


class AnsweringHub:
    """Stores rows by home and instant and acknowledges what is dense from the start, as a hub does."""

    def __init__(self, broker: Broker) -> None:
        self.births: dict[str, Birth] = {}
        self.statuses: dict[str, list[Status]] = defaultdict(list)
        self.rows: dict[str, dict[int, dict[str, float | None]]] = defaultdict(dict)
        self.messages: list[tuple[str, Readings]] = []
        self.upto: dict[str, int] = defaultdict(int)
        self.deaf_to: Callable[[str, Readings], bool] = lambda home, readings: False
        self._has: dict[str, set[int]] = defaultdict(set)
        self._listening, self._lock = threading.Event(), threading.Lock()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = self._on_message
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self._listening.set()
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._listening.wait(5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def wait_for_goodbyes(self) -> None:
        """The broker has every last word before a fleet ends; let it come here as well."""
        deadline_s = time.monotonic() + 5
        while any(statuses[-1].state is not AgentState.STOPPED for statuses in self.statuses.values()):
            assert time.monotonic() < deadline_s, "somebody did not say goodbye"
            time.sleep(0.01)

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe("hearth/+/+", qos=1)

    def _on_message(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        _, home, what = message.topic.split("/")
        if what == "birth":
            self.births[home] = decode(payload, Birth)
            self.answer(home)
        elif what == "status":
            self.statuses[home].append(decode(payload, Status))
        elif what == "readings":
            readings = decode(payload, Readings)
            with self._lock:
                self.messages.append((home, readings))
                if not self.deaf_to(home, readings):
                    self._store(home, readings)
                    self.answer(home)

    def wake_up(self) -> None:
        """Store what it was deaf to, and say so."""
        with self._lock:
            for home, readings in self.messages:
                self._store(home, readings)
            for home in self.births:
                self.answer(home)

    def _store(self, home: str, readings: Readings) -> None:
        (batch,) = readings.batches
        assert batch.produced == readings.last_seq
        for number, at_ms in enumerate(batch.at_ms):
            row = {name: values[number] for name, values in batch.points.items()}
            assert self.rows[home].setdefault(at_ms, row) == row, "a row must not change when it is sent again"
        self._has[home] |= set(range(readings.seq, readings.last_seq + 1))
        while self.upto[home] + 1 in self._has[home]:
            self.upto[home] += 1

    def answer(self, home: str) -> None:
        ack = Ack(epoch=self.births[home].epoch, upto=self.upto[home])
        self.client.publish(f"hearth/{home}/ack", encode(ack), qos=1)


@pytest.fixture
def hub(mosquitto: Broker) -> Iterator[AnsweringHub]:
    answering = AnsweringHub(mosquitto)
    yield answering
    answering.close()


pytestmark = pytest.mark.timeout(60)


def order(broker: Broker, **changes: Any) -> FleetSettings:
    quick = FleetSettings(mqtt_url=broker.url, homes=5, interval_s=0.2, duration_s=1.0, until_acked=True, limit_s=40.0)
    return replace(quick, **changes)


async def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        await asyncio.sleep(0.02)


def check_stories(hub: AnsweringHub, result: Result) -> None:
    """Nothing missing, nothing twice, nothing that falls, and both sides count the same."""
    hub.wait_for_goodbyes()
    assert result.unacknowledged_readings == 0
    assert result.acknowledged_readings == result.produced_readings == sum(len(rows) for rows in hub.rows.values())
    for home, rows in hub.rows.items():
        assert len(rows) == hub.upto[home]
        instants = sorted(rows)
        assert {after - before for before, after in pairwise(instants)} <= {200}
        imported = [rows[at_ms]["import_energy_wh"] or 0.0 for at_ms in instants]
        assert all(before <= after for before, after in pairwise(imported))
        last = hub.statuses[home][-1]
        assert (last.state, last.last_seq) == (AgentState.STOPPED, len(rows))
        assert [(one.device, one.produced, one.spooled) for one in last.tallies] == [("inverter", len(rows), 0)]


async def test_homes_announce_themselves_and_send_each_reading_alone_and_at_once(
    mosquitto: Broker, hub: AnsweringHub
) -> None:
    result = await Fleet(order(mosquitto, duration_s=2.0)).run()
    check_stories(hub, result)
    assert set(hub.births) == {f"fleet-{number:05d}" for number in range(1, 6)}
    assert len({birth.epoch for birth in hub.births.values()}) == 5
    for birth in hub.births.values():
        (inverter,) = birth.devices
        assert (inverter.kind, inverter.points) == (DeviceKind.HYBRID_INVERTER, list(SERIES[:20]))
    assert {len(readings.batches[0].at_ms) for _, readings in hub.messages} == {1}
    assert (result.homes, result.connections, result.connections_lost, result.resent_readings) == (5, 5, 0, 0)
    assert result.latency_readings > 20
    assert result.latency_p50_ms is not None
    phases = {at_ms % 200 for rows in hub.rows.values() for at_ms in rows}
    assert len(phases) == 5, "homes are spread over the interval"


async def test_a_backlog_is_merged_two_messages_at_a_time_while_live_readings_go_between(
    mosquitto: Broker, hub: AnsweringHub
) -> None:
    awake = threading.Event()
    hub.deaf_to = lambda home, readings: not awake.is_set()
    fleet = asyncio.create_task(Fleet(order(mosquitto, backlog_s=600.0, duration_s=0.0)).run())

    def merged() -> dict[str, int]:
        return dict(Counter(home for home, one in list(hub.messages) if len(one.batches[0].at_ms) > 1))

    def live() -> list[tuple[str, int]]:
        return [(home, one.seq) for home, one in list(hub.messages) if len(one.batches[0].at_ms) == 1]

    await until(lambda: len(merged()) == 5 == len({home for home, _ in live()}) and len(live()) > 15)
    assert merged() == dict.fromkeys(hub.births, 2)
    assert all(seq > 3000 for _, seq in live())
    awake.set()
    hub.wake_up()
    result = await fleet
    check_stories(hub, result)
    assert result.produced_readings >= 5 * 3000
    assert result.messages_sent < 500
    assert result.drain_s is not None
    assert result.live_lag_max_ms is not None


async def test_what_a_hub_lost_is_sent_again_after_its_silence(
    mosquitto: Broker, hub: AnsweringHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SILENCE_S", 0.5)
    lost: list[Readings] = []

    def lose_one(home: str, readings: Readings) -> bool:
        if home == "fleet-00002" and readings.seq <= 3 <= readings.last_seq and not lost:
            lost.append(readings)
            return True
        return False

    hub.deaf_to = lose_one
    result = await Fleet(order(mosquitto)).run()
    check_stories(hub, result)
    assert lost
    assert result.resent_readings > 0


async def test_a_storm_cuts_all_without_goodbye_and_loses_nothing(mosquitto: Broker, hub: AnsweringHub) -> None:
    result = await Fleet(order(mosquitto, storm_s=1.0, duration_s=2.5)).run()
    check_stories(hub, result)
    assert result.connections >= 15
    assert result.connections_lost == 0
    states = Counter(status.state for statuses in hub.statuses.values() for status in statuses)
    assert states[AgentState.LOST] == result.connections - 5, "the broker published the will each time"


async def test_a_broker_that_restarts_is_found_again(
    mosquitto: Broker, hub: AnsweringHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "SILENCE_S", 1.0)  # what is sent before the hub is back as well, nobody hears
    fleet = asyncio.create_task(Fleet(order(mosquitto, duration_s=4.0)).run())
    await asyncio.sleep(1.0)
    mosquitto.stop(signal.SIGKILL)
    await asyncio.sleep(0.3)
    mosquitto.start()
    result = await fleet
    check_stories(hub, result)
    assert result.connections_lost == 5
    assert result.connections == 10


async def test_a_hub_that_never_answers_leaves_all_unacknowledged_at_the_limit(mosquitto: Broker) -> None:
    result = await Fleet(order(mosquitto, limit_s=1.0)).run()
    assert result.produced_readings > 0
    assert result.unacknowledged_readings == result.produced_readings
    assert result.latency_p99_ms is None


async def test_a_broker_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    settings = FleetSettings(mqtt_url=f"mqtt://me:s3cret@127.0.0.1:{unused_tcp_port}", homes=3, limit_s=1.0)
    with pytest.raises(BrokerUnreachableError, match=f"127.0.0.1:{unused_tcp_port}.*0 of 3 homes") as caught:
        await Fleet(settings).run()
    assert "s3cret" not in str(caught.value)


def command(broker: Broker, *more: str) -> subprocess.Popen[str]:
    arguments = ["fleet", "--mqtt", broker.url, "--homes", "20", "--interval", "1s", "--json", *more]
    code = "import sys; from hearth_sim.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")},
    )


def test_the_command_says_ready_and_one_line_of_json_and_ends_when_asked(mosquitto: Broker, hub: AnsweringHub) -> None:
    with command(mosquitto, "--duration", "1h") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        time.sleep(1.5)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out.count("\n") == 1
    figures = json.loads(out)
    assert figures["homes"] == figures["connections"] == 20
    assert figures["produced_values"] == 20 * figures["produced_readings"] > 0
    hub.wait_for_goodbyes()
    assert len(hub.statuses) == 20


def test_the_command_ends_with_one_when_something_stays_unacknowledged(mosquitto: Broker) -> None:
    with command(mosquitto, "--duration", "1s", "--until-acked", "--limit", "1s") as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == 1, err
    assert json.loads(out)["unacknowledged_readings"] > 0
