"""Mosquitto as a part that can be killed; it keeps nothing on its disk."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
from pathlib import Path

from tests.faults.processes import FaultsError, Part, wait_until

_SETTINGS = """\
user {user}
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 100000
max_inflight_messages 100
"""
_LISTEN_S = 20.0


class Broker(Part):
    """The broker on its port."""

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        config = folder / "broker.conf"
        config.write_text(_SETTINGS.format(user=getpass.getuser(), port=port))
        super().__init__("broker", [find_mosquitto(), "-c", str(config)], folder / "broker.log")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        super().start()
        wait_until(self._listens, _LISTEN_S, "the broker")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def find_mosquitto() -> str:
    """Return the path of mosquitto.

    Raises:
        FaultsError: It is not installed.
    """
    found = shutil.which("mosquitto", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FaultsError("mosquitto is not installed (Debian package mosquitto)")
    return found
