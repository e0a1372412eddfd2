"""What the battery is asked: by the owner, by the value function, or by nobody. The guards come after it."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from hearth_agent.control import caps
from hearth_agent.control.asked import slot_ref, slot_time_s
from hearth_agent.control.guards import own_mode
from hearth_agent.control.house import House
from hearth_agent.control.orders import Cause, Interval, Measurements, Reason, State
from hearth_agent.devices.profile import Case
from hearth_core.messages import Mode, Override, Plan
from hearth_models.battery import Battery
from hearth_models.planning.policy import decide, interval, slot_index

SHORTEST_ORDER_S = 60.0
"""An order stays at least so long, so that a value on the edge does not make it flap."""
_SAME_W = 25.0
_LONGEST_LAG_S = 60.0
_REST = Interval(0.0, 0.0)


class Order(NamedTuple):
    """What somebody asks of the battery."""

    mode: Mode
    allowed: Interval
    reason: Reason
    version: int = 0
    until_s: float = math.inf
    """End of the slot it belongs to, by the wall clock."""


def follow(
    house: House,
    battery: Battery,
    state: State,
    measured: Measurements,
    plan: Plan | None,
    override: Override | None,
    at_s: float,
    tick_s: float,
    fallback: Reason,
) -> State:
    """Take the order of owner or plan, unless the last one is too young to be left for another."""
    state = _cycled(battery, state, measured, house.limits.battery_cycles_per_day, tick_s)
    own = Order(Mode.SELF_CONSUMPTION, own_mode(battery), fallback)
    if measured.soc_percent is None or measured.grid_w is None:
        text = "covers the house itself: meter or state of charge is missing"
        return _taken(state, own._replace(reason=Reason(Cause.METER, text)), tick_s)
    asked = _overridden(battery, override) or _planned(house, battery, measured, plan, at_s) or own
    asked = _unless_the_same(state, measured, _possible(house, state, own, asked, tick_s))
    if asked.allowed == own.allowed or state.order is None:
        return _taken(state, asked, tick_s)
    owners = Cause.OVERRIDE in (asked.reason.cause, state.order_reason.cause)  # his wish begins and ends at once
    if owners or (asked.allowed, asked.mode) == (state.order, state.order_mode):
        return _taken(state, asked, tick_s)
    if tick_s - state.order_since_s >= SHORTEST_ORDER_S:
        return _taken(state, asked, tick_s)
    if at_s < state.order_until_s:
        return state
    # its slot is over: on to the same plan's next one, or else back to the own mode
    return _taken(state, asked if asked.version == state.order_version else own, tick_s)


def _unless_the_same(state: State, measured: Measurements, asked: Order) -> Order:
    """Keep the order in force where the plan's new one would let the battery do the same now.

    Around sunrise the surplus comes and goes, and with it the reason; a device need not be told each time.
    """
    order, net_w = state.order, _net_w(measured)
    planned = asked.reason.cause is state.order_reason.cause is Cause.PLAN
    if not planned or order is None or net_w is None or not (order.contains(_REST) and asked.allowed.contains(_REST)):
        return asked
    now_w, then_w = (min(max(net_w, one.lowest_w), one.highest_w) for one in (order, asked.allowed))
    if abs(now_w - then_w) > _SAME_W:
        return asked
    return asked._replace(allowed=order, mode=state.order_mode)


def _net_w(measured: Measurements) -> float | None:
    """Return what the home needs without its battery [W]."""
    return None if measured.battery_w is None or measured.grid_w is None else measured.grid_w + measured.battery_w


def _taken(state: State, order: Order, tick_s: float) -> State:
    """Note an order; a new one counts among the switches of the day."""
    fields = (order.allowed, order.mode, order.reason, order.version, order.until_s)
    if fields == (state.order, state.order_mode, state.order_reason, state.order_version, state.order_until_s):
        return state
    switches, since_s = state.switches, state.order_since_s
    if order.mode is not state.order_mode or state.order is None:
        switches = caps.spent(switches, 1, caps.SWITCHES_PER_DAY, tick_s)
    if (order.allowed, order.mode) != (state.order, state.order_mode):
        since_s = tick_s
    return msgspec.structs.replace(
        state,
        order=order.allowed,
        order_mode=order.mode,
        order_reason=order.reason,
        order_version=order.version,
        order_until_s=order.until_s,
        order_since_s=since_s,
        switches=switches,
    )


def _overridden(battery: Battery, override: Override | None) -> Order | None:
    if override is None or override.battery is None:
        return None
    low, high = interval(override.battery, override.power_w or battery.max_charge_w, battery)
    reason = Reason(Cause.OVERRIDE, f"the owner wants {override.battery}", f"override {override.version}")
    return Order(override.battery, Interval(low, high), reason)


def _planned(house: House, battery: Battery, measured: Measurements, plan: Plan | None, at_s: float) -> Order | None:
    """Return the plan's order for the instant; None where there is none."""
    if plan is None or slot_index(plan, at_s) is None:
        return None
    asked_s = slot_time_s(plan, at_s, house.battery_offset_s)
    decided, index = decide(plan, battery, asked_s, measured.soc_percent, _net_w(measured)), slot_index(plan, asked_s)
    if decided is None or index is None:
        return None
    low, high = decided.lowest_w, decided.highest_w
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return None
    widest = own_mode(battery)
    low = min(max(low, widest.lowest_w), widest.highest_w)
    high = min(max(high, widest.lowest_w), widest.highest_w)
    end_s = plan.slots[index].start_ms / 1000 + plan.step_s + house.battery_offset_s
    reason = Reason(Cause.PLAN, decided.reason, slot_ref(plan, index))
    return Order(decided.mode, Interval(low, high), reason, plan.version, min(end_s, plan.valid_until_ms / 1000))


