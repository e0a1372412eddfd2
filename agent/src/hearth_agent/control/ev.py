"""The car gives way first: its current is shed when a phase is above the fuse, and comes back slowly."""

from __future__ import annotations

import math

import msgspec

from hearth_agent.control.guards import FUSE_MARGIN, phase_currents
from hearth_agent.control.orders import House, Measurements, State

SHED_AFTER_S = 5.0
RESTORE_AFTER_S = 60.0
SHORTEST_S = 60.0
"""A car is left charging or paused at least so long, unless the fuse is in danger."""
METER_GRACE_S = 60.0
"""How long a missing grid meter is borne."""
_ROOM_A = 2.0


def limit_ev(house: House, state: State, measured: Measurements, tick_s: float) -> tuple[float | None, State]:
    """Return the car's current limit: None (its own), 0, or the charger's minimum up to its maximum [A]."""
    if house.ev_max_a is None:
        return None, state
    if measured.grid_w is None:
        return _without_meter(house, state, tick_s)
    fuse_a, highest_a = house.limits.main_fuse_a, max(phase_currents(house, measured))
    state = _watch(state, highest_a, fuse_a, tick_s)
    if state.over_since_s is not None and tick_s - state.over_since_s >= SHED_AFTER_S:
        return _shed(house, state, measured, highest_a, tick_s)
    if state.ev_a is not None and state.roomy_since_s is not None and tick_s - state.roomy_since_s >= RESTORE_AFTER_S:
        return _restore(house, state, measured, highest_a, tick_s)
    return state.ev_a, state


def _without_meter(house: House, state: State, tick_s: float) -> tuple[float | None, State]:
    """Nobody sees the fuse: after a while the car gets the least it can charge with, and never more than it had."""
    lost_s = tick_s if state.meter_lost_s is None else state.meter_lost_s
    state = msgspec.structs.replace(state, meter_lost_s=lost_s, over_since_s=None, roomy_since_s=None)
    if tick_s - lost_s < METER_GRACE_S:
        return state.ev_a, state
    return _set(state, house.ev_min_a if state.ev_a is None else min(state.ev_a, house.ev_min_a), tick_s)


def _watch(state: State, highest_a: float, fuse_a: float, tick_s: float) -> State:
    over_since_s = (state.over_since_s if state.over_since_s is not None else tick_s) if highest_a > fuse_a else None
    roomy = highest_a < fuse_a * (1 - FUSE_MARGIN) - _ROOM_A
    roomy_since_s = (state.roomy_since_s if state.roomy_since_s is not None else tick_s) if roomy else None
    if (over_since_s, roomy_since_s, None) == (state.over_since_s, state.roomy_since_s, state.meter_lost_s):
        return state
    return msgspec.structs.replace(state, over_since_s=over_since_s, roomy_since_s=roomy_since_s, meter_lost_s=None)


def _shed(
    house: House, state: State, measured: Measurements, highest_a: float, tick_s: float
) -> tuple[float | None, State]:
    """Lower the car by what is too much; what it draws now counts, because its limit may be higher."""
    most_a = house.ev_max_a or 0.0
    drawn_a = min(measured.ev_a if measured.ev_a is not None else most_a, most_a if state.ev_a is None else state.ev_a)
    excess_a = highest_a - house.limits.main_fuse_a * (1 - FUSE_MARGIN)
    wanted_a = math.floor(drawn_a - excess_a)
    allowed_a = float(wanted_a) if wanted_a >= house.ev_min_a else 0.0
    # look again only after the car had time to follow
    return _set(msgspec.structs.replace(state, over_since_s=tick_s, roomy_since_s=None), allowed_a, tick_s)


def _restore(
    house: House, state: State, measured: Measurements, highest_a: float, tick_s: float
) -> tuple[float | None, State]:
    """Give back what is free, counted from what the car really draws, so that the fuse holds when it takes it."""
    if state.ev_a is None or house.ev_max_a is None or tick_s - state.ev_changed_s < SHORTEST_S:
        return state.ev_a, state
    room_a = house.limits.main_fuse_a * (1 - FUSE_MARGIN) - highest_a - _ROOM_A
    drawn_a = min(state.ev_a, measured.ev_a or 0.0)
    wanted_a = min(house.ev_max_a, float(math.floor(drawn_a + room_a)))
    if wanted_a <= state.ev_a or wanted_a < house.ev_min_a:
        return state.ev_a, state
    state = msgspec.structs.replace(state, roomy_since_s=None)
    if wanted_a >= house.ev_max_a:
        return None, msgspec.structs.replace(state, ev_a=None, ev_changed_s=tick_s)
    return _set(state, wanted_a, tick_s)


def _set(state: State, ev_a: float, tick_s: float) -> tuple[float | None, State]:
    if ev_a == state.ev_a:
        return ev_a, state
    return ev_a, msgspec.structs.replace(state, ev_a=ev_a, ev_changed_s=tick_s)
