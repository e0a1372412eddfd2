"""Each guard of the battery alone: what it narrows, by how much, and why."""

from __future__ import annotations

from typing import Any

import pytest

from hearth_agent.control.guards import (
    Look,
    guard_charge_band,
    guard_export,
    guard_fuse,
    guard_grid,
    guard_owner,
    own_mode,
)
from hearth_agent.control.house import House
from hearth_agent.control.orders import Cause, Interval, Measurements, Reason, State
from hearth_agent.control.phases import currents
from hearth_core.site import Limits
from hearth_models.battery import Battery

BATTERY = Battery(10_000, 5_000, 4_000, 10.0, 95.0)
WIDEST = own_mode(BATTERY)
CHARGE = Interval(-5_000.0, -2_000.0)
SELL = Interval(3_000.0, 4_000.0)
PHASES_W = 3 * 230.0


def look(
    *,
    grid_w: float | None = 690.0,
    battery_w: float | None = 0.0,
    soc: float | None = 50.0,
    phase_a: tuple[float | None, ...] = (1.0, 1.0, 1.0),
    claims_a: tuple[float, ...] = (0.0, 0.0, 0.0),
    cars_w: float = 0.0,
    export_w: float | None = None,
    budget_w: float | None = None,
    **limits: Any,
) -> Look:
    house = House(limits=Limits(**{"main_fuse_a": 20.0, **limits}), battery=BATTERY)
    measured = Measurements(grid_w=grid_w, phase_a=phase_a, battery_w=battery_w, soc_percent=soc)
    return Look(house, BATTERY, measured, currents(house, measured), claims_a, cars_w, export_w, budget_w)


def test_the_own_mode_is_all_a_battery_can() -> None:
    assert Interval(-5_000.0, 4_000.0) == WIDEST


def test_each_guard_says_what_it_did() -> None:
    """The owner reads these texts, and a log that says nothing helps nobody."""
    said = [
        guard_owner(look(grid_may_charge_battery=False), State(), CHARGE),
        guard_owner(look(cars_w=0.5, battery_may_charge_car=False, grid_w=0.0), State(), Interval(0.0, 0.5)),
        guard_export(look(grid_w=-9_000.0, export_w=0.0), State(), SELL),
        guard_fuse(look(phase_a=(30.0, 0.0, 0.0)), State(), CHARGE),
        guard_grid(look(budget_w=0.0), State(), CHARGE),
    ]
    assert [one[2] for one in said] == [
        Reason(Cause.OWNER, "the owner lets no grid power into the battery"),
        Reason(Cause.OWNER, "the owner lets no car draw from the battery"),
        Reason(Cause.GRID, "held back: feed-in is at its limit"),
        Reason(Cause.FUSE, "held back: a phase is close to the main fuse"),
        Reason(Cause.GRID, "held back: the grid operator leaves 0 W for charging"),
    ]
    assert own_mode(BATTERY) == Interval(-5_000.0, 4_000.0)


def test_the_owner_may_keep_the_grid_out_of_the_battery() -> None:
    allowed, _, reason = guard_owner(look(grid_may_charge_battery=False), State(), CHARGE)
    assert allowed == Interval(-5_000.0, 0.0)
    assert reason is not None
    assert reason.cause is Cause.OWNER
    assert guard_owner(look(), State(), CHARGE) == (CHARGE, State(), None)
    # what takes only surplus is left alone
    assert guard_owner(look(grid_may_charge_battery=False), State(), Interval(-5_000.0, 0.0))[2] is None


@pytest.mark.parametrize(
    ("grid_w", "battery_w", "highest_w"),
    [
        (2_000.0, 1_000.0, 750.0),  # 3 kW net, 2.2 kW of it the car: 800 W are the house's, in steps of 250 W
        (2_000.0, 0.0, 0.0),  # less than the car alone
        (None, 1_000.0, 0.0),
        (2_000.0, None, 0.0),
        (8_000.0, 0.0, 4_000.0),
        (2_449.5, 0.0, 0.0),  # 249.5 W are less than a step
        (6_200.0, 0.0, 4_000.0),  # exactly what the battery can
    ],
)
def test_the_owner_may_keep_the_battery_out_of_the_car(
    grid_w: float | None, battery_w: float | None, highest_w: float
) -> None:
    seen = look(grid_w=grid_w, battery_w=battery_w, cars_w=2_200.0, battery_may_charge_car=False)
    allowed, _, reason = guard_owner(seen, State(), Interval(3_900.0, 4_000.0))
    assert allowed == Interval(min(3_900.0, highest_w), highest_w)
    assert (reason is None) is (highest_w == 4_000.0)


