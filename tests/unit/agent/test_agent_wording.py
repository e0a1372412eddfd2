"""From commands to the numbers a profile may write, and orders compared with each other."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_agent.control.orders import Interval
from hearth_agent.control.wording import battery_order, case_of, may_raise, meet, order_for
from hearth_agent.devices.controls import VARIABLES, Case, ControlKind

WIDEST = Interval(-5_000.0, 5_000.0)
BATTERY = ControlKind.BATTERY_INTERVAL
bounds = st.tuples(st.integers(-100, 100), st.integers(-100, 100)).map(sorted)
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


@pytest.mark.parametrize(
    ("kind", "command", "expected"),
    [
        (ControlKind.EV_CURRENT, 0.0, {"current_a": 6, "paused": 1, "allowed": 0}),
        (ControlKind.EV_CURRENT, 13.9, {"current_a": 13, "paused": 0, "allowed": 1}),
        (ControlKind.EV_PHASES, 1, {"phases": 1}),
        (ControlKind.HEAT_MODE, 0, {"mode": 0, "contact_a": 1, "contact_b": 0}),
        (ControlKind.HEAT_MODE, 1, None),
        (ControlKind.HEAT_MODE, 2, {"mode": 2, "contact_a": 0, "contact_b": 1}),
        (ControlKind.HEAT_MODE, 3, {"mode": 3, "contact_a": 1, "contact_b": 1}),
        (ControlKind.HEAT_POWER, 1_200.0, {"power_w": 1_200}),
        (ControlKind.PV_LIMIT, 4_200.0, {"limit_w": 4_200, "limited": 1}),
    ],
)
def test_every_variable_of_the_others(kind: ControlKind, command: float, expected: dict[str, float] | None) -> None:
    order = order_for(kind, command)
    assert order == expected
    assert order_for(kind, None) is None
    if order is not None:
        assert {*order, "lease_s"} == VARIABLES[kind]


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


def test_a_heater_that_is_blocked_may_not_be_told_to_run() -> None:
    kind = ControlKind.HEAT_MODE
    blocked, forced = order_for(kind, 0), order_for(kind, 3)
    assert blocked is not None
    assert forced is not None
    assert may_raise(kind, blocked, forced)
    assert may_raise(kind, None, forced)
    assert not may_raise(kind, None, blocked)
    assert meet(kind, blocked, forced) == blocked