def _possible(house: House, state: State, own: Order, asked: Order, tick_s: float) -> Order:
    """Leave the battery to itself where the device cannot be told this, or the day's budget is spent."""
    if asked.allowed == own.allowed:
        return asked
    if not _can_be_told(house, case_of(asked.allowed, own.allowed)):
        text = f"covers the house itself: the device cannot be told to {asked.mode}"
        return own._replace(reason=Reason(Cause.DEVICE, text, asked.reason.ref))
    forced = asked.allowed.lowest_w > 0 or asked.allowed.highest_w < 0
    if forced and state.cycles.left <= 0:
        return own._replace(reason=Reason(Cause.DEVICE, "covers the house itself: it was cycled enough today"))
    changes = asked.mode is not state.order_mode
    if changes and not caps.has(state.switches, 1, caps.SWITCHES_PER_DAY, tick_s):
        return own._replace(reason=Reason(Cause.DEVICE, "covers the house itself: it was switched too often today"))
    return asked


def case_of(allowed: Interval, widest: Interval) -> Case | None:
    """Return what kind of order an interval is; None for the device's own mode."""
    if allowed.contains(widest):
        return None
    if allowed.highest_w < 0:
        return Case.CHARGE
    if allowed.lowest_w > 0:
        return Case.DISCHARGE
    return Case.HOLD if allowed == _REST else Case.LIMIT


def _can_be_told(house: House, case: Case | None) -> bool:
    """Tell whether the device's profile can say this kind of order; rest is also a limit, of 0 W."""
    return case in house.cases or (case is Case.HOLD and Case.LIMIT in house.cases)


def expressible(house: House, allowed: Interval, widest: Interval) -> tuple[Interval, str]:
    """Return what the device can be told of an interval that the guards left, and why it is not the interval itself."""
    case = case_of(allowed, widest)
    if case is None or _can_be_told(house, case):
        return allowed, ""
    if allowed.contains(_REST) and Case.HOLD in house.cases:
        return _REST, "rests: the device cannot be told limits"
    return widest, "covers the house itself: the device cannot be told limits"


def _cycled(battery: Battery, state: State, measured: Measurements, per_day: float, tick_s: float) -> State:
    """Count the share of full cycles since the last step; an unknown power counts as the highest."""
    lag_s = 0.0 if state.stepped_s is None else min(max(tick_s - state.stepped_s, 0.0), _LONGEST_LAG_S)
    highest_w = max(battery.max_charge_w, battery.max_discharge_w)
    power_w = highest_w if measured.battery_w is None else min(abs(measured.battery_w), highest_w)
    cycles = power_w * lag_s / 3600 / (2 * battery.capacity_wh)
    return msgspec.structs.replace(state, cycles=caps.spent(state.cycles, cycles, per_day, tick_s), stepped_s=tick_s)
