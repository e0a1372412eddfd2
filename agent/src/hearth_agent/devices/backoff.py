"""How long something that does not answer is left alone."""

from __future__ import annotations

import random
import time

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class BackOff:
    """Pauses that double from failure to failure, in real time."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._again_at_s = 0.0

    @property
    def over(self) -> bool:
        """Whether it may be tried (again)."""
        return time.monotonic() >= self._again_at_s

    def fail(self) -> None:
        """Pause, twice as long as the last time."""
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        # spread, so that devices behind one gateway do not all knock at once
        self._again_at_s = time.monotonic() + self._pause_s * random.uniform(0.7, 1.0)  # noqa: S311

    def reset(self) -> None:
        """Forget the failures."""
        self._pause_s = self._again_at_s = 0.0
