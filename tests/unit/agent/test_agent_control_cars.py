"""Cars: shed, restored, shared, capped, switched between phases, and never hurried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from hearth_agent.control import caps
from hearth_agent.control.cars import Car, allowance_a, car_of, drawn, in_turn, lines_of, without
from hearth_agent.control.ev import CarWish, Steered, steer_cars
from hearth_agent.control.house import Charger, House
from hearth_agent.control.orders import CarCommand, CarReading, CarState, Cause, Measurements, Reason, State
from hearth_agent.control.phases import Currents, Danger, Room
from hearth_agent.control.switching import switch_phases
from hearth_core.site import Limits

ANNA, BERTA = Charger(id="anna"), Charger(id="berta")
CALM = Danger(over=False, blind=False)
OVER = Danger(over=True, blind=False)
BLIND = Danger(over=False, blind=True)
PLAN = Reason(Cause.PLAN, "as planned", "plan 1 slot 0")
OWN = Reason(Cause.FALLBACK, "as set")
NOW_S = 10_000.0
OLD = {"changed_s": 0.0, "switched_s": 0.0, "raised_s": 0.0}
EMPTY_BUCKET = caps.Bucket(0.0, NOW_S)


def charging(*amps: float, wanting: bool | None = True) -> CarReading:
    return CarReading(line_a=amps, wanting=wanting)


def steer(
    cars: Mapping[str, tuple[CarState, CarReading, float | None]],
    high: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    danger: Danger = CALM,
    fuse_a: float = 40.0,
    claims_a: Sequence[float] = (0.0, 0.0, 0.0),
    budget_w: float | None = None,
    roomy_since_s: float | None = 0.0,
    chargers: tuple[Charger, ...] = (ANNA, BERTA),
    reason: Reason = PLAN,
    grid_w: float | None = 0.0,
    **limits: Any,
) -> Steered:
    """Steer these cars once; the phases carry ``high``, cars included."""
    present = tuple(one for one in chargers if one.id in cars)
    house = House(limits=Limits(main_fuse_a=fuse_a, **limits), chargers=present)
    state = State(cars={id_: one[0] for id_, one in cars.items()}, roomy_since_s=roomy_since_s)
    measured = Measurements(grid_w=grid_w, cars={id_: one[1] for id_, one in cars.items()})
    wishes = {id_: CarWish(one[2], OWN if one[2] is None else reason) for id_, one in cars.items()}
    amps = Currents(high, high, known=True)
    return steer_cars(house, state, measured, amps, danger, wishes, claims_a, budget_w, NOW_S)


def limits_of(steered: Steered) -> dict[str, float | None]:
    return {id_: command.current_a for id_, command in steered.commands.items()}


def at(limit_a: float | None, **more: Any) -> CarState:
    return CarState(**{**OLD, "limit_a": limit_a, **more})


# --- what one car is


def test_a_cars_draw_is_its_highest_phase_and_unknown_without_the_first() -> None:
    assert drawn(charging(6.0, 7.0, 5.0)) == 7.0
    assert drawn(charging(-1.0)) == 0.0
    assert drawn(CarReading()) is None
    assert drawn(CarReading(line_a=(None, 7.0))) is None
    assert drawn(CarReading(line_a=(6.0, None))) == 6.0


def test_a_car_loads_the_lines_it_is_wired_to() -> None:
    rotated = Charger(id="anna", lines=(1, 2, 0))
    assert lines_of(rotated, CarState(), charging(6.0, 6.0, 6.0)) == (1, 2, 0)
    assert lines_of(rotated, CarState(), charging(6.0, 0.0, 1.0)) == (1,)
    assert lines_of(rotated, CarState(), charging(6.0, 0.0, 1.1)) == (1, 2, 0)
    assert lines_of(rotated, CarState(), charging(1.0, 0.0, 0.0)) == (1, 2, 0)
    assert lines_of(rotated, CarState(), CarReading(line_a=(6.0, None, 0.0))) == (1, 2, 0)
    assert lines_of(rotated, CarState(), CarReading(line_a=(None, 0.0, 0.0))) == (1, 2, 0)
    assert lines_of(rotated, CarState(phases=1), charging(6.0, 6.0, 6.0)) == (1,)
    assert lines_of(Charger(id="anna", lines=(2,)), CarState(), charging(6.0)) == (2,)


def car(state: CarState, reading: CarReading, wish_a: float | None = 16.0, charger: Charger = ANNA) -> Car:
    return car_of(charger, state, reading, wish_a, PLAN, NOW_S)


@pytest.mark.parametrize(
    ("state", "reading", "active"),
    [
        (at(16.0), charging(0.0, wanting=True), True),
        (at(16.0), charging(9.0, wanting=False), False),
        (at(16.0), charging(1.0, wanting=None), False),
        (at(16.0), charging(1.1, wanting=None), True),
        (at(16.0), CarReading(), True),
        (at(0.0), charging(0.0, wanting=None), True),
        (at(16.0, raised_s=NOW_S - 59.9), charging(0.0, wanting=None), True),
        (at(16.0, raised_s=NOW_S - 60.0), charging(0.0, wanting=None), False),
    ],
)
def test_which_cars_take_part(state: CarState, reading: CarReading, active: bool) -> None:
    assert car(state, reading).active is active


def test_limits_and_wishes_of_one_car() -> None:
    assert car(at(None), charging(0.0)).limit_a == 16.0
    assert car(at(32.0), charging(0.0)).limit_a == 16.0
    assert car(at(9.0), charging(0.0)).limit_a == 9.0
    assert car(at(9.0), charging(0.0), None).target_a == 16.0
    assert car(at(9.0), charging(0.0), 7.0).target_a == 7.0
    assert car(at(9.0), charging(0.0)).want(12.0) == ("anna", (0, 1, 2), 6.0, 12.0)
    assert car(at(9.0), charging(0.0)).want(12.0, least_a=9.0).min_a == 9.0


def test_a_car_that_does_not_listen_cannot_be_moved() -> None:
    assert car(at(6.0), charging(8.1)).deaf
    assert not car(at(6.0), charging(8.0)).deaf
    assert car(at(0.0), charging(3.1)).deaf
    assert not car(at(0.0), charging(3.0)).deaf
    assert not car(at(6.0, changed_s=NOW_S - 19.9), charging(16.0)).deaf
    assert car(at(6.0, changed_s=NOW_S - 20.0), charging(16.0)).deaf
    assert car(at(6.0), charging(16.0)).counted_a == 0.0
    assert car(at(16.0), charging(9.0)).counted_a == 9.0
    assert car(at(16.0), CarReading()).counted_a == 0.0


def test_a_car_that_does_not_listen_is_allowed_no_more() -> None:
    assert limits_of(steer({"anna": (at(6.0), charging(16.0), 16.0)})) == {"anna": 6.0}
    # nor does what it draws make room for another
    cars = {"anna": (at(6.0), charging(16.0), 6.0), "berta": (at(16.0), charging(16.0), 16.0)}
    assert limits_of(steer(cars, (44.0, 40.0, 40.0), danger=OVER)) == {"anna": 0.0, "berta": 10.0}


def test_a_raise_counts_whole_for_a_minute() -> None:
    assert allowance_a(car(at(16.0, raised_s=NOW_S - 59.9), charging(9.0)), NOW_S) == 16.0
    assert allowance_a(car(at(16.0, raised_s=NOW_S - 60.0), charging(9.0)), NOW_S) == 9.0
    assert allowance_a(car(at(6.0, raised_s=NOW_S, changed_s=NOW_S), charging(9.0)), NOW_S) == 9.0


def test_turns_last_an_hour() -> None:
    def named(id_: str, state: CarState) -> Car:
        return car(state, charging(0.0), charger=Charger(id=id_))

    fresh = named("a", at(16.0, switched_s=NOW_S - 3599.0))
    tired = named("b", at(16.0, switched_s=NOW_S - 3600.0))
    waiting, longer = named("c", at(0.0, switched_s=50.0)), named("d", at(0.0, switched_s=40.0))
    assert [one.id for one in in_turn([tired, waiting, longer, fresh], NOW_S)] == ["a", "d", "c", "b"]
    twins = [named("b", at(0.0)), named("a", at(0.0))]
    assert [one.id for one in in_turn(twins, NOW_S)] == ["a", "b"]


def test_a_room_without_cars_has_what_they_draw() -> None:
    free = without(Room((20.0, 20.0, 20.0), 30.0), [car(at(16.0), charging(9.0)), car(at(6.0), charging(16.0))])
    assert free.amps == [11.0, 11.0, 11.0]


# --- what cars get


def test_an_unlimited_car_is_left_to_itself() -> None:
    steered = steer({"anna": (CarState(), charging(16.0), None)}, (17.0, 17.0, 17.0))
    assert steered.commands == {"anna": CarCommand()}
    assert steered.states == {"anna": CarState()}
    assert steered.causes == {"anna": OWN}


def test_a_plan_lowers_at_once_and_raises_into_room_only() -> None:
    lowered = steer({"anna": (at(16.0), charging(16.0), 9.0)}, (17.0, 17.0, 17.0))
    assert limits_of(lowered) == {"anna": 9.0}
    assert lowered.causes["anna"] == PLAN
    assert lowered.states["anna"].changed_s == NOW_S
    assert lowered.states["anna"].switched_s == 0.0
    # 38 A less 2 A are usable; 20 A others + 9 A: 25 A could be had, 16 are asked
    raised = steer({"anna": (at(9.0), charging(9.0), 16.0)}, (29.0, 29.0, 29.0))
    assert limits_of(raised) == {"anna": 16.0}
    assert raised.states["anna"].raised_s == NOW_S
    tight = steer({"anna": (at(9.0), charging(9.0), 16.0)}, (33.0, 20.0, 20.0))
    assert limits_of(tight) == {"anna": 12.0}
    none = steer({"anna": (at(9.0), charging(9.0), 16.0)}, (35.5, 20.0, 20.0))
    assert limits_of(none) == {"anna": 9.0}
    assert none.causes["anna"].cause is Cause.FUSE
    assert "waits for room" in none.causes["anna"].text
    assert limits_of(
        steer({"anna": (at(9.0), charging(9.0), 16.0)}, (33.0, 20.0, 20.0), claims_a=(0.0, 15.0, 0.0))
    ) == {"anna": 10.0}


def test_nothing_is_raised_soon_after_a_change_nor_unseen() -> None:
    young = at(9.0, changed_s=NOW_S - 29.9)
    assert limits_of(steer({"anna": (young, charging(9.0), 16.0)})) == {"anna": 9.0}
    assert limits_of(steer({"anna": (at(9.0, changed_s=NOW_S - 30.0), charging(9.0), 16.0)})) == {"anna": 16.0}
    assert limits_of(steer({"anna": (at(9.0), charging(9.0), 16.0)}, grid_w=None)) == {"anna": 9.0}
    assert limits_of(steer({"anna": (at(9.0), charging(9.0), 16.0)}, grid_w=None, danger=BLIND)) == {"anna": 0.0}


def test_a_car_that_was_shed_waits_for_a_minute_of_clear_room() -> None:
    shed = at(9.0, shed=True)
    for since_s in (None, NOW_S - 59.9):
        held = steer({"anna": (shed, charging(9.0), None)}, roomy_since_s=since_s)
        assert limits_of(held) == {"anna": 9.0}
        assert "comes back slowly" in held.causes["anna"].text
    back = steer({"anna": (shed, charging(9.0), None)}, (9.0, 9.0, 9.0), roomy_since_s=NOW_S - 60.0)
    assert limits_of(back) == {"anna": None}
    assert back.states["anna"].shed is False
    assert back.states["anna"].limit_a is None
    lowered = steer({"anna": (shed, charging(9.0), 6.0)}, roomy_since_s=None)
    assert lowered.states["anna"].shed is True


def test_over_the_fuse_cars_give_way_by_what_is_too_much() -> None:
    """38 A may flow, 44 A do: of 16 A 10 A are left."""
    shed = steer({"anna": (CarState(), charging(16.0), None)}, (44.0, 20.0, 20.0), danger=OVER)
    assert limits_of(shed) == {"anna": 10.0}
    assert (shed.states["anna"].shed, shed.causes["anna"].cause) == (True, Cause.FUSE)
    paused = steer({"anna": (CarState(), charging(16.0), None)}, (50.0, 20.0, 20.0), danger=OVER)
    assert limits_of(paused) == {"anna": 0.0}
    assert paused.states["anna"].switched_s == NOW_S
    assert paused.states["anna"].switches.left < 0.5
    # even a car that has just begun
    young = at(16.0, switched_s=NOW_S - 1, changed_s=NOW_S - 1, raised_s=NOW_S - 1)
    assert limits_of(steer({"anna": (young, charging(16.0), 16.0)}, (50.0, 20.0, 20.0), danger=OVER)) == {"anna": 0.0}


def test_two_cars_give_way_alike() -> None:
    both = {"anna": (CarState(), charging(16.0), None), "berta": (CarState(), charging(16.0), None)}
    assert limits_of(steer(both, (46.0, 20.0, 20.0), danger=OVER)) == {"anna": 12.0, "berta": 12.0}
    # one that is not there keeps its limit and takes no share
    away = {"anna": (CarState(), charging(16.0), None), "berta": (CarState(), charging(0.0, wanting=False), None)}
    assert limits_of(steer(away, (46.0, 20.0, 20.0), danger=OVER)) == {"anna": 8.0, "berta": None}


def test_the_fuse_forces_what_another_layer_only_asks() -> None:
    """The grid operator leaves nothing, but a car that has just begun would be left charging; not over the fuse."""
    young = at(16.0, switched_s=NOW_S - 1, changed_s=NOW_S - 1, raised_s=NOW_S - 1)
    capped = steer({"anna": (young, charging(16.0), 16.0)}, budget_w=0.0)
    assert limits_of(capped) == {"anna": 6.0}
    assert capped.causes["anna"].cause is Cause.DEVICE
    over = steer({"anna": (young, charging(16.0), 16.0)}, (44.0, 0.0, 0.0), budget_w=0.0, danger=OVER)
    assert limits_of(over) == {"anna": 0.0}


def test_the_grid_operators_budget_is_shared() -> None:
    both = {"anna": (CarState(), charging(16.0), None), "berta": (CarState(), charging(16.0), None)}
    capped = steer(both, budget_w=9_700.0)
    assert limits_of(capped) == {"anna": 7.0, "berta": 7.0}
    assert capped.causes["anna"].cause is Cause.GRID
    assert "9700 W" in capped.causes["anna"].text
    assert limits_of(steer(both, budget_w=4_200.0)) == {"anna": 6.0, "berta": 0.0}
    away = {"anna": (CarState(), charging(16.0), 6.0), "berta": (CarState(), charging(0.0, wanting=False), None)}
    less = steer(away, budget_w=8_400.0)  # what Anna leaves, for whoever may come
    assert limits_of(less) == {"anna": 6.0, "berta": 6.0}
    assert less.causes["anna"] == PLAN


@pytest.mark.parametrize(
    ("limit_a", "wish_a", "since_s", "expected_a"),
    [
        (16.0, 0.0, 59.9, 6.0),  # charging for less than a minute: as little as it can
        (16.0, 0.0, 60.0, 0.0),
        (0.0, 16.0, 59.9, 0.0),
        (0.0, 16.0, 60.0, 16.0),
    ],
)
def test_charging_and_pausing_last_a_minute(limit_a: float, wish_a: float, since_s: float, expected_a: float) -> None:
    state = at(limit_a, switched_s=NOW_S - since_s, changed_s=NOW_S - since_s)
    steered = steer({"anna": (state, charging(limit_a), wish_a)})
    assert limits_of(steered) == {"anna": expected_a}
    if since_s < 60:
        assert steered.causes["anna"].text == "not switched again so soon"
    else:
        assert steered.states["anna"].switched_s == NOW_S
        assert steered.states["anna"].switches == caps.spent(caps.FULL, 1, 200.0, NOW_S)


def test_a_day_has_so_many_switches() -> None:
    spent = at(0.0, switches=EMPTY_BUCKET)
    steered = steer({"anna": (spent, charging(0.0), 16.0)})
    assert limits_of(steered) == {"anna": 0.0}
    assert steered.causes["anna"] == Reason(Cause.DEVICE, "was switched too often today")
    assert limits_of(steer({"anna": (at(16.0, switches=EMPTY_BUCKET), charging(16.0), 0.0)})) == {"anna": 6.0}
    # back to itself is always possible, and lowering is no switch
    assert limits_of(steer({"anna": (spent, charging(0.0), None)})) == {"anna": None}
    assert limits_of(steer({"anna": (at(16.0, switches=EMPTY_BUCKET), charging(16.0), 9.0)})) == {"anna": 9.0}


def test_whoever_gains_nothing_keeps_what_it_was_promised() -> None:
    """Berta was given 10 A a moment ago and does not draw yet: Anna may not take them."""
    cars = {
        "anna": (at(9.0), charging(9.0), 16.0),
        "berta": (at(10.0, raised_s=NOW_S - 31, changed_s=NOW_S - 31), charging(0.0, wanting=None), 16.0),
    }
    steered = steer(cars, (27.0, 9.0, 9.0))  # 9 A free, 10 A promised
    assert limits_of(steered) == {"anna": 9.0, "berta": 10.0}


def test_two_cars_rise_together() -> None:
    cars = {"anna": (at(6.0), charging(6.0), 16.0), "berta": (at(6.0), charging(6.0), 16.0)}
    assert limits_of(steer(cars, (24.0, 12.0, 12.0))) == {"anna": 12.0, "berta": 12.0}


def test_a_waiting_car_is_made_room_for() -> None:
    """36 A are usable, 20 A of them others': 16 A for two."""
    cars = {"anna": (at(16.0), charging(16.0), 16.0), "berta": (at(0.0), charging(0.0), 16.0)}
    steered = steer(cars, (36.0, 20.0, 20.0))
    assert limits_of(steered) == {"anna": 8.0, "berta": 0.0}
    assert "shares" in steered.causes["anna"].text
    assert steered.states["anna"].shed is False
    later = {"anna": (at(8.0, changed_s=NOW_S - 30), charging(8.0), 16.0), "berta": (at(0.0), charging(0.0), 16.0)}
    assert limits_of(steer(later, (28.0, 12.0, 12.0))) == {"anna": 8.0, "berta": 8.0}
    recent = {"anna": (at(16.0, changed_s=NOW_S - 59), charging(16.0), 16.0), "berta": (at(0.0), charging(0.0), 16.0)}
    assert limits_of(steer(recent, (36.0, 20.0, 20.0))) == {"anna": 16.0, "berta": 0.0}
    alone = {"anna": (at(16.0), charging(16.0), 16.0), "berta": (at(0.0), charging(0.0, wanting=False), 16.0)}
    assert limits_of(steer(alone, (37.0, 20.0, 20.0)))["anna"] == 16.0
    even = {"anna": (at(8.0), charging(8.0), 16.0), "berta": (at(8.0), charging(8.0), 16.0)}
    assert limits_of(steer(even, (36.0, 20.0, 20.0))) == {"anna": 8.0, "berta": 8.0}


