"""The controller's step: every limit holds whatever the plan says and the meters tell."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.control.battery import SHORTEST_ORDER_S
from hearth_agent.control.guards import own_mode
from hearth_agent.control.house import Charger, House
from hearth_agent.control.orders import CarReading, Interval, Measurements, Outcome, State
from hearth_agent.control.phases import FUSE_MARGIN, PHASE_V
from hearth_agent.control.seen import MOST
from hearth_agent.control.step import step
from hearth_core.messages import Mode, Plan, Slot, StoredValue
from hearth_core.site import Limits
from hearth_models.battery import Battery

BATTERY = Battery(10_000, 5_000, 4_000, 10.0, 95.0)
HOUSE = House(
    limits=Limits(main_fuse_a=25, phases=3, export_limit_w=6_000),
    battery=BATTERY,
    chargers=(Charger(id="car", min_a=6.0, max_a=16.0),),
)
NOW_S = 1_459_728_000.0


def car(current_a: float) -> dict[str, CarReading]:
    return {"car": CarReading(line_a=(current_a, current_a, current_a))}


WIDEST = own_mode(BATTERY)
CALM = Measurements(grid_w=300.0, phase_a=(1.0, 0.5, -0.2), battery_w=0.0, soc_percent=50.0, cars=car(0.0))


def plan_of(
    *modes: tuple[Mode, float], stored: StoredValue | None = None, import_eur: float = 0.3, export_eur: float = 0.08
) -> Plan:
    """A plan of quarter hours from `NOW_S` on."""
    start_ms = int(NOW_S * 1000)
    slots = [
        Slot(
            start_ms=start_ms + 900_000 * i,
            mode=mode,
            reason=f"because of slot {i}",
            power_w=power_w,
            import_eur_per_kwh=import_eur,
            export_eur_per_kwh=export_eur,
            marginal_eur_per_kwh=0.2,
            load_w=0.0,
            pv_w=0.0,
            battery_w=0.0,
            grid_w=0.0,
            soc_percent=50.0,
        )
        for i, (mode, power_w) in enumerate(modes)
    ]
    return Plan(
        home="anna",
        version=1,
        issued_ms=start_ms,
        valid_from_ms=start_ms,
        valid_until_ms=start_ms + 900_000 * len(slots),
        step_s=900,
        slots=slots,
        stored_value=stored,
        policy="value_function" if stored else "modes",
    )


def one(plan: Plan | None, measured: Measurements = CALM, state: State | None = None, house: House = HOUSE) -> Outcome:
    return step(house, state or State(), measured, plan, NOW_S + 1, NOW_S + 1)


def changed(**values: Any) -> Measurements:
    return msgspec.structs.replace(CALM, **values)


def test_without_a_plan_the_battery_keeps_its_own_mode() -> None:
    outcome = one(None)
    assert outcome.commands.battery == WIDEST
    assert outcome.mode is Mode.SELF_CONSUMPTION
    assert "no valid plan" in outcome.reason


@pytest.mark.parametrize(
    ("mode", "power_w", "expected"),
    [
        (Mode.SELF_CONSUMPTION, 0.0, WIDEST),
        (Mode.ABSORB_SURPLUS, 0.0, Interval(-5_000.0, 0.0)),
        (Mode.COVER_LOAD, 0.0, Interval(0.0, 4_000.0)),
        (Mode.HOLD, 0.0, Interval(0.0, 0.0)),
        (Mode.CHARGE_FROM_GRID, 2_000.0, Interval(-5_000.0, -2_000.0)),
        (Mode.EXPORT, 1_500.0, Interval(1_500.0, 4_000.0)),
    ],
)
def test_with_everything_in_order_the_plan_is_followed(mode: Mode, power_w: float, expected: Interval) -> None:
    """Guards that refuse everything would be safe and useless."""
    outcome = one(plan_of((mode, power_w)))
    assert outcome.commands.battery == expected
    assert outcome.mode is mode
    assert outcome.reason == "because of slot 0"


def test_a_plan_that_is_over_means_self_consumption_at_once() -> None:
    plan = plan_of((Mode.CHARGE_FROM_GRID, 3_000.0))
    before = one(plan)
    after = step(HOUSE, before.state, CALM, plan, NOW_S + 901, NOW_S + 2)
    assert after.commands.battery == WIDEST


def test_a_fresh_order_is_not_left_for_another_too_soon() -> None:
    """A value on the edge must not make a device change its mode every second."""
    first = one(plan_of((Mode.HOLD, 0.0)))
    other = plan_of((Mode.COVER_LOAD, 0.0))
    soon = step(HOUSE, first.state, CALM, other, NOW_S + 2, NOW_S + 2)
    later = step(HOUSE, soon.state, CALM, other, NOW_S + 2, NOW_S + 2 + SHORTEST_ORDER_S)
    assert soon.commands.battery == Interval(0.0, 0.0)
    assert later.commands.battery == Interval(0.0, 4_000.0)


@pytest.mark.parametrize("missing", ["grid_w", "soc_percent"])
@pytest.mark.parametrize("mode", [Mode.CHARGE_FROM_GRID, Mode.EXPORT])
def test_nothing_is_forced_while_meter_or_charge_is_missing(missing: str, mode: Mode) -> None:
    plan = plan_of((mode, 3_000.0))
    running = one(plan)
    blind = step(HOUSE, running.state, changed(**{missing: None}), plan, NOW_S + 2, NOW_S + 2)
    battery = blind.commands.battery
    assert battery is not None
    assert battery.lowest_w <= 0 <= battery.highest_w
    assert "missing" in blind.reason


def test_the_charge_band_has_hysteresis_at_both_ends() -> None:
    full = one(None, changed(soc_percent=95.0))
    still = step(HOUSE, full.state, changed(soc_percent=94.0), None, NOW_S, NOW_S + 2)
    free = step(HOUSE, still.state, changed(soc_percent=92.9), None, NOW_S, NOW_S + 3)
    assert [o.commands.battery for o in (full, still, free)] == [Interval(0.0, 4_000.0)] * 2 + [WIDEST]
    empty = one(None, changed(soc_percent=10.0))
    again = step(HOUSE, empty.state, changed(soc_percent=12.1), None, NOW_S, NOW_S + 2)
    assert [o.commands.battery for o in (empty, again)] == [Interval(-5_000.0, 0.0), WIDEST]


def test_a_full_battery_is_not_charged_however_cheap() -> None:
    outcome = one(plan_of((Mode.CHARGE_FROM_GRID, 3_000.0)), changed(soc_percent=95.5))
    assert outcome.commands.battery == Interval(0.0, 0.0)


def test_grid_charging_leaves_the_main_fuse_its_margin() -> None:
    """20 A on one phase leave (25 * 0.95 - 20) A * 3 * 230 V = 2587 W, in steps of 250 W towards safety."""
    outcome = one(plan_of((Mode.CHARGE_FROM_GRID, 5_000.0)), changed(grid_w=6_000.0, phase_a=(20.0, 3.0, 3.0)))
    assert outcome.commands.battery == Interval(-2_500.0, -2_500.0)
    assert "fuse" in outcome.reason


def test_an_unknown_battery_counts_as_discharging_when_the_fuse_is_guarded() -> None:
    """16 A might be what is left of 16 A + 4 kW / 3 / 230 V: (23.75 - 16) A * 690 V - 4 kW leave 1347 W."""
    measured = changed(grid_w=9_000.0, phase_a=(16.0, 10.0, 10.0), battery_w=None)
    outcome = one(plan_of((Mode.CHARGE_FROM_GRID, 5_000.0)), measured)
    assert outcome.commands.battery == Interval(-1_250.0, -1_250.0)


def test_an_overloaded_phase_stops_grid_charging() -> None:
    outcome = one(plan_of((Mode.CHARGE_FROM_GRID, 5_000.0)), changed(grid_w=9_000.0, phase_a=(26.0, 5.0, 5.0)))
    battery = outcome.commands.battery
    assert battery is not None
    assert battery.lowest_w == battery.highest_w == 0.0


def test_selling_from_the_battery_stays_below_the_export_limit() -> None:
    """4.5 kW of sun already flow out: 1.5 kW more are allowed."""
    outcome = one(plan_of((Mode.EXPORT, 4_000.0)), changed(grid_w=-4_500.0, phase_a=(-6.5, -6.5, -6.5)))
    assert outcome.commands.battery is not None
    assert outcome.commands.battery.lowest_w == 1_500.0


def test_above_the_export_limit_the_battery_takes_the_surplus() -> None:
    plan = plan_of((Mode.COVER_LOAD, 0.0))
    sunny = changed(grid_w=-6_500.0, phase_a=(-9.0, -9.0, -9.0))
    relieved = one(plan, sunny)
    assert relieved.commands.battery is not None
    assert relieved.commands.battery.lowest_w == -5_000.0
    charging = changed(grid_w=-5_800.0, phase_a=(-8.0, -8.0, -8.0), battery_w=-700.0)
    still = step(HOUSE, relieved.state, charging, plan, NOW_S + 2, NOW_S + 2)
    assert still.commands.battery is not None
    assert still.commands.battery.lowest_w == -5_000.0


def run_ev(state: State, measured: Measurements, start_s: float, seconds: int) -> tuple[list[float | None], State]:
    limits = []
    for second in range(seconds):
        outcome = step(HOUSE, state, measured, None, NOW_S, start_s + second)
        state = outcome.state
        limits.append(outcome.commands.cars["car"].current_a)
    return limits, state


def test_the_car_is_shed_after_five_seconds_above_the_fuse_and_comes_back_slowly() -> None:
    over = changed(grid_w=9_000.0, phase_a=(30.0, 3.0, 3.0), cars=car(16.0))
    limits, state = run_ev(State(), over, NOW_S, 7)
    assert limits[:5] == [None] * 5
    # 16 A drawn, 30 - 23.75 A too much: 9 A are left
    assert limits[5] == 9.0
    calm = changed(grid_w=3_000.0, phase_a=(12.0, 1.0, 1.0), cars=car(9.0))
    limits, state = run_ev(state, calm, NOW_S + 7, 70)
    assert limits[0] == 9.0
    assert limits[-1] is None


def test_a_car_that_would_get_less_than_six_amperes_pauses() -> None:
    over = changed(grid_w=9_000.0, phase_a=(35.0, 3.0, 3.0), cars=car(16.0))
    limits, _ = run_ev(State(), over, NOW_S, 7)
    assert limits[-1] == 0.0


def test_without_a_grid_meter_the_car_pauses_for_nobody_sees_the_fuse() -> None:
    """A meter that never answered is waited for a minute; one that did is missed after ten seconds."""
    limits, _ = run_ev(State(), changed(grid_w=None), NOW_S, 62)
    assert (limits[58], limits[61]) == (None, 0.0)
    _, state = run_ev(State(), CALM, NOW_S, 1)
    limits, _ = run_ev(state, changed(grid_w=None), NOW_S + 1, 12)
    assert (limits[8], limits[11]) == (None, 0.0)


def test_a_house_without_battery_or_charger_is_told_nothing() -> None:
    outcome = one(None, house=House(limits=HOUSE.limits))
    assert outcome.commands.battery is None
    assert not outcome.commands.cars


anything = st.one_of(
    st.none(),
    st.sampled_from([1e306, -1e306]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-20_000, 20_000),
    st.floats(-5, 105),
)
measurements = st.builds(
    Measurements,
    grid_w=anything,
    phase_a=st.lists(anything, max_size=4).map(tuple),
    battery_w=anything,
    soc_percent=anything,
    cars=st.lists(anything, max_size=3).map(lambda told: {"car": CarReading(line_a=tuple(told))}),
)
values = st.builds(
    lambda rows: StoredValue(store="battery", soc_percent=[0.0, 50.0, 100.0], value_eur=rows),
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=3),
)
plans = st.one_of(
    st.none(),
    st.builds(
        lambda modes, stored, buys, sells: plan_of(*modes, stored=stored, import_eur=buys, export_eur=sells),
        st.lists(st.tuples(st.sampled_from(Mode), st.floats(0, 1e6)), min_size=1, max_size=3),
        st.one_of(st.none(), values),
        st.floats(-1_000, 1_000),
        st.floats(-1_000, 1_000),
    ),
)
seconds = st.floats(-3_600, 3_600)
fuses = st.builds(
    lambda fuse_a, phases, export_w: msgspec.structs.replace(
        HOUSE,
        limits=Limits(main_fuse_a=fuse_a, phases=phases, export_limit_w=export_w),
        chargers=(Charger(id="car", lines=tuple(range(phases))),),
    ),
    st.floats(6, 100),
    st.integers(1, 3),
    st.one_of(st.none(), st.floats(0, 20_000)),
)


@settings(max_examples=400, deadline=None)
@given(fuses, st.lists(st.tuples(measurements, plans, seconds), min_size=1, max_size=6))
def test_no_plan_and_no_meter_can_break_a_limit(
    house: House, moments: list[tuple[Measurements, Plan | None, float]]
) -> None:
    """Adversarial plans and readings, step after step: finite, inside every limit, and always the same answer."""
    state = State()
    tick_s = NOW_S
    for measured, plan, ahead_s in moments:
        tick_s += abs(ahead_s)
        outcome = step(house, state, measured, plan, NOW_S + ahead_s, tick_s)
        assert outcome == step(house, state, measured, plan, NOW_S + ahead_s, tick_s)
        check_limits(house, measured, outcome)
        state = outcome.state


def check_limits(house: House, measured: Measurements, outcome: Outcome) -> None:
    battery, current_a = outcome.commands.battery, outcome.commands.cars["car"].current_a
    assert battery is not None
    assert math.isfinite(battery.lowest_w)
    assert math.isfinite(battery.highest_w)
    assert -BATTERY.max_charge_w <= battery.lowest_w <= battery.highest_w <= BATTERY.max_discharge_w
    assert current_a is None or current_a == 0 or 6.0 <= current_a <= 16.0
    soc, grid_w = measured.soc_percent, believable(measured.grid_w)
    soc_known = soc is not None and math.isfinite(soc) and 0 <= soc <= 100
    if soc is not None and soc_known and soc >= BATTERY.max_soc_percent:
        assert battery.lowest_w >= 0
    if soc is not None and soc_known and soc <= BATTERY.min_soc_percent:
        assert battery.highest_w <= 0
    if not soc_known or grid_w is None:
        assert battery.lowest_w <= 0 <= battery.highest_w
    if grid_w is not None and battery.highest_w < 0:
        check_fuse(house, measured, battery.highest_w, grid_w)


def believable(value: float | None) -> float | None:
    """None for what no house can have."""
    return value if value is not None and abs(value) <= MOST else None


def check_fuse(house: House, measured: Measurements, forced_w: float, grid_w: float) -> None:
    """A forced charge, spread over the phases, leaves each of them within the fuse."""
    battery_w = believable(measured.battery_w)
    if battery_w is None:
        battery_w = BATTERY.max_discharge_w
    known = [grid_w / PHASE_V if (a := believable(one)) is None else a for one in measured.phase_a]
    phases = (known + [grid_w / PHASE_V] * 3)[: house.limits.phases]
    added_a = (battery_w - forced_w) / (house.limits.phases * PHASE_V)
    assert max(phases) + added_a <= house.limits.main_fuse_a * (1 - FUSE_MARGIN) + 1e-6
