"""Real neighbours for the integration tests: a PostgreSQL server a session, a Mosquitto broker a test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.database.migrate import migrate

_START_TIMEOUT_S = 10.0


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Mosquitto:
    """A broker of this test alone, which the test may kill and start again on the same port."""

    folder: Path
    program: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address as the settings of agent and hub take it."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        self.process = subprocess.Popen([self.program, "-c", str(config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"mosquitto did not listen on port {self.port}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; with SIGKILL it forgets everything."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(5)
            self.process = None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running Mosquitto on a free port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is missing, and in CI its tests must run")
        pytest.skip("mosquitto is not installed (Debian package mosquitto)")
    broker = Mosquitto(tmp_path, program)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The one PostgreSQL server of this test session."""
    with tempfile.TemporaryDirectory(prefix="hearth-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of this test alone, migrated to the newest schema."""
    name = sql.Identifier(f"test_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(name))
        url = postgres_server.url(name.as_string().strip('"'))
        migrate(url)
        yield url
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture(params=["postgresql", "timescaledb"])
def engine_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of this test alone, once on plain PostgreSQL and once with TimescaleDB.

    The latter needs HEARTH_TEST_TIMESCALE_URL, the address of a server on which databases may be created.
    """
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres_url")
        return
    server = os.environ.get("HEARTH_TEST_TIMESCALE_URL")
    if server is None:
        pytest.skip("no TimescaleDB: HEARTH_TEST_TIMESCALE_URL is not set")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        url = psycopg.conninfo.make_conninfo(server, dbname=name)
        migrate(url)
        yield url
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
