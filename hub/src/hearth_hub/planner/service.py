"""Plans for whoever asks: a few at once, a few more in the queue, and nobody else is held up by them."""

from __future__ import annotations

import asyncio
import logging

from hearth_hub.errors import RequestError
from hearth_hub.planner.child import ChildError, PlanningChild
from hearth_hub.planner.protocol import Ask, Question

logger = logging.getLogger(__name__)

AT_ONCE = 2
WAITING = 16
_RETRY_S = 5


class BusyError(RequestError):
    """As many plans are being made, or wait to be, as may."""

    status = 503
    retry_after_s = _RETRY_S


class FailedError(RequestError):
    """No plan came back; that is not the caller's fault."""

    status = 500


class Planner:
    """Owns the planning children; the first ones start with the first questions."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._asked = 0
        self._idle: list[PlanningChild] = []

    async def plan(self, question: Question, body: bytes) -> bytes:
        """Return the plan of a problem, both as JSON.

        Raises:
            RequestError: The problem is nonsense; the field is named.
            BusyError: Too many wait already.
            FailedError: The planner died or did not come back.
        """
        if self._asked >= AT_ONCE + WAITING:
            remedy = f"Try again in {_RETRY_S} seconds."
            raise BusyError("planner", self._asked, f"{self._asked} plans are being made or wait", remedy)
        self._asked += 1
        try:
            async with self._turns:
                return await self._ask(Ask(question, body))
        finally:
            self._asked -= 1

    async def close(self) -> None:
        """End every child that is idle; the others end with their question."""
        while self._idle:
            await self._idle.pop().stop()

    async def _ask(self, ask: Ask) -> bytes:
        child = self._take()
        try:
            answer = await child.ask(ask)
        except ChildError as error:
            await child.stop()
            raise _failed(str(error), ask) from error
        except BaseException:  # cancelled: what it works on would be taken for the next answer
            await child.stop()
            raise
        self._idle.append(child)
        if answer.refusal:
            field, _, message = answer.refusal.partition(": ")
            raise RequestError(field, None, message)
        if answer.failure:
            raise _failed(answer.failure, ask)
        return answer.body

    def _take(self) -> PlanningChild:
        while self._idle:
            if not (child := self._idle.pop()).is_dead:
                return child
        return PlanningChild()


def _failed(what: str, ask: Ask) -> FailedError:
    logger.warning("no plan: %s", what, extra={"question": ask.question, "bytes": len(ask.body)})
    return FailedError("planner", None, what, "Ask for fewer steps or fewer assets.")
