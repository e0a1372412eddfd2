"""What plan and owner ask of cars, heaters and battery, and what of it a device can be told."""

from __future__ import annotations

import math
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hearth_agent.control.asked import NO_PLAN, car_wish, heat_wish, protected
from hearth_agent.control.battery import case_of, expressible
from hearth_agent.control.guards import own_mode
from hearth_agent.control.house import ALL_CASES, Charger, Heater, House
from hearth_agent.control.orders import (
    CarReading,
    Cause,
    GridCaps,
    HeaterReading,
    Interval,
    Measurements,
    Outcome,
    State,
)
from hearth_agent.control.step import step
from hearth_agent.control.wording import heat_order, phases_order, pv_order
from hearth_agent.devices.profile import VARIABLES, Case, ControlKind
from hearth_core.messages import HeatMode, LoadPlan, LoadSlot, Mode, Override, Plan, Slot
from hearth_core.site import Limits
from hearth_core.windows import Window
from hearth_models.battery import Battery

NOW_S = 1_459_728_000.0
BATTERY = Battery(10_000, 5_000, 4_000, 10.0, 95.0)
CAR, PUMP = Charger(id="car"), Heater(id="pump")
BOILER = Heater(id="boiler", rated_w=3_000.0, has_power=True)


def plan_of(*slots: LoadSlot, device: str = "car", modes: tuple[Mode, ...] = (), version: int = 7) -> Plan:
    start_ms = int(NOW_S * 1000)
    asked = modes or (Mode.SELF_CONSUMPTION,) * max(len(slots), 2)
    return Plan(
        home="anna",
        version=version,
        issued_ms=start_ms,
        valid_from_ms=start_ms,
        valid_until_ms=start_ms + 900_000 * len(asked),
        step_s=900,
        slots=[
            Slot(
                start_ms=start_ms + 900_000 * i,
                mode=mode,
                reason=f"slot {i}",
                power_w=2_000.0,
                import_eur_per_kwh=0.3,
                export_eur_per_kwh=0.08,
                marginal_eur_per_kwh=0.2,
                load_w=0.0,
                pv_w=0.0,
                battery_w=0.0,
                grid_w=0.0,
                soc_percent=50.0,
            )
            for i, mode in enumerate(asked)
        ],
        policy="modes",
        loads=[LoadPlan(device=device, slots=list(slots))] if slots else [],
    )


def owner(device: str, **wish: Any) -> Override:
    return Override(
        home="anna", version=3, device=device, issued_ms=int(NOW_S * 1000), until_ms=int(NOW_S * 1000) + 600_000, **wish
    )


@pytest.mark.parametrize(
    ("asked_a", "told_a"),
    [(16.0, 16.0), (11.7, 11.0), (6.0, 6.0), (5.99, 0.0), (0.0, 0.0), (99.0, 16.0), (-1.0, None), (math.nan, None)],
)
def test_a_planned_current_is_one_a_car_can_use(asked_a: float, told_a: float | None) -> None:
    wish = car_wish(CAR, plan_of(LoadSlot(current_a=asked_a)), None, NOW_S + 1, NO_PLAN)
    assert wish.current_a == told_a
    assert wish.reason.cause is (Cause.FALLBACK if told_a is None else Cause.PLAN)
    if told_a is not None:
        assert wish.reason.ref == "plan 7 slot 0"


def test_each_slot_counts_in_its_time_and_for_its_device() -> None:
    plan = plan_of(LoadSlot(current_a=16.0), LoadSlot(current_a=6.0))
    assert car_wish(CAR, plan, None, NOW_S + 899, NO_PLAN).current_a == 16.0
    assert car_wish(CAR, plan, None, NOW_S + 900, NO_PLAN).current_a == 6.0
    for at_s in (NOW_S - 1, NOW_S + 1_800):
        assert car_wish(CAR, plan, None, at_s, NO_PLAN) == (None, NO_PLAN)
    assert car_wish(Charger(id="other"), plan, None, NOW_S, NO_PLAN) == (None, NO_PLAN)
    assert car_wish(CAR, plan_of(LoadSlot(), LoadSlot()), None, NOW_S, NO_PLAN) == (None, NO_PLAN)
    short = plan_of(LoadSlot(current_a=16.0), modes=(Mode.HOLD, Mode.HOLD))
    assert car_wish(CAR, short, None, NOW_S + 900, NO_PLAN) == (None, NO_PLAN)
    assert car_wish(CAR, None, None, NOW_S, NO_PLAN) == (None, NO_PLAN)


