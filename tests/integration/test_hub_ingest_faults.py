"""Ingest as a process between a real broker and a real database, each of which is killed while readings flow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from hearth_core.messages import Ack, DeviceBatch, Readings, decode, encode
from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.database.migrate import migrate

EPOCH = "00000000000000bb"
START_MS = 1_459_728_000_000
_WINDOW = 40
_RESEND_S = 0.5


class Broker(Protocol):
    """What these tests need of the Mosquitto fixture."""

    port: int

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self, how: signal.Signals = ...) -> None: ...


class MiniAgent:
    """The agent's side of the protocol and nothing else: keeps every record until the hub says that it is safe."""

    def __init__(self, port: int, records: int) -> None:
        self._records, self._port = records, port
        self.acked = 0
        self._stopping = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="anna")
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("hearth/anna/ack", 1)
        self._client.on_message = self._told
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> MiniAgent:
        self._client.connect_async("127.0.0.1", self._port)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _told(self, _: Client, __: object, message: MQTTMessage) -> None:
        ack = decode(bytes(message.payload), Ack)
        if ack.epoch == EPOCH:
            self.acked = max(self.acked, ack.upto)

    def _send(self) -> None:
        cursor, progress_s, seen = 1, time.monotonic(), 0
        while self.acked < self._records and not self._stopping.is_set():
            if self.acked > seen:
                seen, progress_s = self.acked, time.monotonic()
            if time.monotonic() - progress_s > _RESEND_S:
                cursor, progress_s = self.acked + 1, time.monotonic()
            cursor = max(cursor, self.acked + 1)
            if cursor > min(self._records, self.acked + _WINDOW) or not self._client.is_connected():
                time.sleep(0.002)
                continue
            at_ms = START_MS + cursor * 10_000
            batches = [
                DeviceBatch(device=device, at_ms=[at_ms], points={"power_w": [float(cursor)]}, produced=cursor)
                for device in ("grid", "inverter")
            ]
            payload = encode(Readings(epoch=EPOCH, seq=cursor, batches=batches))
            self._client.publish("hearth/anna/readings", payload, qos=1)
            cursor += 1
            time.sleep(0.001)


@contextmanager
def ingest(database_url: str, broker_url: str) -> Iterator[Callable[[], None]]:
    """A running ingest process; calling what this yields kills it with SIGKILL and starts another one."""
    environment = os.environ | {"HEARTH_HUB_DATABASE_URL": database_url, "HEARTH_HUB_MQTT_URL": broker_url}
    command = [sys.executable, "-m", "hearth_hub.cli", "ingest"]
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))

    def kill_and_restart() -> None:
        processes[-1].kill()
        processes[-1].wait()
        start()

    start()
    try:
        yield kill_and_restart
    finally:
        processes[-1].terminate()
        code = processes[-1].wait(10)
    assert code == 0, "ingest must end cleanly on SIGTERM"


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def assert_all_stored_once(url: str, records: int) -> None:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select d.device, a.produced, a.stored, a.gaps, a.dead_lettered, count(*), count(distinct r.at),"
            " sum(r.power_w) from account a join device d on d.id = a.device_id join reading r on r.device_id = d.id"
            " group by 1, 2, 3, 4, 5 order by 1"
        ).fetchall()
    total = records * (records + 1) / 2
    assert rows == [(device, records, records, 0, 0, records, records, total) for device in ("grid", "inverter")]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_nothing_is_lost_or_doubled_when_ingest_is_killed_again_and_again(postgres_url: str, mosquitto: Broker) -> None:
    records = 2000
    with ingest(postgres_url, mosquitto.url) as kill_and_restart, MiniAgent(mosquitto.port, records) as agent:
        for share in (0.1, 0.4, 0.7):
            wait_until(lambda share=share: agent.acked > share * records)  # type: ignore[misc]
            kill_and_restart()
        wait_until(lambda: agent.acked == records)
    assert_all_stored_once(postgres_url, records)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_broker_that_is_killed_and_forgets_everything_costs_nothing(postgres_url: str, mosquitto: Broker) -> None:
    records = 1500
    with ingest(postgres_url, mosquitto.url), MiniAgent(mosquitto.port, records) as agent:
        wait_until(lambda: agent.acked > 300)
        mosquitto.stop(signal.SIGKILL)
        time.sleep(0.3)
        mosquitto.start()
        wait_until(lambda: agent.acked == records)
    assert_all_stored_once(postgres_url, records)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_database_that_crashes_and_comes_back_costs_nothing(mosquitto: Broker) -> None:
    """No restart of ingest: it waits, holds what it has not stored, and acknowledges nothing meanwhile."""
    records = 1500
    with tempfile.TemporaryDirectory(prefix="hearth-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            url = server.url("postgres")
            migrate(url)
            with ingest(url, mosquitto.url), MiniAgent(mosquitto.port, records) as agent:
                wait_until(lambda: agent.acked > 300)
                server.kill()
                time.sleep(1.0)
                acked = agent.acked
                time.sleep(0.5)
                assert agent.acked == acked, "something was acknowledged without a database"
                server.start()
                wait_until(lambda: agent.acked == records)
            assert_all_stored_once(url, records)
        finally:
            server.stop()
