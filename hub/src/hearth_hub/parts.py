"""The processes a running hub is made of: when they begin, and how they notice that their supervisor is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading

PARTS = ("api", "ingest", "worker")
SUPERVISED = "HEARTH_HUB_SUPERVISED"
"""Set to 1 in the environment of a part whose stdin is held open by the supervisor."""
GO = b"\n"
"""What the supervisor writes to a part's stdin once the database is ready."""


def wait_for_supervisor() -> None:
    """Wait until a supervised part may begin, and end it when its supervisor is gone, even a killed one.

    Call it when everything is loaded that can be loaded without the database. A part that was started by hand begins at
    once. An orphan would hold the port, so the end of stdin ends the part.
    """
    if os.environ.get(SUPERVISED) != "1":
        return
    stdin = sys.stdin.fileno()  # not through the buffer: its lock must not be held while Python ends
    if not os.read(stdin, 1):
        sys.exit(0)

    def watch() -> None:
        while os.read(stdin, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
