"""PostgreSQL as a part that can be killed: created by the hub's own code, then run directly from its programs."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psycopg
from tests.faults.processes import FaultsError, Part

from hearth_hub.database.embedded import EmbeddedPostgres

_START_S = 60.0
_SETTINGS = {"listen_addresses": "", "max_connections": "60", "shared_buffers": "64MB", "jit": "off", "timezone": "UTC"}


class Database(Part):
    """The database server; ``kill`` hits the postmaster alone, as the OOM killer would."""

    stop_signal = signal.SIGINT  # fast shutdown

    def __init__(self, folder: Path, log: Path) -> None:
        server = EmbeddedPostgres(folder)
        server.start()
        self.url = server.url("postgres")
        programs = Path(f"/proc/{server.pid}/exe").resolve().parent
        server.stop()
        owner = folder.stat()
        command = [str(programs / "postgres"), "-D", str(folder)]
        for name, value in (_SETTINGS | {"unix_socket_directories": _socket_folder(self.url)}).items():
            command += ["-c", f"{name}={value}"]
        super().__init__("postgres", command, log, uid=owner.st_uid, gid=owner.st_gid)

    def start(self) -> None:
        """Start it and wait until it answers."""
        deadline_s = time.monotonic() + _START_S
        super().start()
        while not self.answers():
            if time.monotonic() > deadline_s:
                raise FaultsError(f"PostgreSQL does not start:\n{self.log_tail()}")
            if self.pid is None:
                # backends of a killed postmaster still hold the old shared memory for a moment
                time.sleep(0.1)
                super().start()
            time.sleep(0.05)

    def answers(self) -> bool:
        """Tell whether it can be asked now."""
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _socket_folder(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["host"])
