"""Invariants of fuse, phases, meter and grid operator (I-1 to I-5, I-12)."""

from __future__ import annotations

import math

from tests.invariants.moment import MARGIN, VOLT, BreachError, Moment, Past, lines_of, most_w, rank

from hearth_agent.control.battery import case_of
from hearth_agent.control.guards import own_mode
from hearth_agent.devices.profile import Case
from hearth_core.messages import HeatMode

_TOLERANCE_A = 0.01
_CLAIM_S = 60.0


def i1_finite_and_within_limits(now: Moment, past: Past) -> bool:
    """Every set-point is finite and inside the limits of house and device; only steered devices are told anything."""
    commands, house = now.outcome.commands, now.house
    battery = commands.battery
    if battery is not None:
        if house.battery is None:
            raise BreachError("I-1", "a battery that is not there is commanded")
        low, high = battery.lowest_w, battery.highest_w
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise BreachError("I-1", f"interval {battery}")
        if low < -house.battery.max_charge_w or high > house.battery.max_discharge_w:
            raise BreachError("I-1", f"{battery} is beyond the battery's powers")
        case = case_of(battery, own_mode(house.battery))
        known = case is None or case in house.cases or (case is Case.HOLD and Case.LIMIT in house.cases)
        if not known:
            raise BreachError("I-1", f"the device cannot be told {case}")
    steered = {one.id: one for one in house.chargers if one.controlled}
    if set(commands.cars) != set(steered) or set(commands.heaters) != {one.id for one in house.heaters}:
        raise BreachError("I-1", "a device that is not steered is commanded")
    for id_, command in commands.cars.items():
        amps, car = command.current_a, steered[id_]
        if amps is not None and not (amps == 0 or car.min_a <= amps <= car.max_a):
            raise BreachError("I-1", f"{id_} {amps} A")
        if command.phases not in (None, 1, 3):
            raise BreachError("I-1", f"{id_} on {command.phases} phases")
    for heater in house.heaters:
        order = commands.heaters[heater.id]
        right = order is None or isinstance(order, float if heater.has_power else HeatMode)
        if not right or (isinstance(order, float) and not 0 <= order <= heater.rated_w):
            raise BreachError("I-1", f"{heater.id} {order}")
    roof_w = commands.pv_limit_w
    if roof_w is not None and not 0 <= roof_w <= (house.pv_rated_w or -1.0):
        raise BreachError("I-1", f"the roof is limited to {roof_w} W")
    return battery is not None or bool(commands.cars) or bool(commands.heaters)


def i2_fuse(now: Moment, past: Past) -> bool:
    """No command raises a line above the fuse's margin; what is above the fuse is shed within 10 s."""
    return _no_raise_above(now, past) | _shed_in_time(now, past)


def _more_a(now: Moment, past: Past) -> tuple[list[float], set[int]]:
    """What each line may carry beyond the meter's value through this step's and recent raises, and which are new."""
    lines, fresh = [0.0] * now.house.limits.phases, set()
    for car in now.house.chargers:
        if not car.controlled:
            continue
        before, limit_a, drawn_a = past.cars[car.id], now.car_limit_a(car), now.drawn_a(car) or 0.0
        raised = limit_a > before.limit_a
        if raised or now.tick_s - before.raised_s < _CLAIM_S:
            told = now.believed.cars[car.id].line_a if car.id in now.believed.cars else ()
            for line in lines_of(car, before.phases, told):
                lines[line] += max(limit_a - drawn_a, 0.0)
                fresh |= {line} if raised else set()
    for heater in now.house.heaters:
        before_heat, order = past.heaters[heater.id], now.outcome.commands.heaters[heater.id]
        raised = rank(order) > rank(before_heat.command)
        if raised or now.tick_s - before_heat.raised_s < _CLAIM_S:
            reading = now.believed.heaters.get(heater.id)
            drawn_w = reading.power_w if reading is not None else None
            counted_w = most_w(heater.rated_w, before_heat.command) if drawn_w is None else drawn_w
            more_w = max(most_w(heater.rated_w, order) - counted_w, 0.0)
            for line in heater.lines:
                lines[line] += more_w / VOLT / len(heater.lines)
                fresh |= {line} if raised and more_w > 0 else set()
    battery, charged = now.battery, past.battery
    if battery is not None and battery.highest_w < 0 and now.house.battery is not None:
        deeper = charged is None or battery.highest_w < charged.highest_w
        if deeper or now.tick_s - past.battery_s < _CLAIM_S:
            known_w = now.believed.battery_w
            at_w = now.house.battery.max_discharge_w if known_w is None else known_w
            more_w = max(at_w - battery.highest_w, 0.0)
            for line in range(len(lines)):
                lines[line] += more_w / VOLT / len(lines)
                fresh |= {line} if deeper and more_w > 0 else set()
    return lines, fresh


