"""A hub as it runs in production, on ports and in a folder of its own: database, broker, hub processes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from hearth_hub.database.embedded import EmbeddedPostgres
from hearth_hub.database.migrate import migrate

# What docs/operating.md advises for a hub of a thousand homes and more.
DATABASE_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
}
_MOSQUITTO = """listener {port} 127.0.0.1
allow_anonymous true
max_queued_messages 0
max_connections -1
persistence false
"""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Program:
    """One process, watched from outside."""

    name: str
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """Return the CPU time it has used [s]."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_S

    def peak_mb(self) -> float:
        """Return the most memory it had at a time [MB]."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        return 0.0

    def end(self) -> None:
        """End it and wait."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raise_file_limit() -> None:
    """Let broker and fleet hold ten thousand connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass
class Stack:
    """A running hub."""

    folder: Path
    database_url: str
    mqtt_url: str
    environment: Mapping[str, str]
    programs: dict[str, Program] = field(default_factory=dict)

    def start(self, part: str) -> Program:
        """Start a part of the hub: ingest, worker or api."""
        log = (self.folder / f"{part}.log").open("ab")
        command = [sys.executable, "-m", "hearth_hub.cli", part]
        process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        log.close()
        self.programs[part] = Program(part, process)
        return self.programs[part]

    def stop(self, part: str) -> None:
        """End a part of the hub."""
        self.programs.pop(part).end()

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection of one's own."""
        return psycopg.connect(self.database_url, autocommit=True)


@contextmanager
def database_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server set up for a large hub."""
    server = EmbeddedPostgres(folder / "postgres", DATABASE_SETTINGS)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def running_stack(folder: Path, server: EmbeddedPostgres, name: str, *parts: str) -> Iterator[Stack]:
    """A fresh database on the server, a broker, and parts of the hub."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
    url = server.url(name)
    migrate(url)
    with ExitStack() as stack:
        port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(_MOSQUITTO.format(port=port))
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SystemExit("mosquitto is not installed (Debian package mosquitto)")
        broker = Program("mosquitto", subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL))
        stack.callback(broker.end)
        environment = os.environ | {
            "HEARTH_HUB_DATABASE_URL": url,
            "HEARTH_HUB_MQTT_URL": f"mqtt://127.0.0.1:{port}",
            "HEARTH_HUB_DATA_DIR": str(folder / "hub"),
            "HEARTH_HUB_PORT": str(free_port()),
        }
        running = Stack(folder, url, f"mqtt://127.0.0.1:{port}", environment)
        running.programs["mosquitto"] = broker
        for part in parts:
            stack.callback(running.start(part).end)
        time.sleep(3.0)  # loading takes a second or two; nothing is measured before
        yield running