def test_watched_chargers_are_told_nothing() -> None:
    watched = Charger(id="anna", controlled=False)
    assert steer({"anna": (CarState(), charging(16.0), None)}, chargers=(watched,)) == Steered({}, {}, {})


def test_a_single_phase_car_does_not_push_the_phases_apart() -> None:
    single = Charger(id="anna", lines=(1,))
    steered = steer({"anna": (at(0.0), charging(0.0), 16.0)}, chargers=(single,), phase_imbalance_a=10.0)
    assert limits_of(steered) == {"anna": 10.0}


# --- one phase or three

SWITCHABLE = Charger(id="anna", switchable=True)


def switched(
    state: CarState, limit_a: float, fits: tuple[bool, bool], reading: CarReading, charger: Charger = SWITCHABLE
) -> tuple[float, CarState]:
    return switch_phases(car(state, reading, charger=charger), limit_a, state, fits, NOW_S)


def test_a_car_without_room_on_three_phases_goes_to_one_after_a_minute() -> None:
    waits = at(0.0)
    _, state = switched(waits, 0.0, (True, False), charging(0.0))
    assert (state.tight_since_s, state.zero_since_s, state.phases) == (NOW_S, NOW_S, 3)
    ready = at(0.0, tight_since_s=NOW_S - 60.0, zero_since_s=NOW_S - 5.0)
    limit_a, state = switched(ready, 0.0, (True, False), charging(0.5))
    assert (limit_a, state.phases, state.phases_s, state.switched_s) == (0.0, 1, NOW_S, NOW_S)
    assert (state.tight_since_s, state.ample_since_s, state.zero_since_s) == (None, None, None)
    soon = at(0.0, tight_since_s=NOW_S - 59.9, zero_since_s=NOW_S - 5.0)
    assert switched(soon, 0.0, (True, False), charging(0.0))[1].phases == 3
    for fits in ((False, False), (True, True)):
        assert switched(ready, 0.0, fits, charging(0.0))[1].tight_since_s is None
    assert switched(ready, 6.0, (True, False), charging(0.0))[1].phases == 3


