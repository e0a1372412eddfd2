"""Starts a fleet from a program or a command line, on the quickest event loop there is."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from hearth_sim.fleet.figures import Result
from hearth_sim.fleet.fleet import Fleet
from hearth_sim.fleet.settings import FleetSettings

_PROGRESS_S = 1.0


def run(settings: FleetSettings, on_ready: Callable[[], None] = lambda: None, progress: TextIO | None = None) -> Result:
    """Run a fleet to its end, which SIGINT or SIGTERM bring forward.

    Args:
        settings: What it does.
        on_ready: Called once, when every home is connected.
        progress: Where a line of progress is kept up to date.

    Raises:
        ConfigError: The settings cannot be done, or the machine allows too few open files.
        BrokerUnreachableError: The homes could not all be connected within the limit.
    """

    async def main() -> Result:
        fleet = Fleet(settings, on_ready)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, fleet.stop)
        reporter = asyncio.create_task(_report(fleet, progress)) if progress else None
        try:
            return await fleet.run()
        finally:
            if reporter is not None:
                reporter.cancel()
                await asyncio.gather(reporter, return_exceptions=True)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop  # its wheels exist for Unix alone

    return uvloop.new_event_loop


async def _report(fleet: Fleet, stream: TextIO) -> None:
    figures = fleet.figures
    try:
        while True:
            print(
                f"\r{figures.elapsed_s():6.0f} s  {figures.connected} connected  {figures.produced} readings  "
                f"{fleet.unacknowledged} not acknowledged  {figures.homes_draining} homes draining \x1b[K",
                end="",
                file=stream,
                flush=True,
            )
            await asyncio.sleep(_PROGRESS_S)
    finally:
        print(file=stream)
