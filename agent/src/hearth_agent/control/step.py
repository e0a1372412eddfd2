"""One step of the controller: pure, deterministic, and every limit beats every wish.

Plan or self-consumption first; then each guard may only narrow what the battery may do. The order of the guards is
the order of their power: a later one sees, and may overrule, what the earlier ones left.
"""

from __future__ import annotations

import math

import msgspec

from hearth_agent.control.ev import limit_ev
from hearth_agent.control.guards import guard_charge_band, guard_export, guard_fuse, own_mode
from hearth_agent.control.orders import Commands, House, Interval, Measurements, Outcome, State
from hearth_core.messages import Mode, Plan
from hearth_models.battery import Battery
from hearth_models.planning.policy import Order, decide

# A plan's order stays at least so long, so that a value on the edge does not make it flap.
SHORTEST_ORDER_S = 60.0
MOST = 1e6
"""A measurement beyond this (W or A) is no measurement; NaN is not within it either."""
_NO_PLAN = "covers the house itself: there is no valid plan"
_WAITING = "covers the house itself: meter or state of charge is missing"


def step(house: House, state: State, measured: Measurements, plan: Plan | None, at_s: float, tick_s: float) -> Outcome:
    """Decide what the devices are told now.

    Args:
        house: Limits and battery.
        state: What the step before left.
        measured: The present; anything that no house can have counts as missing.
        plan: The plan to follow, None for self-consumption.
        at_s: Wall clock, seconds since 1970-01-01 UTC: it only chooses the slot.
        tick_s: Seconds of a clock that never goes back, for every interval of time.

    Returns:
        Commands, the next state, and what is done and why in plain words.
    """
    measured = _finite(measured)
    ev_a, state = limit_ev(house, state, measured, tick_s)
    if house.battery is None:
        return Outcome(
            commands=Commands(ev_a=ev_a), state=state, mode=Mode.SELF_CONSUMPTION, reason="there is no battery"
        )
    state = _follow(house.battery, state, measured, plan, at_s, tick_s)
    allowed, reason = state.order or own_mode(house.battery), state.order_reason
    mode = state.order_mode
    for guard in (guard_charge_band, guard_export, guard_fuse):
        allowed, state, why = guard(house, state, measured, allowed)
        reason = why or reason
    return Outcome(commands=Commands(battery=allowed, ev_a=ev_a), state=state, mode=mode, reason=reason)


def _follow(
    battery: Battery, state: State, measured: Measurements, plan: Plan | None, at_s: float, tick_s: float
) -> State:
    """Take the plan's order, unless the last one is too young to be left for another."""
    planned = _planned(battery, measured, plan, at_s)
    wanted = planned or _own(battery, measured)
    order = Interval(wanted.lowest_w, wanted.highest_w)
    if order == state.order and wanted.mode is state.order_mode:
        if wanted.reason == state.order_reason:
            return state
        return msgspec.structs.replace(state, order_reason=wanted.reason)
    # back to the device's own mode at once; from one order to another not too often
    if planned is not None and state.order is not None and tick_s - state.order_since_s < SHORTEST_ORDER_S:
        return state
    return msgspec.structs.replace(
        state, order=order, order_mode=wanted.mode, order_reason=wanted.reason, order_since_s=tick_s
    )


def _planned(battery: Battery, measured: Measurements, plan: Plan | None, at_s: float) -> Order | None:
    """Return the plan's order for the instant; None where there is none, or the meter that guards it is missing."""
    if plan is None or measured.soc_percent is None or measured.grid_w is None:
        return None
    net_w = None if measured.battery_w is None else measured.grid_w + measured.battery_w
    decided = decide(plan, battery, at_s, measured.soc_percent, net_w)
    if decided is None:
        return None
    low, high = decided.lowest_w, decided.highest_w
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return None
    widest = own_mode(battery)
    low = min(max(low, widest.lowest_w), widest.highest_w)
    high = min(max(high, widest.lowest_w), widest.highest_w)
    return Order(decided.mode, low, high, decided.reason)


def _own(battery: Battery, measured: Measurements) -> Order:
    widest = own_mode(battery)
    missing = measured.soc_percent is None or measured.grid_w is None
    return Order(Mode.SELF_CONSUMPTION, widest.lowest_w, widest.highest_w, _WAITING if missing else _NO_PLAN)


def _finite(measured: Measurements) -> Measurements:
    """Replace everything that is no number a house can have by missing."""

    def clean(value: float | None) -> float | None:
        return value if value is not None and abs(value) <= MOST else None

    soc = clean(measured.soc_percent)
    return Measurements(
        grid_w=clean(measured.grid_w),
        phase_a=tuple(clean(one) for one in measured.phase_a),
        battery_w=clean(measured.battery_w),
        soc_percent=soc if soc is not None and 0 <= soc <= 100 else None,
        ev_a=clean(measured.ev_a),
    )