def test_no_phase_is_switched_while_current_flows_or_may_flow() -> None:
    ready = {"tight_since_s": 0.0, "zero_since_s": 0.0}
    assert switched(at(0.0, **ready), 0.0, (True, False), charging(0.6))[1].phases == 3
    assert switched(at(0.0, **ready), 0.0, (True, False), CarReading())[1].phases == 3
    assert (
        switched(at(0.0, tight_since_s=0.0, zero_since_s=NOW_S - 4.9), 0.0, (True, False), charging(0.0))[1].phases == 3
    )
    recent = at(0.0, **ready, phases_s=NOW_S - 59.9)
    assert switched(recent, 0.0, (True, False), charging(0.0))[1].phases == 3
    assert switched(at(0.0, **ready, phases_s=NOW_S - 60.0), 0.0, (True, False), charging(0.0))[1].phases == 1
    state = at(0.0, **ready)
    assert switched(state, 0.0, (True, False), charging(0.0), ANNA) == (0.0, state)


def test_a_car_on_one_phase_goes_back_to_three_after_five_minutes_of_room() -> None:
    one = at(10.0, phases=1)
    limit_a, state = switched(one, 10.0, (True, True), charging(10.0))
    assert (limit_a, state.ample_since_s) == (10.0, NOW_S)
    ready = at(10.0, phases=1, ample_since_s=NOW_S - 300.0)
    assert switched(ready, 10.0, (True, True), charging(10.0))[0] == 0.0  # pauses first
    assert switched(at(10.0, phases=1, ample_since_s=NOW_S - 299.0), 10.0, (True, True), charging(10.0))[0] == 10.0
    young = at(10.0, phases=1, ample_since_s=NOW_S - 300.0, switched_s=NOW_S - 59.9)
    assert switched(young, 10.0, (True, True), charging(10.0))[0] == 10.0
    old = at(10.0, phases=1, ample_since_s=NOW_S - 300.0, switched_s=NOW_S - 60.0)
    assert switched(old, 10.0, (True, True), charging(10.0))[0] == 0.0
    still = at(0.0, phases=1, ample_since_s=NOW_S - 300.0, zero_since_s=NOW_S - 5.0)
    limit_a, state = switched(still, 0.0, (True, True), charging(0.0))
    assert (limit_a, state.phases) == (0.0, 3)
    assert switched(ready, 10.0, (True, False), charging(10.0))[1].ample_since_s is None
    assert switched(ready, 10.0, (True, True), charging(10.0, wanting=False))[1].ample_since_s is None


