"""One step of the controller: pure, deterministic, and every limit beats every wish.

Owner, plan or fallback first; then each layer may only narrow what the one before left: device protection, grid
operator, electrical limits. A later one sees, and may overrule, what the earlier ones left.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hearth_agent.control.asked import NO_PLAN, NO_TIME, UNPLANNED, car_wish, heat_wish, protected
from hearth_agent.control.battery import expressible, follow
from hearth_agent.control.ev import steer_cars
from hearth_agent.control.grid import export_limit_w, import_budget_w, limit_roof
from hearth_agent.control.guards import (
    Look,
    guard_charge_band,
    guard_export,
    guard_fuse,
    guard_grid,
    guard_owner,
    own_mode,
)
from hearth_agent.control.heat import steer_heaters
from hearth_agent.control.house import House
from hearth_agent.control.orders import (
    Cause,
    Commands,
    GridCaps,
    Interval,
    Measurements,
    Outcome,
    Reason,
    State,
)
from hearth_agent.control.override import in_force
from hearth_agent.control.phases import PHASE_V, currents, watch
from hearth_agent.control.seen import believable
from hearth_agent.control.tally import car_currents, tally
from hearth_core.messages import Mode, Override, Plan

_BATTERY_NO_PLAN = Reason(Cause.FALLBACK, "covers the house itself: there is no valid plan")
_BATTERY_NO_TIME = Reason(Cause.CLOCK, "covers the house itself: the clock cannot be trusted yet")
_NO_LIMIT = GridCaps()
_GUARDS = (guard_owner, guard_charge_band, guard_grid, guard_export, guard_fuse)


def step(
    house: House,
    state: State,
    measured: Measurements,
    plan: Plan | None,
    at_s: float,
    tick_s: float,
    *,
    grid: GridCaps = _NO_LIMIT,
    overrides: Mapping[str, Override] | None = None,
    time_trusted: bool = True,
) -> Outcome:
    """Decide what the devices are told now.

    Args:
        house: Limits and the devices that may be steered.
        state: What the step before left.
        measured: The present; anything that no house can have counts as missing.
        plan: The plan to follow, None for every device's own mode.
        at_s: Wall clock, seconds since 1970-01-01 UTC: it only chooses slots and ends overrides.
        tick_s: Seconds of a clock that never goes back, for every interval of time.
        grid: What the grid operator allows.
        overrides: The owner's own wishes by device, already known to be his.
        time_trusted: Whether the wall clock is right; no plan is followed otherwise.

    Returns:
        Commands, the next state, and what is done and why, by device.
    """
    measured = believable(measured)
    plan = plan if time_trusted else None
    fallback = NO_TIME if not time_trusted else NO_PLAN if plan is None else UNPLANNED
    wishes, state = in_force(overrides or {}, state, at_s, tick_s, time_trusted=time_trusted)
    amps = currents(house, measured)
    danger, state = watch(house, state, measured, amps, tick_s)
    if not state.seen:  # nothing but own modes before the home was looked at once
        plan, wishes = None, {}
    before = tally(house, state, measured, tick_s)
    budget_w = import_budget_w(grid, measured, before.steered_w)

    asked = {one.id: car_wish(one, plan, wishes.get(one.id), at_s, fallback) for one in house.chargers}
    for_cars_w = None if budget_w is None else max(budget_w - before.heaters_w, 0.0)
    cars = steer_cars(house, state, measured, amps, danger, asked, before.claims_a, for_cars_w, tick_s)
    moved_a, promised_a = car_currents(house, state, cars.states, measured, tick_s)
    hot = {one.id: heat_wish(one, plan, wishes.get(one.id), at_s, fallback) for one in house.heaters}
    spared = protected(house, at_s, time_trusted=time_trusted)
    claims_a = [one + more for one, more in zip(before.claims_a, promised_a, strict=True)]
    heat = steer_heaters(house, state, measured, amps, danger, hot, spared, moved_a, claims_a, budget_w, tick_s)
    state = msgspec.structs.replace(state, cars=cars.states, heaters=heat.states)

    export_w = export_limit_w(house, grid)
    roof_w, state, why = limit_roof(house, state, measured, export_w, tick_s)
    causes = {**cars.causes, **heat.causes}
    if house.pv_rated_w is not None:
        causes[house.pv_id] = why
    allowed, mode = None, Mode.SELF_CONSUMPTION
    if house.battery is not None:
        after = tally(house, state, measured, tick_s)
        claims_a = [one + more for one, more in zip(after.claims_a, promised_a, strict=True)]
        rest_w = None if budget_w is None else budget_w - before.cars_w - before.heaters_w - sum(promised_a) * PHASE_V
        look = Look(house, house.battery, measured, amps, claims_a, before.all_cars_w, export_w, rest_w)
        own = _BATTERY_NO_PLAN if time_trusted else _BATTERY_NO_TIME
        override = wishes.get(house.battery_id)
        state = follow(house, house.battery, state, measured, plan, override, at_s, tick_s, own)
        allowed, state, why = _guarded(look, state, tick_s)
        causes[house.battery_id], mode = why, state.order_mode
    else:
        why = Reason(Cause.FALLBACK, "no battery is steered")
    commands = Commands(battery=allowed, cars=cars.commands, heaters=heat.commands, pv_limit_w=roof_w)
    return Outcome(commands=commands, state=state, mode=mode, reason=why.text, causes=causes)


def _guarded(look: Look, state: State, tick_s: float) -> tuple[Interval, State, Reason]:
    """Narrow the battery's order by every guard, the strongest last, to something its device can be told."""
    widest = own_mode(look.battery)
    allowed, reason = state.order or widest, state.order_reason
    for guard in _GUARDS:
        allowed, state, why = guard(look, state, allowed)
        reason = why or reason
    allowed, text = expressible(look.house, allowed, widest)
    if text:
        reason = Reason(Cause.DEVICE, text, reason.ref)
    if allowed == state.battery:
        return allowed, state, reason
    more = allowed.highest_w < 0 and (state.battery is None or allowed.highest_w < state.battery.highest_w)
    battery_s = tick_s if more else state.battery_s
    return allowed, msgspec.structs.replace(state, battery=allowed, battery_s=battery_s), reason
