"""The API's side of a planning child: every answer has a deadline, and a child that is late or dead is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import msgspec

from hearth_core.errors import TransientError
from hearth_hub.planner.protocol import LENGTH, Answer, Ask, frame

DEADLINE_S = 30.0
"""Start, reading and building included; the solver's own limit is far below."""
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ChildError(TransientError):
    """The child died or was late."""


class PlanningChild:
    """A subprocess that plans one problem after the other."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_dead(self) -> bool:
        """Whether it has ended by itself since it was started."""
        return self._process is not None and self._process.returncode is not None

    async def ask(self, ask: Ask) -> Answer:
        """Hand over a problem and return the answer.

        Raises:
            ChildError: No answer within the deadline, or the child is gone; it must not be asked again.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._exchange(ask)
        except TimeoutError as error:
            raise ChildError(f"no plan within {DEADLINE_S:g} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ChildError("the planner ended in the middle of a plan") from error

    async def _exchange(self, ask: Ask) -> Answer:
        process = self._process = self._process or await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hearth_hub.planner.solver",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **_SINGLE_THREADED},
            start_new_session=True,  # Ctrl-C is for the supervisor
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        process.stdin.write(frame(ask))
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Answer)

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