def test_the_number_of_phases_is_ordered_once_it_was_switched() -> None:
    untouched = steer({"anna": (at(6.0), charging(6.0), 6.0)}, chargers=(SWITCHABLE,))
    assert untouched.commands["anna"] == CarCommand(current_a=6.0)
    once = at(6.0, phases=1, phases_s=0.0)
    assert steer({"anna": (once, charging(6.0), 6.0)}, chargers=(SWITCHABLE,)).commands["anna"].phases == 1


def test_where_a_car_fits_decides_about_its_phases() -> None:
    """L3 has no room for six amperes, L1 has."""
    waits = at(0.0)
    tight = steer({"anna": (waits, charging(0.0), 16.0)}, (0.0, 0.0, 31.0), chargers=(SWITCHABLE,))
    assert tight.states["anna"].tight_since_s == NOW_S
    claimed = steer({"anna": (waits, charging(0.0), 16.0)}, claims_a=(0.0, 0.0, 31.0), chargers=(SWITCHABLE,))
    assert claimed.states["anna"].tight_since_s == NOW_S
    capped = steer({"anna": (waits, charging(0.0), 16.0)}, budget_w=2_000.0, chargers=(SWITCHABLE,))
    assert capped.states["anna"].tight_since_s == NOW_S
    both = steer({"anna": (waits, charging(0.0), 16.0)}, (31.0, 0.0, 31.0), chargers=(SWITCHABLE,))
    assert both.states["anna"].tight_since_s is None
    assert math.isinf(both.states["anna"].phases_s)