def test_slot_edges_come_late_by_the_devices_own_offset_but_the_end_does_not() -> None:
    late = Charger(id="car", offset_s=300.0)
    plan = plan_of(LoadSlot(current_a=16.0), LoadSlot(current_a=6.0))
    assert car_wish(late, plan, None, NOW_S + 1, NO_PLAN).current_a == 16.0  # a plan begins at once
    assert car_wish(late, plan, None, NOW_S + 1_199, NO_PLAN).current_a == 16.0
    assert car_wish(late, plan, None, NOW_S + 1_200, NO_PLAN).current_a == 6.0
    assert car_wish(late, plan, None, NOW_S + 1_800, NO_PLAN).current_a is None


def test_the_owner_beats_the_plan() -> None:
    plan = plan_of(LoadSlot(current_a=16.0))
    wish = car_wish(CAR, plan, owner("car", current_a=9.4), NOW_S, NO_PLAN)
    assert (wish.current_a, wish.reason.cause, wish.reason.ref) == (9.0, Cause.OVERRIDE, "override 3")
    assert "paused" in car_wish(CAR, plan, owner("car", current_a=0.0), NOW_S, NO_PLAN).reason.text
    assert car_wish(CAR, plan, owner("car", battery=Mode.HOLD), NOW_S, NO_PLAN).current_a == 16.0


def test_heaters_are_asked_in_their_own_words() -> None:
    slot = LoadSlot(heat_mode=HeatMode.BLOCKED, power_w=1e300)
    assert heat_wish(PUMP, plan_of(slot, device="pump"), None, NOW_S, NO_PLAN).command is HeatMode.BLOCKED
    assert heat_wish(BOILER, plan_of(slot, device="boiler"), None, NOW_S, NO_PLAN).command == 3_000.0
    for bad_w in (None, -1.0, math.inf, math.nan):
        bad = plan_of(LoadSlot(power_w=bad_w), device="boiler")
        assert heat_wish(BOILER, bad, None, NOW_S, NO_PLAN) == (None, NO_PLAN)
    mode = owner("pump", heat_mode=HeatMode.FORCED)
    assert heat_wish(PUMP, None, mode, NOW_S, NO_PLAN).reason.ref == "override 3"
    assert heat_wish(PUMP, None, mode, NOW_S, NO_PLAN).command is HeatMode.FORCED


@pytest.mark.parametrize(
    ("mode", "power_w"),
    [
        (HeatMode.BLOCKED, 0.0),
        (HeatMode.NORMAL, None),
        (HeatMode.RECOMMENDED, BOILER.rated_w),
        (HeatMode.FORCED, BOILER.rated_w),
    ],
)
def test_the_owner_speaks_of_modes_also_to_a_heater_that_takes_a_power(mode: HeatMode, power_w: float | None) -> None:
    planned = plan_of(LoadSlot(power_w=700.0), device="boiler")
    wish = heat_wish(BOILER, planned, owner("boiler", heat_mode=mode), NOW_S, NO_PLAN)
    assert (wish.command, wish.reason.cause) == (power_w, Cause.OVERRIDE)
    assert str(mode) in wish.reason.text


def test_a_legionella_window_is_in_local_time_and_assumed_without_a_clock() -> None:
    """02:00 in Berlin is 01:00 UTC in winter, 00:00 in summer."""
    guarded = Heater(id="pump", legionella=(Window(hours=("02:00-05:00",)),))
    house = House(limits=Limits(main_fuse_a=20.0), heaters=(guarded, BOILER), timezone=ZoneInfo("Europe/Berlin"))
    winter_s = 1_452_816_000.0  # 2016-01-15 00:00 UTC
    assert protected(house, winter_s + 3_600, time_trusted=True).keys() == {"pump"}
    assert protected(house, winter_s + 3_599, time_trusted=True) == {}
    assert protected(house, winter_s + 4 * 3_600, time_trusted=True) == {}
    assert protected(house, winter_s, time_trusted=False).keys() == {"pump"}
    assert protected(house, -1.0, time_trusted=True).keys() == {"pump"}
    assert protected(house, 1e15, time_trusted=True).keys() == {"pump"}
    summer_s = 1_468_540_800.0  # 2016-07-15 00:00 UTC
    assert protected(house, summer_s, time_trusted=True).keys() == {"pump"}


