"""The parent's side of the planning child: it has a deadline, and is gone when it has answered."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec

from hearth_agent.plan.worker import PlanAnswer, PlanRequest
from hearth_core.errors import TransientError
from hearth_core.messages import Plan

DEADLINE_S = 60.0
"""A Raspberry Pi needs a few seconds, most of them for loading."""
_COMMAND = (sys.executable, "-m", "hearth_agent.plan.worker")
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class PlanningError(TransientError):
    """No plan could be made; the text says why."""


async def ask_child(request: PlanRequest, command: tuple[str, ...] = _COMMAND, deadline_s: float = DEADLINE_S) -> Plan:
    """Make a plan in a process of its own.

    Raises:
        PlanningError: The child died, was late, said nonsense, or found no plan.
    """
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **_SINGLE_THREADED},
    )
    try:
        async with asyncio.timeout(deadline_s):
            said, _ = await child.communicate(msgspec.msgpack.encode(request))
        answer = msgspec.msgpack.decode(said, type=PlanAnswer)
    except TimeoutError as error:
        raise PlanningError(f"no plan within {deadline_s:g} s") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise PlanningError(f"the planning child ended with {child.returncode}: {error}") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if answer.plan is None:
        raise PlanningError(answer.error)
    return answer.plan
