"""Invariants of plans, clocks, owner and start (I-9, I-13, I-14, I-17, I-18, I-20, I-22)."""

from __future__ import annotations

import msgspec
from tests.invariants.moment import BreachError, Moment, Past

from hearth_agent.control.guards import own_mode
from hearth_agent.control.orders import Cause, Interval, Outcome, State
from hearth_core.messages import Mode, Plan
from hearth_models.planning.policy import interval

SETTLE_S = 130.0


def _is_default(now: Moment) -> bool:
    commands = now.outcome.commands
    forced = commands.battery is not None and not commands.battery.lowest_w <= 0 <= commands.battery.highest_w
    told = any(one.current_a is not None for one in commands.cars.values()) or any(
        one is not None for one in commands.heaters.values()
    )
    return not forced and not told


def i9_no_plan_means_fallback(now: Moment, past: Past, dt_s: float) -> bool:
    """Without a valid plan nothing follows one; no set-point outlives its slot by more than a cycle."""
    plan = now.plan
    for device, reason in now.outcome.causes.items():
        if reason.cause is not Cause.PLAN:
            continue
        if plan is None and device != now.house.battery_id:
            raise BreachError("I-9", f"{device} follows {reason.ref}, and no plan is valid")
        if plan is None or reason.ref.split()[1] != str(plan.version):
            # a young order of the plan before may end its slot, in the same minute
            if now.outcome.state.order_until_s + dt_s <= now.at_s:
                raise BreachError("I-9", f"{device} still follows {reason.ref}")
            if plan is None:
                raise BreachError("I-9", f"{device} follows {reason.ref}, and no plan is valid")
            continue
        slot = plan.slots[int(reason.ref.split()[3])]
        end_s = min(slot.start_ms / 1000 + plan.step_s + 600.0, plan.valid_until_ms / 1000)
        if now.house.limits.slot_spread_s <= 0:
            end_s = min(end_s, slot.start_ms / 1000 + plan.step_s)
        if now.at_s >= end_s + dt_s:
            raise BreachError("I-9", f"{device}'s order outlives {reason.ref} by {now.at_s - end_s:.0f} s")
    if plan is None and not now.overrides and now.battery is not None:
        if not now.battery.lowest_w <= 0 <= now.battery.highest_w:
            raise BreachError("I-9", f"{now.battery} is forced by nobody")
        return True
    return plan is None


def i13_clock(now: Moment, past: Past, elsewhere: Outcome | None) -> bool:
    """The wall clock chooses slots and nothing else; untrusted, no plan is followed."""
    if not now.time_trusted:
        for device, reason in now.outcome.causes.items():
            if reason.cause is Cause.PLAN:
                raise BreachError("I-13", f"{device} follows {reason.ref} by a clock nobody trusts")
    if elsewhere is not None:
        same = elsewhere.commands == now.outcome.commands
        if not same:
            raise BreachError("I-13", "another wall clock changed more than the slot")
    return not now.time_trusted or elsewhere is not None


def i14_owner_beats_hub(now: Moment, past: Past) -> bool:
    """While an override holds, no plan speaks for its device; once it is over it has no effect."""
    premise = False
    for device, override in now.overrides.items():
        reason = now.outcome.causes.get(device)
        if reason is None:
            continue
        asks = override.battery is not None if device == now.house.battery_id else True
        first_s = now.outcome.state.overrides.get(device, (0, now.tick_s))[1]
        lasts = now.tick_s - first_s < (override.until_ms - override.issued_ms) / 1000
        lasts = lasts and (not now.time_trusted or now.at_s * 1000 < override.until_ms)
        spoken = _speaks(now, device)
        if lasts and asks and spoken and reason.cause is Cause.PLAN and now.outcome.state.seen:
            raise BreachError("I-14", f"{device} follows {reason.ref} against the owner")
        if not lasts and reason.cause is Cause.OVERRIDE:
            raise BreachError("I-14", f"{device} follows an override that is over")
        premise = premise or (lasts and asks and spoken) or not lasts
    return premise


def _speaks(now: Moment, device: str) -> bool:
    """Whether the override says something this device understands."""
    override = now.overrides[device]
    if device == now.house.battery_id:
        return override.battery is not None
    for heater in now.house.heaters:
        if heater.id == device:
            return override.heat_mode is not None
    return override.current_a is not None


def i17_first_look(now: Moment, past: Past) -> bool:
    """Before the grid meter was read once, every device keeps its own mode (for a minute, then the fuse is unseen)."""
    if past.seen or now.believed.grid_w is not None or now.tick_s - past.begun_s >= 60.0:
        return False
    if past.capped_s is None and not _is_default(now):  # the grid operator is above that
        raise BreachError("I-17", f"{now.outcome.commands} before anything was measured")
    return True