def _no_raise_above(now: Moment, past: Past) -> bool:
    more, fresh = _more_a(now, past)
    if not fresh or now.believed.grid_w is None:
        return False
    most_a = now.house.limits.main_fuse_a * (1 - MARGIN)
    for line in fresh:
        predicted_a = now.high_a()[line] + more[line]
        if more[line] > 0 and predicted_a > most_a + _TOLERANCE_A:
            raise BreachError("I-2", f"line {line} was raised to {predicted_a:.2f} A of {most_a:.2f} A")
    return True


def _shed_in_time(now: Moment, past: Past) -> bool:
    fuse_a, premise = now.house.limits.main_fuse_a, False
    for line, since_s in past.over_s.items():
        premise = premise or now.tick_s - since_s >= 10.0
        relief_a, left = 0.0, ""
        for car in now.house.chargers:
            told = now.believed.cars[car.id].line_a if car.id in now.believed.cars else ()
            if not car.controlled or line not in lines_of(car, past.cars[car.id].phases, told):
                continue
            limit_a, drawn_a = now.car_limit_a(car), now.drawn_a(car)
            if drawn_a is not None and drawn_a <= 1.0:
                continue
            relief_a += max((drawn_a or 0.0) - limit_a, 0.0)
            left = left or (car.id if limit_a > 0 else "")
        for heater in now.house.heaters:
            reading = now.believed.heaters.get(heater.id)
            drawn_w = (reading.power_w if reading else None) or 0.0
            allowed_w = most_w(heater.rated_w, now.outcome.commands.heaters[heater.id])
            if line in heater.lines and drawn_w > 0:
                relief_a += max(drawn_w - allowed_w, 0.0) / VOLT / len(heater.lines)
                left = left or (heater.id if allowed_w > 0 else "")
        if now.battery is not None and (now.believed.battery_w or 0.0) < 0:
            spared_w = max(now.battery.lowest_w - (now.believed.battery_w or 0.0), 0.0)
            relief_a += spared_w / VOLT / now.house.limits.phases
            can_rest = now.house.cases & {Case.LIMIT, Case.HOLD}  # or else nobody can stop it
            left = left or ("battery" if now.battery.lowest_w < 0 and can_rest else "")
        if not left or now.high_a()[line] - relief_a <= fuse_a:
            past.unshed_s.pop(line, None)
        elif now.tick_s - past.unshed_s.setdefault(line, now.tick_s) >= 10.0:
            raise BreachError("I-2", f"line {line} above the fuse for {now.tick_s - since_s:.0f} s, {left} goes on")
    for line in set(past.unshed_s) - set(past.over_s):
        del past.unshed_s[line]
    return premise