def test_a_car_that_draws_nothing_is_fed_by_nobody() -> None:
    seen = look(cars_w=0.0, battery_may_charge_car=False)
    assert guard_owner(seen, State(), SELL) == (SELL, State(), None)
    assert guard_owner(look(cars_w=2_200.0), State(), SELL) == (SELL, State(), None)
    # a battery that only charges feeds no car
    resting = Interval(-100.0, 0.0)
    seen = look(cars_w=2_200.0, battery_may_charge_car=False)
    assert guard_owner(seen, State(), resting) == (resting, State(), None)


@pytest.mark.parametrize(
    ("soc", "before", "full", "empty"),
    [
        (95.0, State(), True, False),
        (94.99, State(), False, False),
        (93.01, State(full=True), True, False),
        (93.0, State(full=True), False, False),
        (10.0, State(), False, True),
        (10.01, State(), False, False),
        (11.99, State(empty=True), False, True),
        (12.0, State(empty=True), False, False),
    ],
)
def test_the_charge_band_holds_with_hysteresis(soc: float, before: State, full: bool, empty: bool) -> None:
    allowed, after, reason = guard_charge_band(look(soc=soc), before, WIDEST)
    assert (after.full, after.empty) == (full, empty)
    assert allowed == Interval(0.0 if full else -5_000.0, 0.0 if empty else 4_000.0)
    if full or empty:
        assert reason is not None
        assert (reason.cause, reason.text) == (Cause.DEVICE, f"the battery is {'full' if full else 'empty'}")
    else:
        assert reason is None


def test_at_the_edges_of_the_band_nothing_forced_is_left() -> None:
    assert guard_charge_band(look(soc=95.0), State(), CHARGE)[0] == Interval(0.0, 0.0)
    assert guard_charge_band(look(soc=10.0), State(), SELL)[0] == Interval(0.0, 0.0)
    assert guard_charge_band(look(soc=None), State(full=True), WIDEST) == (WIDEST, State(full=True), None)


@pytest.mark.parametrize(
    ("budget_w", "lowest_w"), [(None, -5_000.0), (2_600.0, -2_500.0), (249.0, 0.0), (-10.0, 0.0), (9_000.0, -5_000.0)]
)
def test_the_grid_operators_budget_binds_charging(budget_w: float | None, lowest_w: float) -> None:
    allowed, _, reason = guard_grid(look(budget_w=budget_w), State(), CHARGE)
    assert allowed == Interval(lowest_w, max(lowest_w, -2_000.0))
    if lowest_w == -5_000.0:
        assert reason is None
    else:
        assert reason is not None
        assert reason.cause is Cause.GRID
        assert f"leaves {abs(lowest_w):.0f} W" in reason.text


def test_selling_stays_below_the_export_limit() -> None:
    """1 kW flows out, the battery gives 500 W of it: 500 W are the sun's, 2.5 kW of 3 kW are left, in steps."""
    allowed, _, reason = guard_export(look(grid_w=-1_000.0, battery_w=500.0, export_w=3_000.0), State(), SELL)
    assert allowed == Interval(2_500.0, 4_000.0)
    assert reason is not None
    assert reason.cause is Cause.GRID
    # an unknown battery counts as charging with all it can: 6 kW of sun
    allowed, _, _ = guard_export(look(grid_w=-1_000.0, battery_w=None, export_w=3_000.0), State(), SELL)
    assert allowed.lowest_w == 0.0
    assert guard_export(look(grid_w=-9_000.0), State(), SELL) == (SELL, State(), None)
    assert guard_export(look(grid_w=None, export_w=0.0), State(), SELL) == (SELL, State(), None)
    assert guard_export(look(grid_w=500.0, export_w=3_000.0), State(), WIDEST) == (WIDEST, State(), None)


