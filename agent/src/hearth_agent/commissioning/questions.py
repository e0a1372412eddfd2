"""Asking a person before something is moved; every answer is kept with who and when."""

from __future__ import annotations

from collections.abc import Callable

from hearth_agent.proof import Answer
from hearth_core.clock import Clock, now


class Asker:
    """Asks on the terminal, or answers from what the command line says yes to."""

    def __init__(self, by: str, clock: Clock, yes_to: frozenset[str], prompt: Callable[[str], bool] | None) -> None:
        """Make it.

        Args:
            by: The person's name.
            clock: For the date of an answer.
            yes_to: ``all``, device ids, or ``device:topic``.
            prompt: Asks a person; None answers no to everything that is not in ``yes_to``.
        """
        self._by, self._clock, self._yes_to, self._prompt = by, clock, yes_to, prompt
        self._answers: dict[str, list[Answer]] = {}

    def ask(self, device: str, topic: str, question: str) -> bool:
        """Ask and remember.

        Args:
            device: Its id.
            topic: ``ramp``, ``control`` or ``keeps-orders``.
            question: What will happen, as a question.
        """
        given = bool({"all", device, f"{device}:{topic}"} & self._yes_to)
        yes = given or (self._prompt is not None and self._prompt(question))
        self._answers.setdefault(device, []).append(
            Answer(question=question, said_yes=yes, by=self._by, at=now(self._clock))
        )
        return yes

    def answers(self, device: str) -> list[Answer]:
        """Return what was asked about a device and said."""
        return self._answers.get(device, [])