def i3_imbalance(now: Moment, past: Past) -> bool:
    """No car is raised to push the phases apart beyond the limit; one that does is shed within 10 s."""
    limit_a = now.house.limits.phase_imbalance_a
    if limit_a is None or not now.phases_known or now.believed.grid_w is None:
        return False
    more, fresh = _more_a(now, past)
    high = now.high_a()
    spread_a = max(high) - min(high)
    raised_cars = any(now.car_limit_a(one) > past.cars[one.id].limit_a for one in now.house.chargers if one.controlled)
    if raised_cars:
        cars_a = _car_raises(now, past)
        after = [one + by_a for one, by_a in zip(high, cars_a, strict=True)]
        if max(after) - min(after) > max(limit_a, spread_a, _spread_before(high, more, cars_a)) + _TOLERANCE_A:
            raise BreachError("I-3", f"phases {max(after) - min(after):.1f} A apart after a raise")
    if past.apart_s is None:
        past.unlevel_s = None
    if past.apart_s is None or now.tick_s - past.apart_s < 10.0:
        return bool(fresh) and raised_cars
    without, after = list(high), list(high)
    for car in now.house.chargers:
        told = now.believed.cars[car.id].line_a if car.id in now.believed.cars else ()
        drawn_a, before = now.drawn_a(car), past.cars[car.id]
        late = now.tick_s - before.changed_s >= 20.0
        deaf = drawn_a is not None and late and drawn_a > max(before.limit_a, 1.0) + 2.0
        if car.controlled and drawn_a is not None and not deaf:
            for line in lines_of(car, past.cars[car.id].phases, told):
                without[line] -= drawn_a
                after[line] -= max(drawn_a - now.car_limit_a(car), 0.0)
    unavoidable_a = max(max(without) - min(without), limit_a)
    if max(after) - min(after) <= unavoidable_a + 1.0:
        past.unlevel_s = None
    else:
        past.unlevel_s = now.tick_s if past.unlevel_s is None else past.unlevel_s
        if now.tick_s - past.unlevel_s >= 10.0:
            raise BreachError(
                "I-3", f"phases {max(after) - min(after):.1f} A apart, {unavoidable_a:.1f} A without cars"
            )
    return True


def _car_raises(now: Moment, past: Past) -> list[float]:
    lines = [0.0] * now.house.limits.phases
    for car in now.house.chargers:
        if car.controlled and now.car_limit_a(car) > past.cars[car.id].limit_a:
            told = now.believed.cars[car.id].line_a if car.id in now.believed.cars else ()
            for line in lines_of(car, past.cars[car.id].phases, told):
                lines[line] += max(now.car_limit_a(car) - (now.drawn_a(car) or 0.0), 0.0)
    return lines


def _spread_before(high: list[float], more: list[float], cars_a: list[float]) -> float:
    """How far apart the phases would be with what was allowed before this step."""
    before = [one + all_a - car_a for one, all_a, car_a in zip(high, more, cars_a, strict=True)]
    return max(before) - min(before)


def i4_charge_band(now: Moment, past: Past) -> bool:
    """No charge above the band, no discharge below it, nothing forced while the charge is unknown."""
    battery, facts, soc = now.battery, now.house.battery, now.believed.soc_percent
    if battery is None or facts is None:
        return False
    if soc is None:
        if not battery.lowest_w <= 0 <= battery.highest_w:
            raise BreachError("I-4", f"{battery} is forced with an unknown charge")
        return True
    if not now.house.cases & {Case.LIMIT, Case.HOLD}:
        # the device can be told nothing but a direction: at an edge it is left to itself
        if (past.full and battery.highest_w < 0) or (past.empty and battery.lowest_w > 0):
            raise BreachError("I-4", f"{battery} at {soc} %")
        return past.full or past.empty
    if past.full and battery.lowest_w < 0:
        raise BreachError("I-4", f"charges at {soc} %: {battery}")
    if past.empty and battery.highest_w > 0:
        raise BreachError("I-4", f"discharges at {soc} %: {battery}")
    return past.full or past.empty


def i5_grid_operator(now: Moment, past: Past) -> bool:
    """Feed-in and the steered devices' import stay within what site and grid operator allow."""
    return _export_holds(now, past) | _import_holds(now, past)