def i18_slot_edges(now: Moment, past: Past) -> bool:
    """Devices change their slot late by their own share of the spread, never early."""
    plan = now.plan if now.time_trusted else None
    if plan is None or now.house.limits.slot_spread_s <= 0:
        return False
    offsets = {one.id: one.offset_s for one in now.house.chargers}
    offsets |= {one.id: one.offset_s for one in now.house.heaters}
    premise = False
    for device, reason in now.outcome.causes.items():
        if reason.cause is not Cause.PLAN or device == now.house.battery_id:
            continue
        words = reason.ref.split()
        shifted_s = max(now.at_s - offsets.get(device, 0.0), plan.valid_from_ms / 1000)
        index = int((shifted_s * 1000 - plan.slots[0].start_ms) // (plan.step_s * 1000))
        if words[1] == str(plan.version) and int(words[3]) != index:
            raise BreachError("I-18", f"{device} is in slot {words[3]}, its own time says {index}")
        premise = True
    return premise


def i20_causes(now: Moment, past: Past, again: Outcome | None) -> bool:
    """The same inputs give the same outputs, and each command has a cause with a text, and a reference where due."""
    if again is not None and msgspec.msgpack.encode(again) != msgspec.msgpack.encode(now.outcome):
        raise BreachError("I-20", "the same inputs gave another outcome")
    commands, house = now.outcome.commands, now.house
    told = {**commands.cars, **commands.heaters}
    if commands.battery is not None:
        told[house.battery_id] = commands.battery  # type: ignore[assignment]
    if commands.pv_limit_w is not None:
        told[house.pv_id] = commands.pv_limit_w
    for device in told:
        reason = now.outcome.causes.get(device)
        if reason is None or not reason.text:
            raise BreachError("I-20", f"{device} is commanded without a cause")
        if reason.cause in (Cause.PLAN, Cause.OVERRIDE) and not reason.ref:
            raise BreachError("I-20", f"{device} follows a {reason.cause} that is not named")
    return again is not None


def _does(now: Moment, wanted: Interval) -> bool:
    """Whether the battery may do what is wanted, or what comes to the same while the home needs what it needs now."""
    does, grid_w, battery_w = now.battery, now.believed.grid_w, now.believed.battery_w
    if does == wanted:
        return True
    if does is None or grid_w is None or battery_w is None or not does.lowest_w <= 0 <= does.highest_w:
        return False
    net_w = grid_w + battery_w
    does_w, asked_w = (min(max(net_w, one.lowest_w), one.highest_w) for one in (does, wanted))
    return abs(does_w - asked_w) <= 25.0


def i22_followed(now: Moment, past: Past) -> bool:
    """With everything in order the plan is really followed."""
    if past.nominal_s is None or now.tick_s - past.nominal_s < SETTLE_S or now.plan is None:
        return False
    wanted = expected(now.plan, now, now.outcome.state)
    if wanted is not None and now.house.battery is not None and not _does(now, wanted):
        raise BreachError("I-22", f"the battery does {now.battery}, planned is {wanted}: {now.outcome.reason}")
    for car in now.house.chargers:
        asked_a = _planned_current(now, car.id)
        if car.controlled and asked_a is not None and now.car_limit_a(car) != asked_a:
            reason = now.cause(car.id)
            if reason.cause is not Cause.DEVICE:
                raise BreachError("I-22", f"{car.id} has {now.car_limit_a(car)} A, planned is {asked_a}: {reason}")
    return True


def expected(plan: Plan, now: Moment, state: State) -> Interval | None:
    """The interval a plan of modes asks for now; None where the value function decides or an order is young."""
    battery = now.house.battery
    if battery is None or plan.policy != "modes" or now.tick_s - state.order_since_s < 60.0:
        return None
    shifted_s = max(now.at_s - now.house.battery_offset_s, plan.valid_from_ms / 1000)
    index = int((shifted_s * 1000 - plan.slots[0].start_ms) // (plan.step_s * 1000))
    slot = plan.slots[index]
    if slot.mode is Mode.SELF_CONSUMPTION:
        return own_mode(battery)
    return Interval(*interval(slot.mode, slot.power_w, battery))


def _planned_current(now: Moment, car: str) -> float | None:
    plan = now.plan
    assert plan is not None
    charger = next(one for one in now.house.chargers if one.id == car)
    index = int(
        (max(now.at_s - charger.offset_s, plan.valid_from_ms / 1000) * 1000 - plan.slots[0].start_ms)
        // (plan.step_s * 1000)
    )
    for load in plan.loads:
        if load.device == car and index < len(load.slots):
            amps = load.slots[index].current_a
            if amps is None or amps < 0:
                return None
            whole = float(int(min(amps, charger.max_a)))
            return whole if whole >= charger.min_a else 0.0
    return None