def test_a_device_is_told_only_what_its_profile_can_say() -> None:
    widest = own_mode(BATTERY)
    assert case_of(widest, widest) is None
    assert case_of(Interval(-5_000.0, -1.0), widest) is Case.CHARGE
    assert case_of(Interval(1.0, 4_000.0), widest) is Case.DISCHARGE
    assert case_of(Interval(0.0, 0.0), widest) is Case.HOLD
    assert case_of(Interval(-5_000.0, 0.0), widest) is Case.LIMIT

    def told(*cases: Case, allowed: Interval) -> Interval:
        house = House(limits=Limits(main_fuse_a=20.0), battery=BATTERY, cases=frozenset(cases))
        return expressible(house, allowed, widest)[0]

    limit, rest = Interval(-5_000.0, 0.0), Interval(0.0, 0.0)
    assert told(*ALL_CASES, allowed=limit) == limit
    assert told(Case.LIMIT, allowed=rest) == rest
    assert told(Case.HOLD, allowed=limit) == rest
    assert told(Case.CHARGE, allowed=limit) == widest
    assert told(Case.HOLD, allowed=Interval(1.0, 2.0)) == widest
    assert told(Case.CHARGE, allowed=Interval(-2.0, -1.0)) == Interval(-2.0, -1.0)


CALM = Measurements(grid_w=300.0, phase_a=(1.0, 0.5, -0.2), battery_w=0.0, soc_percent=50.0)


def lived(house: House, state: State, after_s: float, plan: Plan | None, **more: Any) -> Outcome:
    measured = more.pop("measured", CALM)
    return step(house, state, measured, plan, NOW_S + after_s, after_s, **more)


def home(**more: Any) -> House:
    return House(**{"limits": Limits(main_fuse_a=63.0), "battery": BATTERY, "battery_id": "store", **more})


def test_a_profile_without_a_case_keeps_its_own_mode_and_says_so() -> None:
    outcome = lived(home(cases=frozenset({Case.LIMIT})), State(), 1.0, plan_of(modes=(Mode.CHARGE_FROM_GRID,)))
    assert outcome.commands.battery == own_mode(BATTERY)
    assert outcome.causes["store"].cause is Cause.DEVICE
    assert "cannot be told" in outcome.reason
    held = lived(home(cases=frozenset({Case.LIMIT})), State(), 1.0, plan_of(modes=(Mode.HOLD,)))
    assert held.commands.battery == Interval(0.0, 0.0)


def test_an_override_takes_the_battery_at_once_and_gives_it_back_at_once() -> None:
    plan = plan_of(modes=(Mode.HOLD, Mode.HOLD))
    first = lived(home(), State(), 1.0, plan)
    wishes = {"store": owner("store", battery=Mode.EXPORT, power_w=1_500.0)}
    taken = lived(home(), first.state, 2.0, plan, overrides=wishes)
    assert taken.commands.battery == Interval(1_500.0, 4_000.0)
    assert taken.causes["store"].ref == "override 3"
    over = lived(home(), taken.state, 602.0, plan, overrides=wishes)
    assert over.commands.battery == Interval(0.0, 0.0)
    assert over.causes["store"].ref == "plan 7 slot 0"
    whole = lived(home(), first.state, 2.0, plan, overrides={"store": owner("store", battery=Mode.CHARGE_FROM_GRID)})
    assert whole.commands.battery == Interval(-5_000.0, -5_000.0)


