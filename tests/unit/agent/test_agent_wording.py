"""From commands to the numbers a profile may write, and orders compared with each other."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_agent.control.orders import Interval
from hearth_agent.control.wording import (
    Variables,
    battery_order,
    case_of,
    ev_order,
    heat_order,
    may_raise,
    meet,
    phases_order,
    pv_order,
    spelled,
)
from hearth_agent.devices.controls import VARIABLES, Case, ControlKind
from hearth_core.messages import HeatMode

WIDEST = Interval(-5_000.0, 5_000.0)
BATTERY = ControlKind.BATTERY_INTERVAL
bounds = st.tuples(st.integers(-99, 99), st.integers(-99, 99)).map(sorted)
intervals = bounds.map(lambda pair: Interval(50.0 * pair[0], 50.0 * pair[1]))


class Idle:
    """A device in its own mode."""

    order = None

    def since_write_s(self) -> float:
        return math.inf


def words(wanted: Interval) -> dict[str, float]:
    order = battery_order(wanted, WIDEST, Idle())
    assert order is not None
    return dict(order)


@pytest.mark.parametrize(
    ("wanted", "case", "expected"),
    [
        (Interval(-3_000.0, 1_000.0), Case.LIMIT, (3_000, 1_000, 0, 3_000, 1_000, 0, 0, 0, 0)),
        (Interval(0.0, 0.0), Case.HOLD, (0, 0, 0, 0, 0, 0, 0, 0, 0)),
        (Interval(-4_000.0, -3_000.0), Case.CHARGE, (4_000, -3_000, 1, 4_000, 0, 1, -3_000, 3_000, 0)),
        (Interval(1_500.0, 2_000.0), Case.DISCHARGE, (-1_500, 2_000, 0, 0, 2_000, 2, 1_500, 0, 1_500)),
    ],
)
def test_every_variable_of_a_battery(wanted: Interval, case: Case, expected: tuple[float, ...]) -> None:
    order = words(wanted)
    names = (
        "charge_w discharge_w grid_charge charge_limit_w discharge_limit_w forced forced_w forced_charge_w "
        "forced_discharge_w"
    )
    assert order == dict(zip(names.split(), expected, strict=True))
    assert case_of(BATTERY, order) is case


def test_a_car_is_paused_or_given_whole_amperes() -> None:
    assert ev_order(None) is None
    paused, running = ev_order(0.0), ev_order(13.9)
    assert paused == {"current_a": 6, "paused": 1, "allowed": 0}
    assert running == {"current_a": 13, "paused": 0, "allowed": 1}
    assert case_of(ControlKind.EV_CURRENT, paused) is Case.PAUSE
    assert case_of(ControlKind.EV_CURRENT, running) is Case.RUN
    assert {*running, "lease_s"} == VARIABLES[ControlKind.EV_CURRENT]


def test_a_battery_offers_every_variable_profiles_may_use() -> None:
    assert {*words(Interval(0.0, 0.0)), "lease_s"} == VARIABLES[BATTERY]


@given(intervals, intervals)
def test_what_two_orders_share_raises_neither(one: Interval, other: Interval) -> None:
    first, second = words(one), words(other)
    shared = meet(BATTERY, first, second)
    assert not may_raise(BATTERY, first, shared)
    assert not may_raise(BATTERY, second, shared)
    assert -shared["charge_w"] <= shared["discharge_w"]
    if not may_raise(BATTERY, first, second):
        assert shared == second


@given(intervals)
def test_own_mode_never_raises_and_forcing_always_does(one: Interval) -> None:
    order = words(one)
    assert not may_raise(BATTERY, order, None)
    assert may_raise(BATTERY, None, order) is (order["forced"] != 0)


@pytest.mark.parametrize(
    ("kind", "less", "more", "forces"),
    [
        (ControlKind.HEAT_MODE, {"mode": 0.0}, {"mode": 3.0}, True),
        (ControlKind.HEAT_POWER, {"power_w": 0.0}, {"power_w": 900.0}, True),
        (ControlKind.EV_PHASES, {"phases": 1.0}, {"phases": 3.0}, False),
        (ControlKind.PV_LIMIT, {"limit_w": 0.0, "limited": 1.0}, {"limit_w": 500.0, "limited": 1.0}, False),
    ],
)
def test_the_others_are_compared_by_their_power(
    kind: ControlKind, less: dict[str, float], more: dict[str, float], forces: bool
) -> None:
    assert may_raise(kind, less, more)
    assert not may_raise(kind, more, less)
    assert meet(kind, less, more) == meet(kind, more, less) == less
    assert may_raise(kind, None, more) is forces
    assert not may_raise(kind, None, less)


@pytest.mark.parametrize(
    ("kind", "order", "text"),
    [
        (ControlKind.BATTERY_INTERVAL, None, "its own mode"),
        (ControlKind.BATTERY_INTERVAL, words(Interval(-3_000.0, 0.0)), "between -3000 and 0 W"),
        (ControlKind.EV_CURRENT, ev_order(0.0), "paused"),
        (ControlKind.EV_CURRENT, ev_order(8.4), "at most 8 A"),
        (ControlKind.EV_PHASES, phases_order(1), "phases: 1"),
        (ControlKind.HEAT_MODE, heat_order(HeatMode.BLOCKED), "blocked"),
        (ControlKind.HEAT_POWER, heat_order(1_234.0), "1230 W"),
        (ControlKind.PV_LIMIT, pv_order(2_000.0), "at most 2000 W"),
    ],
)
def test_an_order_is_said_to_a_person(kind: ControlKind, order: Variables | None, text: str) -> None:
    assert spelled(kind, order) == text
