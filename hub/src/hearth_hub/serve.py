"""The API process: uvicorn around the application, told to let go of live streams when it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from hearth_core.clock import Clock
from hearth_hub.app import create_app

_GRACE_S = 2


class _Server(uvicorn.Server):
    """Lets live streams end before it waits for connections to close, and ends with 0 on a signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Replaces uvicorn's, which sends the signal again once everything is closed (exit code -15)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See `uvicorn.Server.handle_exit`."""
        application = self.config.app
        if isinstance(application, FastAPI):
            application.state.closing.set()
        super().handle_exit(sig, frame)


def new_server(
    database_url: str, host: str, port: int, clock: Clock, planning_token: str | None = None
) -> uvicorn.Server:
    """Return a server with everything loaded; its ``run`` answers HTTP until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        create_app(database_url, clock, planning_token=planning_token),
        host=host,
        port=port,
        ws="none",  # we have none, and loading the library for them takes a while
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_S,
    )
    config.load()
    return _Server(config)
