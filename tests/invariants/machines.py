"""Invariants that protect devices and their owner: chargers, heaters, budgets, switches (I-6, I-7, I-15, I-21)."""

from __future__ import annotations

from datetime import datetime

from tests.invariants.moment import VOLT, BreachError, Moment, Past, rank

from hearth_agent.control.house import Heater
from hearth_agent.control.orders import Cause
from hearth_agent.devices.profile import Case

_DAY_S = 86_400.0
SWITCHES_PER_DAY = 200
_ELECTRICAL = (Cause.FUSE, Cause.METER)
_ABOVE_HEAT = (Cause.FUSE, Cause.GRID)


def i6_cars(now: Moment, past: Past) -> bool:
    """A car is on or off for a minute at least, and its phases change at 0 A only, a minute apart."""
    premise = False
    for car in now.house.chargers:
        if not car.controlled:
            continue
        before, limit_a = past.cars[car.id], now.car_limit_a(car)
        command, cause = now.outcome.commands.cars[car.id], now.cause(car.id).cause
        if (limit_a > 0) != (before.limit_a > 0):
            premise = True
            if now.tick_s - before.switched_s < 60.0 and not (limit_a <= 0 and cause in _ELECTRICAL):
                raise BreachError("I-6", f"{car.id} switched after {now.tick_s - before.switched_s:.0f} s: {cause}")
        phases = command.phases or before.phases
        if phases != before.phases:
            premise = True
            drawn_a = now.drawn_a(car)
            if before.limit_a > 0 or limit_a > 0 or drawn_a is None or drawn_a > 0.5:
                raise BreachError("I-6", f"{car.id}'s phases change at {drawn_a} A, limit {before.limit_a} A")
            if now.tick_s - before.phase_s < 60.0:
                raise BreachError("I-6", f"{car.id}'s phases change twice in a minute")
            if not car.switchable:
                raise BreachError("I-6", f"{car.id} has no phases to switch")
        if limit_a > before.limit_a and now.tick_s - before.changed_s < 30.0:
            raise BreachError("I-15", f"{car.id} was raised {now.tick_s - before.changed_s:.0f} s after a change")
    return premise


def i7_heaters(now: Moment, past: Past) -> bool:
    """Dwell, starts an hour, longest block, comfort floor and legionella window hold."""
    premise = False
    for heater in now.house.heaters:
        before, order = past.heaters[heater.id], now.outcome.commands.heaters[heater.id]
        cause = now.cause(heater.id).cause
        blocked = rank(order) == 0
        held_back = rank(order) < 1
        if order != before.command and not heater.has_power:
            premise = True
            if now.tick_s - before.changed_s < heater.dwell_s and cause not in (*_ELECTRICAL, Cause.GRID):
                raise BreachError(
                    "I-7", f"{heater.id} left a mode after {now.tick_s - before.changed_s:.0f} s: {cause}"
                )
            if rank(order) > rank(before.command):
                lately = [one for one in before.starts_s if now.tick_s - one < 3600]
                if len(lately) >= heater.starts_per_hour:
                    raise BreachError("I-7", f"{heater.id} was started {len(lately) + 1} times in an hour")
        if blocked and not heater.has_power and before.blocked_s is not None:
            waits = past.meter_lost_s is not None and now.tick_s - past.meter_lost_s < 10.0
            over = now.tick_s - before.blocked_s > heater.longest_block_s + 61.0 and not waits
            premise = premise or over
            if over and cause not in _ABOVE_HEAT:
                raise BreachError("I-7", f"{heater.id} blocked for {now.tick_s - before.blocked_s:.0f} s: {cause}")
        if held_back and order != before.command and cause not in _ABOVE_HEAT:
            reading = now.believed.heaters.get(heater.id)
            warm_c = reading.temperature_c if reading is not None else None
            if heater.floor_c is not None and (warm_c is None or warm_c < heater.floor_c):
                raise BreachError("I-7", f"{heater.id} held back at {warm_c} degC: {cause}")
            if heater.legionella and (not now.time_trusted or _legionella(now, heater)):
                raise BreachError("I-7", f"{heater.id} held back in its legionella window: {cause}")
            premise = True
    return premise


def _legionella(now: Moment, heater: Heater) -> bool:
    if not 0 <= now.at_s < 3e10:
        return True
    local = datetime.fromtimestamp(now.at_s, now.house.timezone)
    return any(
        begin <= local.hour * 60 + local.minute < end for window in heater.legionella for begin, end in window.spans_min
    )


def i15_daily_budgets(now: Moment, past: Past) -> bool:
    """Mode switches of battery and cars, and forced cycles of the battery, stay within a day's budget."""
    facts, battery = now.house.battery, now.battery
    lately = [one for one in past.mode_switches_s if now.tick_s - one < _DAY_S]
    if len(lately) > SWITCHES_PER_DAY + 4:  # a way back to the own mode is never refused, and counts
        raise BreachError("I-15", f"{len(lately)} changes of the battery's mode in a day")
    if facts is None or battery is None:
        return False
    forced_wh = sum(energy for at_s, energy in past.forced_wh if now.tick_s - at_s < _DAY_S)
    cap_wh = now.house.limits.battery_cycles_per_day * 2 * facts.capacity_wh
    if forced_wh > cap_wh * 1.01 + 100.0:
        raise BreachError("I-15", f"{forced_wh:.0f} Wh were forced through the battery in a day, {cap_wh:.0f} allowed")
    return forced_wh > 0.5 * cap_wh or len(lately) > SWITCHES_PER_DAY / 2


def i21_owners_switches(now: Moment, past: Past) -> bool:
    """The battery charges no car, and the grid no battery, unless the owner allows it."""
    battery, limits, premise = now.battery, now.house.limits, False
    if battery is None:
        return False
    if not limits.grid_may_charge_battery:
        premise = now.plan is not None or bool(now.overrides)
        if battery.highest_w < 0:
            raise BreachError("I-21", f"{battery} charges from the grid")
    if limits.battery_may_charge_car or not now.house.cases & {Case.LIMIT, Case.HOLD}:
        return premise
    cars_w = 0.0
    for car in now.house.chargers:
        reading = now.believed.cars.get(car.id)
        drawn_a = now.drawn_a(car)
        if drawn_a is not None and reading is not None:
            cars_w += sum(max(one or 0.0, 0.0) for one in reading.line_a) * VOLT
        else:  # it may draw all it was allowed
            cars_w += past.cars[car.id].limit_a * VOLT
    if cars_w <= 0:
        return premise
    house_w = 0.0
    if now.believed.grid_w is not None and now.believed.battery_w is not None:
        house_w = max(now.believed.grid_w + now.believed.battery_w - cars_w, 0.0)
    if battery.highest_w > house_w + 1.0:
        raise BreachError("I-21", f"{battery} could feed a car: the house itself takes {house_w:.0f} W")
    return True