# --- what is remembered, and what is said


def test_what_a_car_is_told_is_what_is_remembered() -> None:
    steered = steer({"anna": (at(16.0), charging(16.0), 9.0)})
    assert steered.states["anna"] == at(9.0, changed_s=NOW_S)
    paused = steer({"anna": (at(16.0), charging(16.0), 0.0)}).states["anna"]
    assert (paused.limit_a, paused.changed_s, paused.switched_s, paused.raised_s) == (0.0, NOW_S, NOW_S, 0.0)
    begun = steer({"anna": (at(0.0), charging(0.0), 6.0)}).states["anna"]
    assert (begun.limit_a, begun.changed_s, begun.switched_s, begun.raised_s) == (6.0, NOW_S, NOW_S, NOW_S)
    # the charger's own limit, now by name: no change of what it may draw
    named = steer({"anna": (at(None), charging(16.0), 16.0)}).states["anna"]
    assert (named.limit_a, named.changed_s, named.raised_s) == (16.0, 0.0, 0.0)
    freed = steer({"anna": (at(16.0, shed=True), charging(16.0), None)}).states["anna"]
    assert (freed.limit_a, freed.shed, freed.changed_s) == (None, False, 0.0)
    same = at(9.0)
    assert steer({"anna": (same, charging(9.0), 9.0)}).states["anna"] is same
    back = steer({"anna": (at(9.0, shed=True), charging(9.0), 12.0)})
    assert back.states["anna"].shed is False
    still = steer({"anna": (at(9.0, shed=True), charging(9.0), 9.0)})
    assert still.states["anna"].shed is True
    held = steer({"anna": (at(9.0), charging(9.0), None)}, (44.0, 0.0, 0.0), danger=OVER).states["anna"]
    assert (held.limit_a, held.shed) == (0.0, True)


