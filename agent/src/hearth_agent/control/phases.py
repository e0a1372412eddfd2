"""What each phase of the house carries, how near that is to the main fuse, and what may still be added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from hearth_agent.control.house import House
from hearth_agent.control.orders import Measurements, State

FUSE_MARGIN = 0.05
"""Share of the main fuse that is left free."""
PHASE_V = 230.0
SHED_AFTER_S = 5.0
"""How long a phase may be above the fuse before something is switched off."""
METER_GRACE_S = 10.0
"""How long a missing grid meter is borne (its values may be a minute old by then)."""
FIRST_READ_S = 60.0
"""How long a start may wait for the first value of the meter."""
SPARE_A = 2.0
"""Room that is left free by whatever comes back or begins."""
CLAIM_S = 60.0
"""So long after it was allowed more, a load's whole allowance counts, not what it draws."""


class Currents(NamedTuple):
    """The current of each phase as far as the meter tells it, + = import [A]."""

    high: tuple[float, ...]
    """At most; a phase that nobody measures is taken to carry all that the others leave, or everything."""
    low: tuple[float, ...]
    """At least."""
    known: bool
    """Each phase was measured."""

    @property
    def spread_a(self) -> float:
        """How far the phases are apart; 0 where they are not measured."""
        return max(self.high) - min(self.high) if self.known else 0.0


def currents(house: House, measured: Measurements) -> Currents:
    """Return the bounds of each phase's current."""
    count = house.limits.phases
    told = measured.phase_a[:count] + (None,) * (count - len(measured.phase_a))
    whole_a = (measured.grid_w or 0.0) / PHASE_V
    rest_a = whole_a - sum(one for one in told if one is not None)
    most, least = max(whole_a, rest_a), min(whole_a, rest_a)
    high = tuple(most if one is None else one for one in told)
    low = tuple(least if one is None else one for one in told)
    return Currents(high, low, None not in told)


class Danger(NamedTuple):
    """Whether flexible loads have to give way now."""

    over: bool
    """A phase has been above the fuse, or the phases too far apart, for `SHED_AFTER_S`."""
    blind: bool
    """Nobody sees the fuse: the worst is assumed."""


def watch(house: House, state: State, measured: Measurements, amps: Currents, tick_s: float) -> tuple[Danger, State]:
    """Note since when a phase is too high, or has clear room, or cannot be seen."""
    if measured.grid_w is None:
        lost_s = tick_s if state.meter_lost_s is None else state.meter_lost_s
        state = msgspec.structs.replace(state, meter_lost_s=lost_s, over_since_s=None, roomy_since_s=None)
        return Danger(over=False, blind=tick_s - lost_s >= (METER_GRACE_S if state.seen else FIRST_READ_S)), state
    limits, highest_a = house.limits, max(amps.high)
    apart = limits.phase_imbalance_a is not None and amps.spread_a > limits.phase_imbalance_a
    over_s = since(state.over_since_s, tick_s, holds=highest_a > limits.main_fuse_a or apart)
    over = over_s is not None and tick_s - over_s >= SHED_AFTER_S
    roomy = highest_a < limits.main_fuse_a * (1 - FUSE_MARGIN) - SPARE_A
    roomy_s = since(state.roomy_since_s, tick_s, holds=roomy and not over)
    if over:
        over_s = tick_s  # look again only after the loads had time to follow
    if not state.seen or (over_s, roomy_s, None) != (state.over_since_s, state.roomy_since_s, state.meter_lost_s):
        state = msgspec.structs.replace(state, seen=True, over_since_s=over_s, roomy_since_s=roomy_s, meter_lost_s=None)
    return Danger(over, blind=False), state


def since(since_s: float | None, tick_s: float, *, holds: bool) -> float | None:
    """Return since when something holds, given what was noted the step before; None while it does not [s]."""
    if not holds:
        return None
    return tick_s if since_s is None else since_s


class Room:
    """What phases and a power budget still have free; loads take from it one after the other."""

    def __init__(
        self,
        amps: Sequence[float],
        most_a: float,
        *,
        skew_a: Sequence[float] | None = None,
        spread_a: float | None = None,
        budget_w: float | None = None,
    ) -> None:
        self.amps = list(amps)
        self.most_a, self.spread_a, self.budget_w = most_a, spread_a, budget_w
        # how far phases are apart: what was allowed may be drawn or not, and the worse of both counts
        self._low = list(amps if skew_a is None else skew_a)
        self._high = list(self._low)

    def copy(self) -> Room:
        """Return the same room, to be divided on trial."""
        twin = Room(self.amps, self.most_a, skew_a=self._low, spread_a=self.spread_a, budget_w=self.budget_w)
        twin._high = list(self._high)
        return twin

    def fits(self, lines: Sequence[int], by_a: float) -> bool:
        """Tell whether so much more on each of these lines breaks nothing that is not broken already."""
        if any(self.amps[line] + by_a > self.most_a for line in lines):
            return False
        if self.budget_w is not None and by_a * PHASE_V * len(lines) > self.budget_w:
            return False
        if self.spread_a is None:
            return True
        before_a = max(self._low) - min(self._low)
        high = [one + by_a if line in lines else one for line, one in enumerate(self._high)]
        low = [one + by_a if line in lines else one for line, one in enumerate(self._low)]
        return max(high) - min(low) <= max(self.spread_a, before_a)

    def take(self, lines: Sequence[int], by_a: float) -> None:
        """Count so much more (or less) on each of these lines."""
        for line in lines:
            self._low[line] += by_a
        self.claim(lines, by_a)
        if self.budget_w is not None:
            self.budget_w -= by_a * PHASE_V * len(lines)

    def claim(self, lines: Sequence[int], by_a: float) -> None:
        """Count what was allowed lately on each of these lines, and may be drawn or not."""
        for line in lines:
            self.amps[line] += by_a
            self._high[line] += by_a


def room(house: House, amps: Currents, *, spare_a: float = 0.0, claims_a: Sequence[float] = ()) -> Room:
    """Return what the phases have free below the fuse's margin, beside what others were allowed on each line [A]."""
    limits = house.limits
    skew = amps.high if amps.known else (0.0,) * limits.phases
    most_a = limits.main_fuse_a * (1 - FUSE_MARGIN) - spare_a
    free = Room(amps.high, most_a, skew_a=skew, spread_a=limits.phase_imbalance_a)
    for line, claim_a in enumerate(claims_a):
        free.claim((line,), claim_a)
    return free
