"""The log of the grid operator's limits: what was received, applied and lifted, when, and what the meter showed.

One JSON object a line in ``grid-limits.log``; a full file becomes ``grid-limits.log.1``. A file holds at least two
years of the most lines a day may have; what a flapping contact has beyond that is counted in the next line.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from hearth_core.clock import Clock, now

logger = logging.getLogger(__name__)

MOST_LINES_A_DAY = 200
MOST_BYTES = 24 * 1024 * 1024
"""Two years of 200 lines a day of 160 bytes."""
_DAY_S = 86_400


class Journal:
    """Appends a line for each thing that happens; a disk that refuses is told, and stops nothing."""

    def __init__(self, path: Path, clock: Clock, most_bytes: int = MOST_BYTES) -> None:
        self._path, self._clock, self._most_bytes = path, clock, most_bytes
        self._day_since_s, self._lines, self._left_out = clock.monotonic(), 0, 0

    def write(self, what: str, source: str, side: str, limit_w: float | None, grid_w: float | None) -> bool:
        """Write one line.

        Args:
            what: ``received``, ``applied``, ``holds``, ``lifted`` or ``failsafe``.
            source: Name of the source.
            side: Side of the connection.
            limit_w: The limit; None where there is none [W].
            grid_w: Power at the grid meter at that moment, + = import; None when it is not known [W].

        Returns:
            Whether it was written.
        """
        if self._clock.monotonic() - self._day_since_s >= _DAY_S:
            self._day_since_s, self._lines = self._clock.monotonic(), 0
        if self._lines >= MOST_LINES_A_DAY:
            self._left_out += 1
            return False
        entry: dict[str, object] = {
            "at": now(self._clock).isoformat(timespec="seconds"),
            "what": what,
            "source": source,
            "side": side,
            "limit_w": limit_w,
            "grid_w": None if grid_w is None else round(grid_w),
        }
        if self._left_out:
            entry["left_out"] = self._left_out
        line = json.dumps(entry) + "\n"
        try:
            if self._path.exists() and self._path.stat().st_size + len(line) > self._most_bytes:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            logger.error("the log of grid limits cannot be written: %s", error)  # noqa: TRY400  no trace needed
            return False
        self._lines, self._left_out = self._lines + 1, 0
        return True