def test_a_car_nobody_has_met_is_left_to_itself() -> None:
    house = House(limits=Limits(main_fuse_a=40.0), chargers=(ANNA,))
    amps = Currents((0.0,) * 3, (0.0,) * 3, known=True)
    wishes = {"anna": CarWish(None, OWN)}
    args = (amps, CALM, wishes, (0.0,) * 3, None, NOW_S)
    assert steer_cars(house, State(), Measurements(grid_w=0.0), *args) == Steered(
        {"anna": CarCommand()}, {"anna": CarState()}, {"anna": OWN}
    )


def test_a_car_that_has_enough_stays_out_of_the_sharing() -> None:
    """Nothing is said of the fuse where the plan asks for exactly what there is."""
    steered = steer({"anna": (at(9.0), charging(9.0), 9.0)}, (36.0, 0.0, 0.0), danger=OVER)
    assert steered.causes["anna"] == PLAN
    cars = {"anna": (at(9.0), charging(9.0), 9.0), "berta": (at(9.0), charging(9.0), 16.0)}
    risen = steer(cars, (20.0, 18.0, 18.0))
    assert limits_of(risen) == {"anna": 9.0, "berta": 16.0}
    assert set(risen.causes.values()) == {PLAN}
    later = {"anna": (at(16.0, changed_s=NOW_S - 60), charging(16.0), 16.0), "berta": (at(0.0), charging(0.0), 16.0)}
    assert limits_of(steer(later, (36.0, 20.0, 20.0)))["anna"] == 8.0


