"""How often a register may be written a day: flash wears out, and contactors too.

The counts outlive a restart of the agent. A day is a day of UTC; a clock that is set back does not make a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from hearth_agent.files import write_durably
from hearth_core.clock import Clock

_DAY_S = 86_400


class _Day(msgspec.Struct, kw_only=True):
    """What was written on one day."""

    day: int
    written: dict[str, int] = {}


class WriteBudget:
    """Counts the writes of registers that have a daily budget."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._today = self._load()

    def has_room(self, registers: Iterable[str], per_day: int) -> bool:
        """Tell whether each register may be written once more and then once for the safe state."""
        written = self._now().written
        return all(written.get(register, 0) + 2 <= per_day for register in registers)

    def spend(self, registers: Iterable[str]) -> None:
        """Count one write of each register, on the disk before it happens.

        Raises:
            OSError: The count could not be kept.
        """
        written = self._now().written
        for register in registers:
            written[register] = written.get(register, 0) + 1
        write_durably(self._path, msgspec.json.encode(self._today))

    def written(self, register: str) -> int:
        """Return how often a register was written today."""
        return self._now().written.get(register, 0)

    def _now(self) -> _Day:
        day = int(self._clock.time() // _DAY_S)
        if day > self._today.day:
            self._today = _Day(day=day)
        self._today.day = day
        return self._today

    def _load(self) -> _Day:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Day)
        except (OSError, msgspec.DecodeError):
            # none yet; and unreadable counts are no reason to leave a device without its limits, nor for a new budget
            # every start: the day begins anew, and the next write puts a sound file in place
            return _Day(day=int(self._clock.time() // _DAY_S))
