"""The processes a running hub is made of, and how they notice that their supervisor is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading

PARTS = ("api", "ingest", "worker")
SUPERVISED = "HEARTH_HUB_SUPERVISED"
"""Set to 1 in the environment of a part whose stdin is held open by the supervisor."""


def end_with_parent() -> None:
    """Make a supervised part end when its supervisor is gone, even a killed one: an orphan would hold the port."""
    if os.environ.get(SUPERVISED) != "1":
        return

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)  # not through the buffer: its lock must not be held while Python ends
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