def test_a_promise_is_not_taken_back_for_less() -> None:
    """Unknown draw: 9 A are allowed, and only 8 A would fit anew."""
    steered = steer({"anna": (at(9.0), CarReading(), 16.0)}, (28.0, 0.0, 0.0))
    assert limits_of(steered) == {"anna": 9.0}
    assert steered.causes["anna"].cause is Cause.FUSE


def test_one_switch_of_the_day_is_left() -> None:
    last = at(0.0, switches=caps.Bucket(1 / 200.0, NOW_S))
    assert limits_of(steer({"anna": (last, charging(0.0), 6.0)})) == {"anna": 6.0}


def test_what_the_owner_reads_of_a_car() -> None:
    young = at(16.0, switched_s=NOW_S - 1, changed_s=NOW_S - 1)
    two = {"anna": (at(16.0), charging(16.0), 16.0), "berta": (at(0.0), charging(0.0), 16.0)}
    one = {"anna": (at(9.0), charging(9.0), 16.0)}
    shed = {"anna": (at(9.0, shed=True), charging(9.0), 16.0)}
    said = {
        "young": steer({"anna": (young, charging(16.0), 0.0)}),
        "capped": steer({"anna": (young, charging(16.0), 16.0)}, budget_w=0.0),
        "over": steer({"anna": (at(9.0), charging(9.0), None)}, (44.0, 0.0, 0.0), danger=OVER),
        "blind": steer(one, danger=BLIND),
        "shares": steer(two, (36.0, 20.0, 20.0)),
        "waits": steer(one, (37.0, 0.0, 0.0)),
        "slowly": steer(shed, roomy_since_s=None),
    }
    assert {name: steered.causes["anna"] for name, steered in said.items()} == {
        "young": Reason(Cause.DEVICE, "not switched again so soon"),
        "capped": Reason(Cause.DEVICE, "not switched again so soon"),
        "over": Reason(Cause.FUSE, "gives way: a phase is above the main fuse, or the phases are too far apart"),
        "blind": Reason(Cause.METER, "paused: the grid meter is missing, so nobody sees the main fuse"),
        "shares": Reason(Cause.FUSE, "shares the room below the main fuse with another car"),
        "waits": Reason(Cause.FUSE, "waits for room below the main fuse"),
        "slowly": Reason(Cause.FUSE, "comes back slowly after it gave way to the main fuse"),
    }
    capped = steer({"anna": (at(16.0), charging(16.0), 16.0)}, budget_w=4_200.0)
    assert capped.causes["anna"] == Reason(Cause.GRID, "held back: the grid operator leaves 4200 W for cars")
