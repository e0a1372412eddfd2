"""The parent's side of the forecasting child: every answer has a deadline, and a late child is ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys

import msgspec

from hearth_agent.forecast.protocol import LENGTH, Answer, Request, frame
from hearth_core.errors import TransientError

logger = logging.getLogger(__name__)

DEADLINE_S = 10.0
IDLE_S = 20.0
"""A child that was asked nothing for so long leaves: forecasts are made each quarter-hour, and its memory is half of
what the agent takes. The next one is there within a second."""
_LARGEST_ANSWER = 1 << 20
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ChildError(TransientError):
    """The child died, was late, or said nonsense; it is started again with the next request."""


class ForecastChild:
    """A subprocess that is started when needed and replaced when it fails."""

    def __init__(
        self, command: tuple[str, ...] | None = None, deadline_s: float = DEADLINE_S, idle_s: float = IDLE_S
    ) -> None:
        self._command = command or (sys.executable, "-m", "hearth_agent.forecast.worker")
        self._deadline_s, self._idle_s = deadline_s, idle_s
        self._leave_at: asyncio.TimerHandle | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.starts = 0
        """How often a child was started: a new one knows no model."""

    async def ask(self, request: Request) -> Answer:
        """Send a request and return its answer.

        Raises:
            ChildError: No answer within the deadline, or the child is gone.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                process = await self.ensure_started()
                answer = await self._exchange(process, request)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            await self.stop()
            text = f"no answer within {self._deadline_s:g} s" if isinstance(error, TimeoutError) else str(error)
            raise ChildError(f"forecasting child: {text}") from error
        self._leave_at = asyncio.get_running_loop().call_later(self._idle_s, self._kill)
        return answer

    def _stay(self) -> None:
        if self._leave_at is not None:
            self._leave_at.cancel()
            self._leave_at = None

    async def ensure_started(self) -> asyncio.subprocess.Process:
        """Start a child if there is none; it stays until it was asked something and then nothing for a while."""
        self._stay()
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **_SINGLE_THREADED},
            )
            self.starts += 1
        return self._process

    async def _exchange(self, process: asyncio.subprocess.Process, request: Request) -> Answer:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        process.stdin.write(frame(request))
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        if length > _LARGEST_ANSWER:
            raise msgspec.DecodeError(f"an answer of {length} bytes")
        return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=Answer)

    async def stop(self) -> None:
        """End the child and wait until it is gone."""
        self._stay()
        if (process := self._kill()) is not None:
            await process.wait()

    def _kill(self) -> asyncio.subprocess.Process | None:
        """Let go of the child at once, so that the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
        return process