def test_an_untrusted_clock_means_own_modes() -> None:
    house = home(chargers=(CAR,), heaters=(PUMP,))
    plan = plan_of(LoadSlot(current_a=6.0), modes=(Mode.HOLD,))
    outcome = lived(house, State(), 1.0, plan, time_trusted=False)
    assert outcome.commands.battery == own_mode(BATTERY)
    assert outcome.commands.cars["car"].current_a is None
    assert {one.cause for one in outcome.causes.values()} == {Cause.CLOCK}


def test_before_the_meter_was_seen_nothing_is_followed() -> None:
    house = home(chargers=(CAR,))
    plan = plan_of(LoadSlot(current_a=6.0), modes=(Mode.HOLD,))
    blind = lived(house, State(), 1.0, plan, measured=Measurements(soc_percent=50.0))
    assert blind.commands.cars["car"].current_a is None
    seen = lived(house, blind.state, 2.0, plan)
    assert seen.commands.cars["car"].current_a == 6.0


def test_an_order_of_another_plan_is_kept_for_a_minute_but_not_past_its_slot() -> None:
    first = lived(home(), State(), 860.0, plan_of(modes=(Mode.HOLD, Mode.HOLD)))
    other = plan_of(modes=(Mode.COVER_LOAD, Mode.COVER_LOAD), version=8)
    kept = lived(home(), first.state, 899.0, other)
    assert kept.commands.battery == Interval(0.0, 0.0)
    over = lived(home(), kept.state, 900.0, other)
    assert over.commands.battery == own_mode(BATTERY)
    later = lived(home(), over.state, 960.0, other)
    assert later.commands.battery == Interval(0.0, 4_000.0)
    # the same plan's next slot counts at once
    own = plan_of(modes=(Mode.HOLD, Mode.COVER_LOAD))
    young = lived(home(), State(), 899.0, own)
    assert lived(home(), young.state, 900.0, own).commands.battery == Interval(0.0, 4_000.0)


def test_an_import_limit_leaves_the_battery_what_cars_and_heaters_do_not_take() -> None:
    house = home(chargers=(CAR,), heaters=(PUMP,))
    measured = Measurements(
        grid_w=6_900.0,
        phase_a=(10.0, 10.0, 10.0),
        battery_w=0.0,
        soc_percent=50.0,
        cars={"car": CarReading(line_a=(6.0, 6.0, 6.0))},
        heaters={"pump": HeaterReading(power_w=1_000.0)},
    )
    plan = plan_of(LoadSlot(current_a=6.0), modes=(Mode.CHARGE_FROM_GRID,))
    capped = lived(house, State(), 1.0, plan, measured=measured, grid=GridCaps(import_w=7_000.0))
    # 7000 W less 4140 W of the car and 1000 W of the pump, in steps of 250 W
    assert capped.commands.battery == Interval(-1_750.0, -1_750.0)
    assert capped.causes["store"].cause is Cause.GRID


def test_commands_become_the_variables_of_the_profiles() -> None:
    known = {kind: VARIABLES[kind] - {"lease_s"} for kind in ControlKind}
    assert phases_order(None) is None
    assert phases_order(1) == {"phases": 1.0}
    assert pv_order(None) is None
    assert pv_order(900.0) == {"limit_w": 900.0, "limited": 1.0}
    assert heat_order(None) is None
    assert heat_order(709.9) == {"power_w": 700.0}
    states = {mode: heat_order(mode) for mode in HeatMode}
    assert states[HeatMode.BLOCKED] == {"mode": 0.0, "contact_a": 1.0, "contact_b": 0.0}
    assert states[HeatMode.NORMAL] == {"mode": 1.0, "contact_a": 0.0, "contact_b": 0.0}
    assert states[HeatMode.RECOMMENDED] == {"mode": 2.0, "contact_a": 0.0, "contact_b": 1.0}
    assert states[HeatMode.FORCED] == {"mode": 3.0, "contact_a": 1.0, "contact_b": 1.0}
    assert set(phases_order(1) or ()) == known[ControlKind.EV_PHASES]
    assert set(pv_order(1.0) or ()) == known[ControlKind.PV_LIMIT]
    assert set(heat_order(1.0) or ()) == known[ControlKind.HEAT_POWER]
    assert set(heat_order(HeatMode.NORMAL) or ()) == known[ControlKind.HEAT_MODE]
