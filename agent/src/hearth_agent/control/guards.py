"""The limits of the home, each as one guard that narrows what the battery may do.

A guard takes the interval the earlier ones left and returns the one it allows, the next state, and a reason when it
changed something. When its limit and the interval have nothing in common, the limit wins.
"""

from __future__ import annotations

import math

import msgspec

from hearth_agent.control.orders import House, Interval, Measurements, State
from hearth_models.battery import Battery

FUSE_MARGIN = 0.05
"""Share of the main fuse that is left free."""
PHASE_V = 230.0
SOC_HYSTERESIS_PERCENT = 2.0
# Limits that depend on the load move in steps, towards safety, so that orders do not follow every kettle.
_STEP_W = 250.0

Guarded = tuple[Interval, State, str]


def own_mode(battery: Battery) -> Interval:
    """Return the widest interval: the device keeps its own self-consumption mode."""
    return Interval(-battery.max_charge_w, battery.max_discharge_w)


def guard_charge_band(house: House, state: State, measured: Measurements, allowed: Interval) -> Guarded:
    """Keep the state of charge in its band, with hysteresis at both ends."""
    battery, soc = house.battery, measured.soc_percent
    if battery is None or soc is None:
        return allowed, state, ""
    gap = SOC_HYSTERESIS_PERCENT
    full = soc >= battery.max_soc_percent or (state.full and soc > battery.max_soc_percent - gap)
    empty = soc <= battery.min_soc_percent or (state.empty and soc < battery.min_soc_percent + gap)
    if (full, empty) != (state.full, state.empty):
        state = msgspec.structs.replace(state, full=full, empty=empty)
    low, high = allowed.lowest_w, allowed.highest_w
    if full:
        low, high = max(low, 0.0), max(high, 0.0)
    if empty:
        low, high = min(low, 0.0), min(high, 0.0)
    return Interval(low, high), state, ""


def guard_fuse(house: House, state: State, measured: Measurements, allowed: Interval) -> Guarded:
    """Keep every phase within the main fuse: neither charging nor feeding in may load it above its margin."""
    battery = house.battery
    if battery is None or measured.grid_w is None:
        return allowed, state, ""
    most_a = house.limits.main_fuse_a * (1 - FUSE_MARGIN)
    phases = phase_currents(house, measured)
    # an unknown battery is taken to be at the limit that makes the present load least trustworthy
    import_room_w = (most_a - max(phases)) * house.limits.phases * PHASE_V
    export_room_w = (most_a + min(phases)) * house.limits.phases * PHASE_V
    known_w = measured.battery_w
    bottom_w = (battery.max_discharge_w if known_w is None else known_w) - import_room_w
    top_w = (-battery.max_charge_w if known_w is None else known_w) + export_room_w
    bottom_w = min(math.ceil(bottom_w / _STEP_W) * _STEP_W, 0.0)
    top_w = max(math.floor(top_w / _STEP_W) * _STEP_W, 0.0)
    narrowed = Interval(_clip(allowed.lowest_w, bottom_w, top_w), _clip(allowed.highest_w, bottom_w, top_w))
    return narrowed, state, "" if narrowed == allowed else "held back: a phase is close to the main fuse"


def guard_export(house: House, state: State, measured: Measurements, allowed: Interval) -> Guarded:
    """Keep feed-in below the export limit: sell less from the battery, and take the surplus while it is above."""
    battery, most_w = house.battery, house.limits.export_limit_w
    if battery is None or most_w is None or measured.grid_w is None:
        return allowed, state, ""
    battery_w = measured.battery_w
    # what would be fed in with the battery at rest; an unknown battery is taken to be charging at full power
    surplus_w = -measured.grid_w - (-battery.max_charge_w if battery_w is None else battery_w)
    absorbing = -measured.grid_w > most_w or (state.absorbing and surplus_w > 0.9 * most_w)
    if absorbing != state.absorbing:
        state = msgspec.structs.replace(state, absorbing=absorbing)
    low, high = allowed.lowest_w, allowed.highest_w
    top_w = max(math.floor((most_w - surplus_w) / _STEP_W) * _STEP_W, 0.0)
    if low > top_w:  # only a forced export feeds in from the battery; the other modes never do
        low = top_w
    if absorbing and not state.full:
        low = min(low, -battery.max_charge_w)
    narrowed = Interval(low, max(low, high))
    return narrowed, state, "" if narrowed == allowed else "held back: feed-in is at its limit"


def phase_currents(house: House, measured: Measurements) -> tuple[float, ...]:
    """Return the current of each phase, + = import [A]; a missing one is taken to carry the whole grid power."""
    whole_a = (measured.grid_w or 0.0) / PHASE_V
    known = measured.phase_a[: house.limits.phases]
    padded = known + (None,) * (house.limits.phases - len(known))
    return tuple(whole_a if one is None else one for one in padded)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