def test_above_the_export_limit_the_battery_takes_the_surplus_until_it_is_clearly_below() -> None:
    hold = Interval(0.0, 4_000.0)
    allowed, state, _ = guard_export(look(grid_w=-3_001.0, export_w=3_000.0), State(), hold)
    assert (allowed, state.absorbing) == (Interval(-5_000.0, 4_000.0), True)
    assert guard_export(look(grid_w=-3_000.0, export_w=3_000.0), State(), hold)[1].absorbing is False
    # 2.71 kW of sun are still above nine tenths of the limit
    still = look(grid_w=-2_000.0, battery_w=-710.0, export_w=3_000.0)
    assert guard_export(still, state, hold)[1].absorbing is True
    assert guard_export(look(grid_w=-2_000.0, battery_w=-700.0, export_w=3_000.0), state, hold)[1].absorbing is False
    # a full battery takes nothing, and one under a budget no more than that
    assert guard_export(look(grid_w=-3_001.0, export_w=3_000.0), State(full=True), hold)[0] == hold
    limited = look(grid_w=-3_001.0, export_w=3_000.0, budget_w=1_100.0)
    assert guard_export(limited, State(), hold)[0] == Interval(-1_000.0, 4_000.0)


def test_the_fuse_binds_charging_and_feeding_in() -> None:
    """19 A may flow: 9 A on L2 leave 10 A on each phase, 6.9 kW; -12 A on L3 leave 7 A, 4.8 kW."""
    seen = look(grid_w=0.0, phase_a=(1.0, 9.0, -12.0), battery_w=0.0)
    assert guard_fuse(seen, State(), WIDEST) == (WIDEST, State(), None)
    closer = look(grid_w=0.0, phase_a=(1.0, 14.0, -14.0), battery_w=0.0)
    allowed, _, reason = guard_fuse(closer, State(), Interval(-5_000.0, -4_000.0))
    assert allowed == Interval(-3_250.0, -3_250.0)  # 5 A x 690 W/A = 3450 W
    assert reason is not None
    assert reason.cause is Cause.FUSE
    assert guard_fuse(closer, State(), Interval(3_900.0, 4_000.0))[0] == Interval(3_250.0, 3_250.0)


def test_what_others_were_promised_leaves_the_battery_less() -> None:
    seen = look(grid_w=0.0, phase_a=(1.0, 9.0, 1.0), claims_a=(0.0, 5.0, 9.0))
    assert guard_fuse(seen, State(), CHARGE)[0] == Interval(-3_250.0, -2_000.0)


def test_a_battery_that_charges_already_is_given_what_it_has() -> None:
    """14 A with 2 kW of them the battery's: 5 A more are 3.45 kW more."""
    seen = look(grid_w=0.0, phase_a=(1.0, 14.0, 1.0), battery_w=-2_000.0)
    assert guard_fuse(seen, State(), WIDEST)[0].lowest_w == -5_000.0
    unknown = look(grid_w=0.0, phase_a=(1.0, 9.0, -9.0), battery_w=None)
    # it might discharge with 4 kW now, or charge with 5 kW: only 2.9 kW and 1.9 kW are sure
    assert guard_fuse(unknown, State(), WIDEST)[0] == Interval(-2_750.0, 1_750.0)


def test_beyond_the_fuse_the_battery_rests_and_is_never_forced() -> None:
    over = look(grid_w=0.0, phase_a=(30.0, 1.0, 1.0), battery_w=0.0)
    assert guard_fuse(over, State(), CHARGE)[0] == Interval(0.0, 0.0)
    under = look(grid_w=0.0, phase_a=(-30.0, 1.0, 1.0), battery_w=0.0)
    assert guard_fuse(under, State(), SELL)[0] == Interval(0.0, 0.0)
    assert guard_fuse(look(grid_w=None), State(), CHARGE) == (CHARGE, State(), None)
