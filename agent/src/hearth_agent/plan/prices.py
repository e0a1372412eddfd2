"""Market prices as the hub's plans told them, kept on the disk for when the hub is silent."""

from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np

from hearth_agent.files import write_durably
from hearth_core.messages import Plan
from hearth_models.planning.outlook import STEP_S, KnownPrices

logger = logging.getLogger(__name__)

_KEPT_STEPS = 21 * 96
_AHEAD_STEPS = 4 * 96


class PriceMemory:
    """A price for each quarter-hour, and which plan told it; a line each in ``prices.csv``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._prices: dict[int, tuple[float, str]] = {}
        self._load()

    def _load(self) -> None:
        try:
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return
        for line in lines:
            at, _, rest = line.partition(",")
            price, _, source = rest.partition(",")
            try:
                step, eur_per_kwh = int(at) // STEP_S, float(price)
            except ValueError:
                logger.warning("a kept price is not used: %r", line[:80])
                continue
            if math.isfinite(eur_per_kwh):
                self._prices[step] = (eur_per_kwh, source)

    def learn(self, plan: Plan) -> None:
        """Take the prices an accepted plan carries; a corrected one replaces the old."""
        if plan.market is None:
            return
        source, fresh = f"plan {plan.version}", False
        per_price = plan.market.step_s // STEP_S
        first = plan.market.start_ms // 1000 // STEP_S
        for index, price in enumerate(plan.market.eur_per_kwh):
            for step in range(first + index * per_price, first + (index + 1) * per_price):
                if price is not None and self._prices.get(step, (math.nan, ""))[0] != price:
                    self._prices[step], fresh = (price, source), True
        if fresh:
            self._keep()

    def _keep(self) -> None:
        for step in sorted(self._prices)[:-_KEPT_STEPS]:
            del self._prices[step]
        lines = (f"{step * STEP_S},{price!r},{source}\n" for step, (price, source) in sorted(self._prices.items()))
        write_durably(self._path, "".join(lines).encode())

    def known(self, now_s: float) -> KnownPrices:
        """Return the prices around an instant: those of the last three weeks, and those that lie ahead."""
        here = int(now_s // STEP_S)
        steps = [step for step in self._prices if here - _KEPT_STEPS <= step < here + _AHEAD_STEPS]
        first, end = min([*steps, here]), max([*steps, here]) + 1
        prices = np.full(end - first, np.nan)
        for step in steps:
            prices[step - first] = self._prices[step][0]
        return KnownPrices(float(first * STEP_S), prices)