def _export_holds(now: Moment, past: Past) -> bool:
    caps = [one for one in (now.house.limits.export_limit_w, now.grid.export_w) if one is not None]
    grid_w, battery = now.believed.grid_w, now.battery
    if not caps or grid_w is None:
        return False
    cap_w, premise = min(caps), False
    if battery is not None and now.house.battery is not None and battery.lowest_w > 0:
        known_w = now.believed.battery_w
        at_w = -now.house.battery.max_charge_w if known_w is None else known_w
        if -grid_w - at_w + battery.lowest_w > cap_w + 1.0:
            raise BreachError("I-5", f"{battery} feeds in more than {cap_w} W")
        premise = True
    if past.exporting_s is not None and now.tick_s - past.exporting_s >= 6.0 and now.house.pv_rated_w is not None:
        pv_w, roof_w = now.believed.pv_w, now.outcome.commands.pv_limit_w
        most_w_ = cap_w if pv_w is None else max(pv_w + grid_w + cap_w, 0.0)
        if roof_w is None and most_w_ < now.house.pv_rated_w:
            raise BreachError("I-5", "the roof goes on feeding in above the limit")
        if roof_w is not None and roof_w > max(most_w_, 0.0) + 1.0:
            raise BreachError("I-5", f"the roof may give {roof_w} W, {most_w_:.0f} W would keep the limit")
        premise = True
    return premise


def _import_holds(now: Moment, past: Past) -> bool:
    cap_w = now.grid.import_w
    if cap_w is None or past.capped_s is None or now.tick_s - past.capped_s < 75.0:
        return False
    drawn_w = after_w = 0.0
    for car in now.house.chargers:
        if not car.controlled:
            continue
        reading = now.believed.cars.get(car.id)
        told = reading.line_a if reading is not None else ()
        lines, limit_a = lines_of(car, past.cars[car.id].phases, told), now.car_limit_a(car)
        drawn_a, before = now.drawn_a(car), past.cars[car.id]
        # it is left charging for its shortest time, at the least it can use
        young = now.tick_s - before.switched_s < 60.0 or before.limit_a <= 0 < limit_a
        if drawn_a is None:
            drawn_w += before.limit_a * len(lines) * VOLT
        else:
            drawn_w += sum(max(one or 0.0, 0.0) for one in told) * VOLT
        after_w += 0.0 if young else min(limit_a if drawn_a is None else drawn_a, limit_a) * len(lines) * VOLT
    for heater in now.house.heaters:
        heat, order = now.believed.heaters.get(heater.id), now.outcome.commands.heaters[heater.id]
        told_w = heat.power_w if heat is not None else None
        counted_w = most_w(heater.rated_w, past.heaters[heater.id].command) if told_w is None else told_w
        drawn_w += counted_w
        after_w += min(counted_w, most_w(heater.rated_w, order))
    if now.battery is not None:
        after_w += max(0.0, -now.battery.highest_w)
    charging_w = max(0.0, -(now.believed.battery_w or 0.0))
    own_w = 0.0 if now.believed.grid_w is None else max(0.0, drawn_w + charging_w - now.believed.grid_w)
    if after_w > cap_w + own_w + 1.0:
        raise BreachError("I-5", f"steered devices may take {after_w:.0f} W of {cap_w:.0f} + {own_w:.0f} W")
    return True


def i12_missing_is_the_worst(now: Moment, past: Past) -> bool:
    """Without the grid meter cars pause, nothing is forced and no heater is driven."""
    if past.meter_lost_s is None or now.believed.grid_w is not None:
        return False
    if now.battery is not None and not now.battery.lowest_w <= 0 <= now.battery.highest_w:
        raise BreachError("I-12", f"{now.battery} is forced without a meter")
    if now.tick_s - past.meter_lost_s < (10.0 if past.seen else 60.0):
        return False
    for car in now.house.chargers:
        if car.controlled and now.car_limit_a(car) > 0:
            raise BreachError("I-12", f"{car.id} charges though nobody sees the fuse")
    for heater in now.house.heaters:
        if rank(now.outcome.commands.heaters[heater.id]) > 1:
            raise BreachError("I-12", f"{heater.id} is driven though nobody sees the fuse")
    return True
