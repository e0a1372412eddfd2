"""The agent's sign of life to its supervisor: a byte a second through a pipe, which costs no disk anything.

The byte is sent by a task of the event loop, and only while the controller goes on: a loop that stands still and a
controller that stands still are the same to a device.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import Protocol

from hearth_agent.control.supervisor import VARIABLE
from hearth_core.clock import Clock

BEAT_S = 1.0
_STUCK_S = 5.0


class Steps(Protocol):
    """What is known of the controller's steps."""

    stepped_s: float
    """When the last one ended, by `time.monotonic` [s]."""
    due_s: float
    """When the next one is to begin, by the home's clock (monotonic) [s]."""


def pipe_to_supervisor() -> int | None:
    """Return the pipe's end, or None when nobody supervises this process."""
    number = os.environ.get(VARIABLE)
    return int(number) if number else None


async def beat(pipe: int, steps: Steps, clock: Clock) -> None:
    """Send signs of life for ever; end the agent in order when the supervisor is gone (Linux does that as well)."""
    os.set_blocking(pipe, False)
    while True:
        if not is_stuck(steps, clock):
            try:
                with contextlib.suppress(BlockingIOError):  # the supervisor stands still: it will find enough
                    os.write(pipe, b".")
            except BrokenPipeError:
                os.kill(os.getpid(), signal.SIGTERM)
                return
        await asyncio.sleep(BEAT_S)


def is_stuck(steps: Steps, clock: Clock) -> bool:
    """Tell whether a step is overdue by the home's clock (a demo's may be held) and by the real one."""
    return clock.monotonic() > steps.due_s + _STUCK_S and time.monotonic() > steps.stepped_s + _STUCK_S
