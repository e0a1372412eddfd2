"""The limits of the home, each as one guard that narrows what the battery may do.

A guard takes the interval the earlier ones left and returns the one it allows, the next state, and a reason when it
changed something. When its limit and the interval have nothing in common, the limit wins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from hearth_agent.control.house import House
from hearth_agent.control.orders import Cause, Interval, Measurements, Reason, State
from hearth_agent.control.phases import FUSE_MARGIN, PHASE_V, Currents
from hearth_models.battery import Battery

SOC_HYSTERESIS_PERCENT = 2.0
STEP_W = 250.0
"""Limits that depend on the load move in such steps, towards safety, so that orders do not follow every kettle."""

Guarded = tuple[Interval, State, Reason | None]


class Look(NamedTuple):
    """What the guards look at."""

    house: House
    battery: Battery
    measured: Measurements
    amps: Currents
    claims_a: Sequence[float]
    """What loads were allowed and do not draw yet, on each line [A]."""
    cars_w: float
    """What all cars draw; one that does not tell draws all it may [W]."""
    export_w: float | None
    """The most that may be fed in [W]."""
    budget_w: float | None
    """What the grid operator leaves for charging [W]."""


def own_mode(battery: Battery) -> Interval:
    """Return the widest interval: the device keeps its own self-consumption mode."""
    return Interval(-battery.max_charge_w, battery.max_discharge_w)


def guard_owner(look: Look, state: State, allowed: Interval) -> Guarded:
    """Keep what the owner does not want: the grid charging the battery, or the battery charging a car."""
    limits, measured = look.house.limits, look.measured
    low, high, text = allowed.lowest_w, allowed.highest_w, ""
    if not limits.grid_may_charge_battery and high < 0:
        high, text = 0.0, "the owner lets no grid power into the battery"
    if not limits.battery_may_charge_car and look.cars_w > 0 and high > 0:
        house_w = 0.0
        if measured.grid_w is not None and measured.battery_w is not None:
            house_w = max(measured.grid_w + measured.battery_w - look.cars_w, 0.0)
        most_w = math.floor(house_w / STEP_W) * STEP_W
        if high > most_w:
            high, text = most_w, "the owner lets no car draw from the battery"
    if not text:
        return allowed, state, None
    return Interval(min(low, high), high), state, Reason(Cause.OWNER, text)


def guard_charge_band(look: Look, state: State, allowed: Interval) -> Guarded:
    """Keep the state of charge in its band, with hysteresis at both ends."""
    battery, soc = look.battery, look.measured.soc_percent
    if soc is None:
        return allowed, state, None
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
    narrowed = Interval(low, high)
    if narrowed == allowed:
        return allowed, state, None
    return narrowed, state, Reason(Cause.DEVICE, f"the battery is {'full' if full else 'empty'}")


def guard_grid(look: Look, state: State, allowed: Interval) -> Guarded:
    """Keep charging within what the grid operator leaves."""
    if look.budget_w is None:
        return allowed, state, None
    most_w = _grid_charge_w(look.budget_w, look.battery)
    low = max(allowed.lowest_w, -most_w)
    if low == allowed.lowest_w:
        return allowed, state, None
    reason = Reason(Cause.GRID, f"held back: the grid operator leaves {most_w:.0f} W for charging")
    return Interval(low, max(low, allowed.highest_w)), state, reason


def guard_export(look: Look, state: State, allowed: Interval) -> Guarded:
    """Keep feed-in below the export limit: sell less from the battery, and take the surplus while it is above."""
    most_w, measured, battery = look.export_w, look.measured, look.battery
    if most_w is None or measured.grid_w is None:
        return allowed, state, None
    battery_w = measured.battery_w
    # what would be fed in with the battery at rest; an unknown battery is taken to be charging at full power
    surplus_w = -measured.grid_w - (-battery.max_charge_w if battery_w is None else battery_w)
    absorbing = -measured.grid_w > most_w or (state.absorbing and surplus_w > 0.9 * most_w)
    if absorbing != state.absorbing:
        state = msgspec.structs.replace(state, absorbing=absorbing)
    low, high = allowed.lowest_w, allowed.highest_w
    top_w = max(math.floor((most_w - surplus_w) / STEP_W) * STEP_W, 0.0)
    low = min(low, top_w)  # only a forced export feeds in from the battery; the other modes never do
    if absorbing and not state.full:
        low = min(low, -battery.max_charge_w if look.budget_w is None else -_grid_charge_w(look.budget_w, battery))
    narrowed = Interval(low, max(low, high))
    if narrowed == allowed:
        return allowed, state, None
    return narrowed, state, Reason(Cause.GRID, "held back: feed-in is at its limit")


def guard_fuse(look: Look, state: State, allowed: Interval) -> Guarded:
    """Keep every phase within the main fuse: neither charging nor feeding in may load it above its margin."""
    measured, battery, limits = look.measured, look.battery, look.house.limits
    if measured.grid_w is None:
        return allowed, state, None
    most_a = limits.main_fuse_a * (1 - FUSE_MARGIN)
    highest_a = max(one + claim for one, claim in zip(look.amps.high, look.claims_a, strict=True))
    # an unknown battery is taken to be at the limit that makes the present load least trustworthy
    import_room_w = (most_a - highest_a) * limits.phases * PHASE_V
    export_room_w = (most_a + min(look.amps.low)) * limits.phases * PHASE_V
    known_w = measured.battery_w
    bottom_w = (battery.max_discharge_w if known_w is None else known_w) - import_room_w
    top_w = (-battery.max_charge_w if known_w is None else known_w) + export_room_w
    bottom_w = min(math.ceil(bottom_w / STEP_W) * STEP_W, 0.0)
    top_w = max(math.floor(top_w / STEP_W) * STEP_W, 0.0)
    narrowed = Interval(_clip(allowed.lowest_w, bottom_w, top_w), _clip(allowed.highest_w, bottom_w, top_w))
    if narrowed == allowed:
        return allowed, state, None
    return narrowed, state, Reason(Cause.FUSE, "held back: a phase is close to the main fuse")


def _grid_charge_w(budget_w: float, battery: Battery) -> float:
    """Return the charging power that a budget allows, in steps [W]."""
    return min(math.floor(max(budget_w, 0.0) / STEP_W) * STEP_W, battery.max_charge_w)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
