"""Quarter-hour means of one power, measured at home and kept over a restart: what a forecast starts from."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hearth_models.forecasting import History

logger = logging.getLogger(__name__)

STEP_S = 900
KEPT_STEPS = 61 * 96
"""As many days as planning compares."""
_LEAST_SHARE = 0.3


class PowerSeries:
    """A mean for each step that was covered well enough; a line is appended to the file when a step ends."""

    def __init__(self, path: Path, sample_s: float) -> None:
        """Read what was kept.

        Args:
            path: The file; it is made with the first step.
            sample_s: How often `observe` will be called [s].
        """
        self._path = path
        self._least = max(1.0, _LEAST_SHARE * STEP_S / sample_s)
        self._means: dict[int, float] = {}
        self._step: int | None = None
        self._sum_w, self._count = 0.0, 0
        self._load()

    def _load(self) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
        for line in lines:
            step, _, power = line.partition(",")
            try:
                power_w = float(power)
                if math.isfinite(power_w):
                    self._means[int(step)] = power_w
            except ValueError:
                continue  # the last line before a power cut may be half
        if len(lines) > 2 * KEPT_STEPS:
            self._trim()
            text = "".join(f"{step},{power_w:.1f}\n" for step, power_w in sorted(self._means.items()))
            self._path.write_text(text, encoding="ascii")

    def observe(self, at_s: float, power_w: float | None) -> None:
        """Take one sample; None is a missing one."""
        step = math.floor(at_s / STEP_S)
        if self._step is not None and step != self._step:
            self._close(self._step)
        self._step = step
        if power_w is not None:
            self._sum_w += power_w
            self._count += 1

    def _close(self, step: int) -> None:
        if self._count >= self._least:
            self._means[step] = self._sum_w / self._count
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:
                file.write(f"{step},{self._means[step]:.1f}\n")
            if len(self._means) > KEPT_STEPS + 96:
                self._trim()
        self._sum_w, self._count = 0.0, 0

    def _trim(self) -> None:
        for step in sorted(self._means)[:-KEPT_STEPS]:
            del self._means[step]

    def fill(self, start_s: float, step_s: int, power_w: Sequence[float | None]) -> None:
        """Take somebody else's means (the hub's) where nothing was measured here."""
        if step_s != STEP_S:
            logger.warning("a history in steps of %d s is not used", step_s)
            return
        first = round(start_s / STEP_S)
        for index, value in enumerate(power_w):
            if value is not None and math.isfinite(value):
                self._means.setdefault(first + index, value)
        self._trim()

    def history(self, until_s: float) -> History:
        """Return the means of whole steps before an instant, NaN where nothing is known."""
        end = math.floor(until_s / STEP_S)
        known = [step for step in self._means if step < end]
        if not known:
            return History(float(end * STEP_S), STEP_S, np.empty(0))
        first = max(min(known), end - KEPT_STEPS)
        power_w = np.full(end - first, np.nan)
        for step in known:
            if step >= first:
                power_w[step - first] = self._means[step]
        return History(float(first * STEP_S), STEP_S, power_w)

    def __len__(self) -> int:
        """How many means are known."""
        return len(self._means)
