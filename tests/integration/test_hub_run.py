"""`hearth-hub run` as an operator meets it: it starts, survives crashes, ends clean, and refuses clearly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from hearth_core.clock import RealClock
from hearth_core.messages import DeviceBatch, Readings, encode
from hearth_hub.ingest.service import Incoming, Ingest, open_message


class Mosquitto(Protocol):
    """What these tests need of the fixture."""

    @property
    def url(self) -> str: ...


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the database's socket lives in it."""
    with tempfile.TemporaryDirectory(prefix="hearth-test-") as name:
        yield Path(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, port: int, mqtt_url: str = "mqtt://127.0.0.1:1", **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    own = {"HEARTH_HUB_DATA_DIR": str(folder), "HEARTH_HUB_PORT": str(port), "HEARTH_HUB_MQTT_URL": mqtt_url}
    return clean | own | more


def hub(arguments: list[str], settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hearth_hub.cli", *arguments]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)


def wait_for(condition: Callable[[], Any], timeout_s: float = 40.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def children(pid: int) -> dict[str, int]:
    """The parts of a running hub by name, from the process table."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid and "hearth_hub.cli" in words:
                found[words[words.index("hearth_hub.cli") + 1]] = int(entry.name)
    return found


def alive(pid: int) -> bool:
    try:
        return "Z" not in (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_it_starts_survives_a_crash_and_leaves_nothing_running(folder: Path, mosquitto: Mosquitto) -> None:
    port = free_port()
    command = [sys.executable, "-m", "hearth_hub.cli", "run"]
    settings = environment(folder, port, mosquitto.url)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().decode() == f"ready http://127.0.0.1:{port}\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/homes", timeout=5) as answer:
            assert json.load(answer) == []

        parts = wait_for(lambda: (found := children(process.pid)) and len(found) == 3 and found)
        os.kill(parts["ingest"], signal.SIGKILL)
        reborn = wait_for(
            lambda: (found := children(process.pid)).get("ingest") not in (None, parts["ingest"]) and found
        )
        assert reborn["api"] == parts["api"], "a crash of one part must not touch the others"

        assert hub(["reconcile", "--json"], settings).returncode == 0
        first_key = hub(["key"], settings).stdout
        assert len(first_key) == 45
        assert hub(["key"], settings).stdout == first_key

        postgres = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        # a page that is open must not delay the end
        live = socket.create_connection(("127.0.0.1", port))
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        took_s = time.monotonic() - asked
        live.close()
        assert not any(alive(pid) for pid in [*reborn.values(), postgres])
        assert took_s < 5, f"it took {took_s:.1f} s to end"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_parts_end_when_their_supervisor_is_killed_and_the_next_start_takes_over(
    folder: Path, mosquitto: Mosquitto
) -> None:
    """Orphans would hold the port, and the demo could never be started again."""
    port = free_port()
    command = [sys.executable, "-m", "hearth_hub.cli", "run"]
    settings = environment(folder, port, mosquitto.url)
    for how in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready")
            parts = children(process.pid)
            process.send_signal(how)
            process.wait(20)
        for pid in parts.values():
            wait_for(partial(lambda pid: not alive(pid), pid))
    assert not (folder / "postgres" / "postmaster.pid").exists()


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize("sign", ["postgres.new", "postgres/PG_VERSION", "postgres/postmaster.pid"])
def test_a_signal_in_the_middle_of_the_first_start_leaves_nothing_running(folder: Path, sign: str) -> None:
    command = [sys.executable, "-m", "hearth_hub.cli", "run"]
    with subprocess.Popen(command, env=environment(folder, free_port()), stderr=subprocess.DEVNULL) as process:
        # the first sign is gone again after a second: on a busy machine the one that follows it does as well
        wait_for(lambda: (folder / sign).exists() or (folder / "postgres" / "postmaster.pid").exists())
        parts = children(process.pid)
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)  # an impatient operator
        assert process.wait(15) == 0
        took_s = time.monotonic() - asked
    assert parts, "the parts load while the database is made"
    assert not any(alive(pid) for pid in parts.values())
    assert not (folder / "postgres" / "postmaster.pid").exists()
    assert took_s < 5, f"it took {took_s:.1f} s to end"


@pytest.mark.timeout(60)
def test_a_port_in_use_is_named_with_the_remedy_and_nothing_is_started(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = hub(["run"], environment(folder, port))
    assert ended.returncode == 2
    assert str(port) in ended.stderr
    assert "HEARTH_HUB_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.timeout(60)
def test_a_database_that_does_not_answer_is_named_without_its_password(folder: Path) -> None:
    url = f"postgresql://hearth:s3cret@127.0.0.1:{free_port()}/hearth"
    ended = hub(["run"], environment(folder, free_port(), HEARTH_HUB_DATABASE_URL=url))
    assert ended.returncode == 2
    assert "HEARTH_HUB_DATABASE_URL" in ended.stderr
    assert "Start PostgreSQL" in ended.stderr
    assert "s3cret" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.timeout(60)
def test_an_unreadable_prices_file_stops_it_before_anything_starts(folder: Path) -> None:
    missing = str(folder / "prices.csv")
    ended = hub(["run"], environment(folder, free_port(), HEARTH_HUB_PRICES_FILE=missing))
    assert ended.returncode == 2
    assert missing in ended.stderr
    assert not (folder / "postgres").exists()


@pytest.mark.timeout(60)
def test_a_command_without_any_database_says_what_to_do(folder: Path) -> None:
    ended = hub(["reconcile"], environment(folder, free_port()))
    assert ended.returncode == 2
    assert "hearth-hub run" in ended.stderr


def seed(postgres_url: str) -> None:
    batch = DeviceBatch(device="grid", at_ms=[1, 2, 3], points={"power_w": [1, 2, 3]}, produced=3)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        record = encode(Readings(epoch="0" * 16, seq=1, batches=[batch]))
        opened = open_message(Incoming("hearth/anna/readings", record), RealClock())
        Ingest(connection, RealClock()).store([opened])


@pytest.mark.timeout(90)
def test_an_open_live_stream_gets_its_events_and_does_not_delay_the_end(folder: Path, postgres_url: str) -> None:
    seed(postgres_url)
    port = free_port()
    settings = environment(folder, port, HEARTH_HUB_DATABASE_URL=postgres_url)
    process = subprocess.Popen([sys.executable, "-m", "hearth_hub.cli", "api"], env=settings)

    def connect() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            return None

    try:
        with wait_for(connect) as page:
            page.sendall(b"GET /api/homes/anna/live HTTP/1.1\r\nHost: hub\r\n\r\n")
            received = b""
            while received.count(b"event: now") < 2:
                received += page.recv(65536)
            assert b"text/event-stream" in received
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
            assert time.monotonic() - asked < 4
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.timeout(90)
def test_reconcile_ends_with_one_when_a_row_is_gone(folder: Path, postgres_url: str) -> None:
    seed(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        settings = environment(folder, free_port(), HEARTH_HUB_DATABASE_URL=postgres_url)
        good = hub(["reconcile", "--home", "anna", "--json"], settings)
        assert good.returncode == 0
        assert json.loads(good.stdout)["totals"]["stored"] == 3
        connection.execute("delete from reading where at = (select min(at) from reading)")
        bad = hub(["reconcile"], settings)
        assert bad.returncode == 1
        assert "3 stored, but 2 ROWS" in bad.stdout
