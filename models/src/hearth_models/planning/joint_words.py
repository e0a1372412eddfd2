"""What a plan for a whole home says in words: which wishes it breaks, and why each asset runs when it does."""

from __future__ import annotations

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from hearth_models.arrays import FloatArray
from hearth_models.planning.joint import Joint, Wish
from hearth_models.planning.problem import Problem

# Less than this is not worth a word, in the unit of the wish.
_WORTH_A_WORD = 0.01
_ACTIVE_W = 10.0


class BrokenWish(msgspec.Struct, kw_only=True, frozen=True):
    """A wish that is not met, in words and numbers."""

    asset: str
    wish: str
    most: float
    unit: str
    from_step: int
    until_step: int
    text: str


class Words:
    """Says why, with the clock of the home."""

    def __init__(self, problem: Problem) -> None:
        start = problem.start_at
        self._start = start.astimezone(UTC)
        self._zone = start.tzinfo if problem.timezone is None else ZoneInfo(problem.timezone)
        self._edges = problem.begins_s
        self._buy = np.array(problem.import_eur_per_kwh)
        self._cheapest_first = np.argsort(self._buy, kind="stable").tolist()
        self._dearest_first = np.argsort(-self._buy, kind="stable").tolist()
        self._surplus = sum((np.array(pv.power_w) for pv in problem.pv), np.zeros(problem.n_steps)) - np.array(
            problem.load_w
        )

    def clock(self, step: int) -> str:
        """Return when a step begins, as the home's clock shows it."""
        at = self._start + timedelta(seconds=float(self._edges[step]))
        return f"{at.astimezone(self._zone):%H:%M}"

    def spans(self, power_w: FloatArray) -> list[str]:
        """Say for each span of one direction why it lies there."""
        side = np.where(power_w > _ACTIVE_W, 1, np.where(power_w < -_ACTIVE_W, -1, 0))
        edges = np.flatnonzero(np.diff(side, prepend=0, append=0))
        said = []
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if side[first]:
                said.append(self._span(first, last, int(side[first])))
        return said

    def _span(self, first: int, last: int, side: int) -> str:
        here = f"{self.clock(first)}-{self.clock(last)}"
        price = float(self._buy[first:last].mean())
        if side > 0 and self._surplus[first:last].mean() > _ACTIVE_W:
            return f"draws {here}: own PV is left over then"
        order = self._dearest_first if side > 0 else self._cheapest_first
        other = next((step for step in order if not first <= step < last), None)
        if other is None:
            return f"{'draws' if side > 0 else 'gives'} {here}"
        gap = float(self._buy[other]) - price
        when = f"{self.clock(other)}-{self.clock(other + 1)}"
        if side > 0 and gap > 0:
            return f"draws {here}: {when} costs {gap:.2f} EUR/kWh more"
        if side < 0 and gap < 0:
            return f"gives {here}: {when} costs {-gap:.2f} EUR/kWh less"
        return f"{'draws' if side > 0 else 'gives'} {here}: no other time is better"


def broken_wishes(joint: Joint, values: FloatArray, words: Words) -> list[BrokenWish]:
    """Return every wish that is broken by some values of all columns."""
    return [one for wish in joint.wishes if (one := _broken(wish, values, words)) is not None]


def _broken(wish: Wish, values: FloatArray, words: Words) -> BrokenWish | None:
    amount = values[wish.columns]
    broken = np.flatnonzero(amount > _WORTH_A_WORD)
    if not len(broken):
        return None
    first, last, most = int(wish.steps[broken[0]]), int(wish.steps[broken[-1]]), float(amount.max())
    span = f"{words.clock(first)}-{words.clock(last + 1)}"
    return BrokenWish(
        asset=wish.asset,
        wish=wish.what,
        most=round(most, 3),
        unit=wish.unit,
        from_step=first,
        until_step=last + 1,
        text=_SENTENCES[wish.what.split(" of ")[0]].format(asset=wish.asset, what=wish.what, most=most, span=span),
    )


_SENTENCES = {
    "import limit": "the home draws up to {most:.2f} kW more than it may, {span}",
    "export limit": "the home feeds in up to {most:.2f} kW more than it may, {span}",
    "fuse": "the {what} carries up to {most:.2f} kW too much, {span}",
    "dimming": "what the grid operator has dimmed draws up to {most:.2f} kW too much, {span}",
    "charge floor": "{asset} is up to {most:.2f} kWh below its lowest charge, {span}",
    "charge ceiling": "{asset} is up to {most:.2f} kWh above its highest charge, {span}",
    "reserve": "{asset} is up to {most:.2f} kWh short of its reserve, {span}",
    "full at departure": "{asset} leaves {most:.2f} kWh short of what was asked for",
    "warm enough": "{asset} is up to {most:.1f} K too cold, {span}",
    "not too warm": "{asset} is up to {most:.1f} K too warm, {span}",
    "run": "{asset} does not fit into its window",
}
