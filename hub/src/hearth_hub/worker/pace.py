"""How a job that is never finished leaves room for the others: it rests in proportion to what it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Pace:
    """When a job is due again."""

    at_least_s: float = 0.0
    """Between two beginnings [s of real time]."""
    rest: float = 3.0
    """How many times as long as it took it rests; 3 = a quarter of one core at most."""
    _due_s: float = 0.0

    def is_due(self) -> bool:
        """Tell whether the job has rested enough."""
        return time.monotonic() >= self._due_s

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what the job costs."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            ended_s = time.monotonic()
            self._due_s = max(began_s + self.at_least_s, ended_s + self.rest * (ended_s - began_s))


class Budget:
    """How long a job may work at a time."""

    def __init__(self, seconds: float) -> None:
        self._until_s = time.monotonic() + seconds

    @property
    def is_spent(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._until_s
