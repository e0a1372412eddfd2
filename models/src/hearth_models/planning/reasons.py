"""Why each step of a plan is as it is, in words a homeowner would use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_core.messages import Mode
from hearth_models.arrays import BoolArray, FloatArray
from hearth_models.planning.course import Expected
from hearth_models.planning.words import cents, span

_SEEN_W = 60.0
_DOING = {
    Mode.SELF_CONSUMPTION: "it covers the house and stores the sun",
    Mode.ABSORB_SURPLUS: "it keeps what is stored",
    Mode.COVER_LOAD: "it covers the house and sells the sun",
    Mode.HOLD: "it rests",
    Mode.CHARGE_FROM_GRID: "it charges from the grid",
    Mode.EXPORT: "it sells",
}


@dataclass(frozen=True)
class Story:
    """A plan's expectation with its times, from which reasons are told."""

    starts_s: FloatArray
    """Starts of the steps and the end of the last, shape (n + 1,)."""
    import_eur_per_kwh: FloatArray
    export_eur_per_kwh: FloatArray
    net_w: FloatArray
    expected: Expected
    timezone: str

    def reasons(self) -> list[str]:
        """Return one reason for each step."""
        using = self.expected.battery_w > _SEEN_W
        return [self._reason(step, *_next_block(using, step)) for step in range(len(self.net_w))]

    def headline(self, reasons: list[str]) -> str:
        """Say what the battery does now, until when, and what comes then."""
        modes = self.expected.modes
        change = next((step for step, mode in enumerate(modes) if mode is not modes[0]), None)
        now = f"The battery {reasons[0]}"
        if change is None:
            return now + "."
        until = span(self.starts_s[0], self.starts_s[change], self.timezone).split("-")[1]
        return f"{now}. From {until} {_DOING[modes[change]]}."

    def _reason(self, step: int, first: int, end: int) -> str:
        mode, net_w = self.expected.modes[step], self.net_w[step]
        buys, sells = cents(self.import_eur_per_kwh[step]), cents(self.export_eur_per_kwh[step])
        worth = cents(self.expected.worth_eur_per_kwh[step])
        later = span(self.starts_s[first], self.starts_s[end], self.timezone) if first < end else ""
        dearer = float(np.mean(self.import_eur_per_kwh[first:end])) if first < end else 0.0
        more = dearer - self.import_eur_per_kwh[step]
        match mode:
            case Mode.CHARGE_FROM_GRID:
                if self.import_eur_per_kwh[step] < 0:
                    return f"charges from the grid, which pays {cents(-self.import_eur_per_kwh[step])} for it"
                if later and more > 0:
                    return f"charges at {buys} for {later}, when power costs {cents(dearer)}"
                return f"charges at {buys}: it will be worth {worth} later"
            case Mode.EXPORT:
                return f"sells stored power at {sells}: keeping it would be worth {worth}"
            case Mode.COVER_LOAD:
                if net_w < 0:
                    return f"lets the surplus be sold at {sells}: storing it would be worth {worth}"
                return f"covers the house, grid power costs {buys}"
            case Mode.HOLD | Mode.ABSORB_SURPLUS:
                if mode is Mode.ABSORB_SURPLUS and net_w < -_SEEN_W:
                    return f"stores the surplus for {later}" if later else f"stores the surplus, worth {worth} later"
                if later and more > 0:
                    return f"keeps the battery for {later}, when power costs {cents(more)} more"
                return f"keeps what is stored: it will be worth {worth} later, grid power costs {buys} now"
            case Mode.SELF_CONSUMPTION:
                return self._own_power(step, later, buys, sells)

    def _own_power(self, step: int, later: str, buys: str, sells: str) -> str:
        power_w = self.expected.battery_w[step]
        if power_w > _SEEN_W:
            return f"covers the house, grid power costs {buys}"
        if power_w < -_SEEN_W:
            return f"stores the surplus for {later}" if later else f"stores the surplus, feed-in earns only {sells}"
        if self.net_w[step] > _SEEN_W:
            return f"is empty, the house takes grid power at {buys}"
        return f"is full, the surplus is sold at {sells}" if self.net_w[step] < -_SEEN_W else "has nothing to do"


def _next_block(flags: BoolArray, step: int) -> tuple[int, int]:
    """Return the next run of set flags after a step as ``[first, end)``; empty when there is none."""
    after = np.flatnonzero(flags[step + 1 :])
    if not len(after):
        return 0, 0
    first = step + 1 + int(after[0])
    gap = np.flatnonzero(~flags[first:])
    return first, first + int(gap[0]) if len(gap) else len(flags)
