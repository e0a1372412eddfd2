"""Cars: what they are wished, cut to what grid operator and main fuse leave, divided fairly, and never hurried.

Cars give way before heaters do. A car that was shed comes back slowly, and into clear room only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from hearth_agent.control import caps
from hearth_agent.control.cars import Car, allowance_a, car_of, in_turn, without
from hearth_agent.control.house import House
from hearth_agent.control.orders import CarCommand, CarState, Cause, Measurements, Reason, State
from hearth_agent.control.phases import SPARE_A, Currents, Danger, Room, room
from hearth_agent.control.sharing import share
from hearth_agent.control.switching import switch_phases

RESTORE_AFTER_S = 60.0
SHORTEST_S = 60.0
"""A car is left charging or paused at least so long, unless the fuse is in danger."""
RAISE_AFTER_S = 30.0
"""Shortest time from any change to one upwards."""


class CarWish(NamedTuple):
    """What plan or owner ask of a car; None leaves it to the charger."""

    current_a: float | None
    reason: Reason


class Limit(NamedTuple):
    """What one car gets in this step."""

    current_a: float
    reason: Reason
    forced: bool = False
    """The fuse demands it: no shortest time holds it up."""


class Steered(NamedTuple):
    """The result for all cars."""

    commands: dict[str, CarCommand]
    states: dict[str, CarState]
    causes: dict[str, Reason]


def steer_cars(
    house: House,
    state: State,
    measured: Measurements,
    amps: Currents,
    danger: Danger,
    wishes: Mapping[str, CarWish],
    claims_a: Sequence[float],
    budget_w: float | None,
    tick_s: float,
) -> Steered:
    """Decide what each controlled car may draw.

    Args:
        house: Chargers and limits.
        state: What the step before left.
        measured: What meter and cars tell.
        amps: The phases.
        danger: Whether something has to give way.
        wishes: By charger.
        claims_a: What others were allowed and do not draw yet, on each line [A].
        budget_w: What the grid operator leaves for cars; None is no limit [W].
        tick_s: Seconds of a clock that never goes back.
    """
    cars = [
        car_of(one, state.car(one.id), measured.car(one.id), *wishes[one.id], tick_s)
        for one in house.chargers
        if one.controlled
    ]
    cars = in_turn([_patient(car, tick_s) for car in cars], tick_s)
    capped = _capped(cars, budget_w, house.limits.phases)
    limits = {car.id: _held(car, capped[car.id]) for car in cars}
    free = _free(house, amps, cars, claims_a, tick_s)
    if danger.blind:
        unseen = Reason(Cause.METER, "paused: the grid meter is missing, so nobody sees the main fuse")
        limits = {car.id: Limit(0.0, unseen, forced=True) for car in cars}
    elif danger.over:
        limits |= _shed(house, amps, cars, limits)
    elif measured.grid_w is not None:
        limits |= _raised(state, cars, capped, free, tick_s)
        limits |= _made_room(house, amps, cars, capped, limits, tick_s)
    steered = Steered({}, {}, {})
    for car in cars:
        limit, changed = _in_time(car, limits[car.id], tick_s)
        fits = _fits_on(house, amps, claims_a, budget_w, car)
        limit_a, changed = switch_phases(car, limit.current_a, changed, fits, tick_s)
        own = limit_a >= car.charger.max_a and wishes[car.id].current_a is None
        changed = _remembered(car, changed, limit_a, tick_s, own=own)
        steered.states[car.id] = changed
        phases = changed.phases if changed.phases_s > -math.inf else None
        steered.commands[car.id] = CarCommand(current_a=None if own else limit_a, phases=phases)
        steered.causes[car.id] = limit.reason
    return steered


def _capped(cars: Sequence[Car], budget_w: float | None, lines: int) -> dict[str, Limit]:
    """Cut the targets to what the grid operator leaves; a car that does not charge is offered what the others leave."""
    if budget_w is None:
        return {car.id: Limit(car.target_a, car.reason) for car in cars}
    cap = Room((0.0,) * lines, math.inf, budget_w=budget_w)
    given = share(cap, [car.want(car.target_a) for car in cars if car.active])
    for car in cars:
        if not car.active:
            alone = Room((0.0,) * lines, math.inf, budget_w=cap.budget_w)
            given |= share(alone, [car.want(car.target_a)])
    reason = Reason(Cause.GRID, f"held back: the grid operator leaves {budget_w:.0f} W for cars")
    return {car.id: Limit(given[car.id], reason if given[car.id] < car.target_a else car.reason) for car in cars}


def _held(car: Car, capped: Limit) -> Limit:
    """Return what a car has if nothing more is decided: never more than before."""
    if capped.current_a <= car.limit_a:
        return capped
    if car.state.shed:
        return Limit(car.limit_a, Reason(Cause.FUSE, "comes back slowly after it gave way to the main fuse"))
    return Limit(car.limit_a, Reason(Cause.FUSE, "waits for room below the main fuse"))


def _free(house: House, amps: Currents, cars: Sequence[Car], claims_a: Sequence[float], tick_s: float) -> Room:
    """Return what the phases have free beyond all that was allowed lately."""
    free = room(house, amps, spare_a=SPARE_A, claims_a=claims_a)
    for car in cars:
        free.claim(car.lines, allowance_a(car, tick_s) - car.counted_a)
    return free


def _shed(house: House, amps: Currents, cars: Sequence[Car], now: Mapping[str, Limit]) -> dict[str, Limit]:
    """Divide what is left among those that charge; what they draw now counts, because their limits may be higher."""
    active = [car for car in cars if car.active]
    able = [car for car in active if not car.deaf]  # what does not listen is asked to stop, and takes no share
    given = dict.fromkeys((car.id for car in active), 0.0)
    given |= share(without(room(house, amps), able), [car.want(now[car.id].current_a) for car in able])
    reason = Reason(Cause.FUSE, "gives way: a phase is above the main fuse, or the phases are too far apart")
    # forced even where another layer lowers it as far: that one might have to wait for the shortest time
    return {car.id: Limit(given[car.id], reason, forced=True) for car in active if given[car.id] < car.limit_a}


def _raised(
    state: State, cars: Sequence[Car], capped: Mapping[str, Limit], free: Room, tick_s: float
) -> dict[str, Limit]:
    """Give more to those that are wished more, as far as every phase has room even when they take all of it."""
    roomy = state.roomy_since_s is not None and tick_s - state.roomy_since_s >= RESTORE_AFTER_S
    rising = [
        car
        for car in cars
        if capped[car.id].current_a > car.limit_a
        and not car.deaf
        and (roomy or not car.state.shed)
        and tick_s - car.state.changed_s >= RAISE_AFTER_S
    ]
    while rising:
        open_ = free.copy()
        for car in rising:
            open_.take(car.lines, -car.counted_a)
            open_.claim(car.lines, car.counted_a - allowance_a(car, tick_s))
        wants = [car.want(capped[car.id].current_a, least_a=max(car.charger.min_a, car.limit_a)) for car in rising]
        given = share(open_, wants)
        if all(given[car.id] > car.limit_a for car in rising):
            return {car.id: Limit(given[car.id], capped[car.id].reason) for car in rising}
        # who gains nothing keeps what it has, and the others share without that
        rising = [car for car in rising if given[car.id] > car.limit_a]
    return {}


def _made_room(
    house: House,
    amps: Currents,
    cars: Sequence[Car],
    capped: Mapping[str, Limit],
    now: Mapping[str, Limit],
    tick_s: float,
) -> dict[str, Limit]:
    """Lower those that have more than their share while another waits, so that it finds room in a later step."""
    active = [car for car in cars if car.active]
    if len(active) < 2 or any(tick_s - car.state.changed_s < RESTORE_AFTER_S for car in active):
        return {}
    fair = share(
        without(room(house, amps, spare_a=SPARE_A), active), [car.want(capped[car.id].current_a) for car in active]
    )
    if not any(fair[car.id] > now[car.id].current_a for car in active):
        return {}
    reason = Reason(Cause.FUSE, "shares the room below the main fuse with another car")
    return {car.id: Limit(fair[car.id], reason) for car in active if fair[car.id] < now[car.id].current_a}


def _patient(car: Car, tick_s: float) -> Car:
    """Cut a wish to what shortest times and daily budget allow, before the room is divided."""
    if (car.target_a >= car.charger.min_a) == (car.limit_a > 0):
        return car
    stays_a = min(car.charger.min_a, car.limit_a)
    if tick_s - car.state.switched_s < SHORTEST_S:
        return car._replace(target_a=stays_a, reason=Reason(Cause.DEVICE, "not switched again so soon"))
    gives_back = car.reason.cause in (Cause.FALLBACK, Cause.CLOCK)
    if not gives_back and not caps.has(car.state.switches, 1, caps.SWITCHES_PER_DAY, tick_s):
        return car._replace(target_a=stays_a, reason=Reason(Cause.DEVICE, "was switched too often today"))
    return car


def _in_time(car: Car, limit: Limit, tick_s: float) -> tuple[Limit, CarState]:
    """Keep the shortest time of charging against everything but the fuse."""
    wanted_a, state = limit.current_a, car.state
    if limit.forced and wanted_a < car.limit_a:
        state = msgspec.structs.replace(state, shed=True)
    if (wanted_a > 0) == (car.limit_a > 0):
        return limit, state
    if not limit.forced and tick_s - state.switched_s < SHORTEST_S:
        return Limit(car.charger.min_a, Reason(Cause.DEVICE, "not switched again so soon")), state
    spent = caps.spent(state.switches, 1, caps.SWITCHES_PER_DAY, tick_s)
    return limit, msgspec.structs.replace(state, switches=spent)


def _fits_on(
    house: House, amps: Currents, claims_a: Sequence[float], budget_w: float | None, car: Car
) -> tuple[bool, bool]:
    """Tell whether the car's least current fits on one phase, and on all of its phases."""
    free = without(room(house, amps, spare_a=SPARE_A, claims_a=claims_a), [car])
    free.budget_w = budget_w
    lines, min_a = car.charger.lines, car.charger.min_a
    return free.fits(lines[:1], min_a), free.fits(lines, min_a)


def _remembered(car: Car, state: CarState, limit_a: float, tick_s: float, *, own: bool) -> CarState:
    """Note what changed."""
    shed = state.shed
    if limit_a > car.limit_a or own:
        shed = False
    kept = None if own else limit_a
    if limit_a == car.limit_a and kept == state.limit_a:
        return state
    changes: dict[str, object] = {"limit_a": kept, "shed": shed}
    if limit_a != car.limit_a:
        changes["changed_s"] = tick_s
    if limit_a > car.limit_a:
        changes["raised_s"] = tick_s
    if (limit_a > 0) != (car.limit_a > 0):
        changes["switched_s"] = tick_s
    return msgspec.structs.replace(state, **changes)
