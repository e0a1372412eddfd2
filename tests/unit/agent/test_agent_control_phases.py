"""What phases carry and may carry, what cannot be true, budgets, overrides and the grid operator's limits."""

from __future__ import annotations

import math

import pytest

from hearth_agent.control import caps
from hearth_agent.control.grid import export_limit_w, import_budget_w, limit_roof
from hearth_agent.control.house import Charger, House
from hearth_agent.control.orders import CarReading, Cause, GridCaps, HeaterReading, Measurements, Reason, State
from hearth_agent.control.override import in_force
from hearth_agent.control.phases import Currents, Danger, Room, currents, room, watch
from hearth_agent.control.seen import believable
from hearth_agent.control.sharing import Want, share
from hearth_core.messages import Mode, Override
from hearth_core.site import Limits

HOUSE = House(limits=Limits(main_fuse_a=20.0))
LEVEL = House(limits=Limits(main_fuse_a=20.0, phase_imbalance_a=10.0))


def test_a_measured_phase_is_what_it_is() -> None:
    amps = currents(HOUSE, Measurements(grid_w=2_300.0, phase_a=(1.0, -2.0, 11.0, 99.0)))
    assert amps == Currents((1.0, -2.0, 11.0), (1.0, -2.0, 11.0), known=True)
    assert amps.spread_a == 13.0


def test_a_phase_nobody_measures_carries_the_worst() -> None:
    """10 A in all: with 3 A known the rest is 7 A, or all 10 A."""
    amps = currents(HOUSE, Measurements(grid_w=2_300.0, phase_a=(3.0,)))
    assert amps == Currents((3.0, 10.0, 10.0), (3.0, 7.0, 7.0), known=False)
    assert amps.spread_a == 0.0
    # a roof on one phase hides a load on another
    amps = currents(HOUSE, Measurements(grid_w=0.0, phase_a=(-8.0, 0.0, None)))
    assert (amps.high[2], amps.low[2]) == (8.0, 0.0)
    assert currents(HOUSE, Measurements()).high == (0.0, 0.0, 0.0)


def watched(
    state: State, amps: tuple[float, float, float], tick_s: float, house: House = HOUSE
) -> tuple[Danger, State]:
    measured = Measurements(grid_w=sum(amps) * 230, phase_a=amps)
    return watch(house, state, measured, currents(house, measured), tick_s)


def test_five_seconds_above_the_fuse_are_danger_and_then_five_more() -> None:
    danger, state = watched(State(), (20.1, 0.0, 0.0), 100.0)
    assert danger == Danger(over=False, blind=False)
    assert state.over_since_s == 100.0
    danger, state = watched(state, (20.1, 0.0, 0.0), 104.9)
    assert not danger.over
    danger, state = watched(state, (20.1, 0.0, 0.0), 105.0)
    assert danger.over
    assert watched(state, (20.1, 0.0, 0.0), 109.0)[0].over is False
    assert watched(state, (20.1, 0.0, 0.0), 110.0)[0].over is True
    calm = watched(state, (20.0, 0.0, 0.0), 106.0)[1]
    assert (calm.over_since_s, calm.roomy_since_s) == (None, None)


def test_room_is_noted_from_when_it_begins() -> None:
    _, state = watched(State(), (16.9, 0.0, 0.0), 100.0)
    assert state.roomy_since_s == 100.0
    assert watched(state, (16.9, 0.0, 0.0), 130.0)[1].roomy_since_s == 100.0
    assert watched(state, (17.0, 0.0, 0.0), 130.0)[1].roomy_since_s is None


def test_phases_too_far_apart_are_danger_where_there_is_a_limit() -> None:
    _, state = watched(State(), (10.1, 0.0, 5.0), 100.0, LEVEL)
    danger, state = watched(state, (10.1, 0.0, 5.0), 105.0, LEVEL)
    assert danger.over
    assert state.roomy_since_s is None
    assert watched(State(), (10.0, 0.0, 5.0), 100.0, LEVEL)[1].over_since_s is None
    assert watched(State(), (19.0, 0.0, 5.0), 100.0)[1].over_since_s is None


def test_a_meter_that_is_gone_is_missed_after_ten_seconds_and_waited_for_a_minute_at_the_start() -> None:
    gone, none = Measurements(), currents(HOUSE, Measurements())
    danger, state = watch(HOUSE, State(), gone, none, 100.0)
    assert (danger.blind, state.meter_lost_s, state.seen) == (False, 100.0, False)
    assert watch(HOUSE, state, gone, none, 159.9)[0] == Danger(over=False, blind=False)
    assert watch(HOUSE, state, gone, none, 160.0)[0] == Danger(over=False, blind=True)
    _, state = watched(state, (1.0, 1.0, 1.0), 161.0)
    assert (state.seen, state.meter_lost_s) == (True, None)
    _, over = watched(state, (30.0, 1.0, 1.0), 161.5)
    assert watch(HOUSE, over, gone, none, 162.0)[1].over_since_s is None
    _, state = watch(HOUSE, state, gone, none, 162.0)
    assert (state.roomy_since_s, state.over_since_s) == (None, None)
    assert watch(HOUSE, state, gone, none, 171.9)[0].blind is False
    assert watch(HOUSE, state, gone, none, 172.0)[0].blind is True


def test_nothing_new_leaves_the_state_as_it_is() -> None:
    _, state = watched(State(), (1.0, 1.0, 1.0), 100.0)
    assert watched(state, (1.5, 1.0, 1.0), 101.0)[1] is state


def test_a_room_ends_at_the_fuses_margin() -> None:
    free = room(HOUSE, Currents((10.0, 0.0, 5.0), (10.0, 0.0, 5.0), known=True))
    assert free.fits((0,), 9.0)
    assert not free.fits((0,), 9.01)
    assert not free.fits((1, 0), 10.0)
    free.take((0, 1), 9.0)
    assert free.amps == [19.0, 9.0, 5.0]
    assert not free.fits((0,), 0.01)
    spare = room(HOUSE, Currents((10.0, 0.0, 5.0), (10.0, 0.0, 5.0), known=True), spare_a=2.0)
    assert spare.fits((0,), 7.0)
    assert not spare.fits((0,), 7.01)


def test_a_room_keeps_a_power_budget() -> None:
    free = Room((0.0, 0.0, 0.0), math.inf, budget_w=4_140.0)
    assert free.fits((0, 1, 2), 6.0)
    assert not free.fits((0, 1, 2), 6.01)
    free.take((0, 1), 6.0)
    assert free.budget_w == pytest.approx(1_380.0)
    assert free.copy().budget_w == free.budget_w


def test_a_room_keeps_phases_together() -> None:
    free = room(LEVEL, Currents((2.0, 0.0, 0.0), (2.0, 0.0, 0.0), known=True))
    assert free.fits((0,), 8.0)
    assert not free.fits((0,), 8.01)
    assert free.fits((1, 2), 12.0)
    assert free.fits((0, 1, 2), 16.0)  # all alike changes nothing
    apart = room(LEVEL, Currents((2.0, -14.0, 0.0), (2.0, -14.0, 0.0), known=True))
    assert apart.fits((2,), 2.0)  # what is broken already is not made worse
    assert not apart.fits((2,), 2.01)
    blind = room(LEVEL, Currents((5.0, 5.0, 5.0), (0.0, 0.0, 0.0), known=False))
    assert not blind.fits((0,), 10.01)
    assert room(HOUSE, Currents((2.0, 0.0, 0.0), (2.0, 0.0, 0.0), known=True)).fits((0,), 16.0)


def test_what_is_taken_twice_is_there_twice() -> None:
    free = room(LEVEL, Currents((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), known=True))
    free.take((1, 2), 6.0)
    free.take((1, 2), 6.0)
    assert free.fits((0,), 16.0)  # 12 A lie on the other two
    free.take((0,), 12.0)
    assert not free.fits((0,), 10.01)
    assert not free.fits((0,), 7.01)


def test_a_claim_may_come_or_not_and_the_worse_counts() -> None:
    free = room(LEVEL, Currents((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), known=True))
    free.claim((0,), 6.0)
    assert free.amps == [6.0, 0.0, 0.0]
    assert not free.fits((0,), 4.01)
    assert free.fits((1,), 10.0)
    assert not free.fits((1,), 10.01)  # without the claim L1 carries nothing
    twin = free.copy()
    twin.claim((0,), 4.0)
    assert free.amps == [6.0, 0.0, 0.0]
    assert not twin.fits((0,), 0.01)
    assert twin.copy().amps == [10.0, 0.0, 0.0]
    assert twin.copy().fits((0,), 0.0)
    skewed = Room((9.0, 9.0, 9.0), 99.0, skew_a=(5.0, 0.0, 0.0), spread_a=10.0).copy()
    assert (skewed.fits((0,), 5.0), skewed.fits((0,), 5.01), skewed.fits((1,), 10.0), skewed.fits((1,), 10.01)) == (
        True,
        False,
        True,
        False,
    )
    assert not twin.copy().fits((0,), 0.01)


def test_cars_share_evenly_and_in_turn() -> None:
    lines = (0, 1, 2)

    def divided(free_a: float, *wants: Want) -> dict[str, float]:
        return share(Room((0.0, 0.0, 0.0), free_a), wants)

    anna, berta = Want("anna", lines, 6.0, 16.0), Want("berta", lines, 6.0, 16.0)
    assert divided(40.0, anna, berta) == {"anna": 16.0, "berta": 16.0}
    assert divided(20.0, anna, berta) == {"anna": 10.0, "berta": 10.0}
    assert divided(21.0, anna, berta) == {"anna": 11.0, "berta": 10.0}
    assert divided(11.0, anna, berta) == {"anna": 11.0, "berta": 0.0}
    assert divided(5.9, anna, berta) == {"anna": 0.0, "berta": 0.0}
    assert divided(40.0, Want("anna", lines, 6.0, 5.0), berta) == {"anna": 0.0, "berta": 16.0}
    assert divided(40.0, Want("anna", lines, 6.0, 7.5)) == {"anna": 7.5}
    assert divided(20.0, Want("anna", (0,), 6.0, 16.0), Want("berta", (1,), 6.0, 16.0)) == {"anna": 16.0, "berta": 16.0}
    assert divided(12.0, Want("anna", lines, 6.0, 6.0), berta) == {"anna": 6.0, "berta": 6.0}


def test_what_no_house_can_have_is_missing() -> None:
    seen = believable(
        Measurements(
            grid_w=math.nan,
            phase_a=(1e6, -1e6, 1.1e6, math.inf, None),
            battery_w=-2e6,
            soc_percent=100.1,
            pv_w=-1.0,
            cars={"car": CarReading(line_a=(math.nan, 3.0), wanting=True)},
            heaters={"pump": HeaterReading(power_w=-1.0, temperature_c=-61.0)},
        )
    )
    assert seen == Measurements(
        phase_a=(1e6, -1e6, None, None, None),
        cars={"car": CarReading(line_a=(None, 3.0), wanting=True)},
        heaters={"pump": HeaterReading()},
    )
    edges = Measurements(
        grid_w=-1e6,
        battery_w=1e6,
        soc_percent=0.0,
        pv_w=1e6,
        heaters={"pump": HeaterReading(power_w=0.0, temperature_c=120.0), "boiler": HeaterReading(temperature_c=-60.0)},
    )
    assert believable(edges) == edges
    assert believable(Measurements(soc_percent=100.0, pv_w=0.0)) == Measurements(soc_percent=100.0, pv_w=0.0)
    hot = HeaterReading(power_w=1.1e6, temperature_c=120.1)
    assert believable(Measurements(soc_percent=-0.1, heaters={"pump": hot})).heaters["pump"] == HeaterReading()


def test_a_bucket_never_gives_more_than_the_days_cap() -> None:
    bucket, tick_s = caps.FULL, 1_000.0
    spent = 0
    for minute in range(24 * 60):
        if caps.has(bucket, 1, 100, tick_s + 60 * minute):
            bucket = caps.spent(bucket, 1, 100, tick_s + 60 * minute)
            spent += 1
    assert spent in (99, 100)
    assert caps.refilled(caps.Bucket(0.0, 0.0), caps.DAY_S) == caps.Bucket(0.5, caps.DAY_S)
    assert caps.refilled(caps.Bucket(0.0, 0.0), caps.DAY_S / 2) == caps.Bucket(0.25, caps.DAY_S / 2)
    assert caps.refilled(caps.Bucket(0.5, 0.0), 10.0) == caps.Bucket(0.5, 10.0)
    assert caps.refilled(caps.Bucket(0.1, 10.0), 5.0) == caps.Bucket(0.1, 5.0)
    assert caps.refilled(caps.Bucket(0.1), 5.0) == caps.Bucket(0.1, 5.0)
    assert caps.has(caps.Bucket(0.25, 0.0), 1, 4, 0.0)
    assert not caps.has(caps.Bucket(0.25, 0.0), 1.01, 4, 0.0)
    assert caps.spent(caps.Bucket(0.25, 0.0), 2, 4, 0.0) == caps.Bucket(-0.25, 0.0)


WISH = Override(home="anna", version=3, device="car", issued_ms=1_000_000, until_ms=1_060_000, current_a=6.0)


def held(at_s: float, tick_s: float, state: State, *, time_trusted: bool = True) -> bool:
    return bool(in_force({"car": WISH}, state, at_s, tick_s, time_trusted=time_trusted)[0])


def test_an_override_ends_by_the_clock_and_by_its_own_length() -> None:
    wishes, state = in_force({"car": WISH}, State(), 1_010.0, 50.0, time_trusted=True)
    assert wishes == {"car": WISH}
    assert state.overrides == {"car": (3, 50.0)}
    assert held(1_059.9, 100.0, state)
    assert not held(1_060.0, 100.0, state)
    # whatever the clock says, not longer than it was meant to last
    assert held(0.0, 109.9, state)
    assert not held(0.0, 110.0, state)
    assert held(9e9, 109.9, state, time_trusted=False)
    assert not held(9e9, 110.0, state, time_trusted=False)
    long = Override(home="anna", version=1, device="car", issued_ms=0, until_ms=9_000_000_000, current_a=6.0)
    assert in_force({"car": long}, State(), 1.0, 50.0, time_trusted=True)[1].overrides == {"car": (1, 50.0)}
    assert in_force({"car": long}, State(overrides={"car": (1, 0.0)}), 1.0, 8_999_999.0, time_trusted=True)[0]
    # the same one again is not a new one
    assert in_force({"car": WISH}, state, 1_020.0, 60.0, time_trusted=True)[1] is state


def test_a_newer_override_begins_anew_and_none_is_forgotten() -> None:
    older = State(overrides={"car": (2, 10.0), "pump": (1, 5.0)})
    assert in_force({"car": WISH}, older, 1_010.0, 50.0, time_trusted=True)[1].overrides == {"car": (3, 50.0)}
    assert in_force({}, older, 1_010.0, 50.0, time_trusted=True) == ({}, State())
    clean = State()
    assert in_force({}, clean, 1_010.0, 50.0, time_trusted=True)[1] is clean
    assert WISH.battery is None
    assert Mode.HOLD


def test_an_import_limit_leaves_what_the_home_makes_itself() -> None:
    """4.2 kW, and of 7 kW that cars draw 5 kW come from the roof."""
    assert import_budget_w(GridCaps(import_w=4_200.0), Measurements(grid_w=2_000.0), 7_000.0) == 9_200.0
    assert import_budget_w(GridCaps(import_w=4_200.0), Measurements(grid_w=9_000.0), 7_000.0) == 4_200.0
    assert import_budget_w(GridCaps(import_w=4_200.0), Measurements(), 7_000.0) == 4_200.0
    assert import_budget_w(GridCaps(), Measurements(grid_w=0.0), 7_000.0) is None


def test_the_narrower_export_limit_counts() -> None:
    house = House(limits=Limits(main_fuse_a=20.0, export_limit_w=5_000.0))
    assert export_limit_w(house, GridCaps()) == 5_000.0
    assert export_limit_w(house, GridCaps(export_w=3_000.0)) == 3_000.0
    assert export_limit_w(HOUSE, GridCaps()) is None
    assert export_limit_w(HOUSE, GridCaps(export_w=0.0)) == 0.0


ROOF = House(limits=Limits(main_fuse_a=20.0), pv_rated_w=8_000.0)


def roof(
    state: State, grid_w: float | None, pv_w: float | None, tick_s: float, most_w: float | None = 3_000.0
) -> tuple[float | None, State, Cause]:
    limit_w, state, reason = limit_roof(ROOF, state, Measurements(grid_w=grid_w, pv_w=pv_w), most_w, tick_s)
    return limit_w, state, reason.cause


def test_a_roof_above_the_export_limit_is_turned_down_after_five_seconds_and_comes_back_in_steps() -> None:
    limit_w, state, cause = roof(State(), -4_050.0, 7_000.0, 100.0)
    assert (limit_w, cause, state.exporting_since_s) == (None, Cause.FALLBACK, 100.0)
    assert roof(state, -4_050.0, 7_000.0, 104.9)[0] is None
    limit_w, state, cause = roof(state, -4_050.0, 7_000.0, 105.0)
    assert (limit_w, cause, state.pv_changed_s) == (5_900.0, Cause.GRID, 105.0)  # 1050 W less, in steps of 100 W
    # more is allowed ten seconds later at the earliest
    assert roof(state, -2_000.0, 5_900.0, 114.9)[0] == 5_900.0
    limit_w, state, cause = roof(state, -2_000.0, 5_900.0, 115.0)
    assert (limit_w, cause, state.exporting_since_s) == (6_900.0, Cause.GRID, None)
    assert state.pv_limit_w == 6_900.0
    limit_w, state, cause = roof(state, -1_000.0, 6_000.0, 130.0)
    assert (limit_w, cause, state.pv_limit_w, state.pv_changed_s) == (None, Cause.FALLBACK, None, 130.0)
    # exactly at the limit is not above it
    assert roof(State(), -3_000.0, 7_000.0, 100.0)[1].exporting_since_s is None


def test_a_roof_that_is_right_is_left_alone() -> None:
    kept = State(pv_limit_w=5_000.0, pv_changed_s=100.0, exporting_since_s=90.0)
    limit_w, state, cause = roof(kept, -3_000.5, 5_000.9, 200.0)  # 5000.4 W: the same step
    assert (limit_w, state.pv_changed_s, cause) == (5_000.0, 100.0, Cause.GRID)


def test_the_roof_says_why() -> None:
    def said(state: State, measured: Measurements, most_w: float | None) -> Reason:
        return limit_roof(ROOF, state, measured, most_w, 100.0)[2]

    assert said(State(), Measurements(), None) == Reason(Cause.FALLBACK, "no limit on feed-in is near")
    at_limit = State(pv_limit_w=5_000.0)
    assert said(at_limit, Measurements(grid_w=0.0, pv_w=0.0), 3_000.0).text == "feed-in is at its limit of 3000 W"
    unseen = said(State(seen=True), Measurements(), 3_000.0)
    assert unseen.text == "the roof gives no more than may be fed in: meter or roof is not seen"


def test_a_roof_is_turned_down_further_at_once_but_never_below_nothing() -> None:
    state = State(pv_limit_w=5_000.0, pv_changed_s=100.0, exporting_since_s=90.0)
    assert roof(state, -3_500.0, 5_000.0, 101.0)[0] == 4_500.0
    assert roof(state, -9_000.0, 5_000.0, 101.0)[0] == 0.0
    assert roof(state, -3_000.0, 5_000.0, 101.0)[0] == 5_000.0
    assert roof(state, -3_500.0, 5_000.0, 101.0, most_w=None)[0] is None
    lifted = roof(state, -3_500.0, 5_000.0, 101.0, most_w=None)[1]
    assert (lifted.pv_limit_w, lifted.pv_changed_s) == (None, 101.0)


def test_an_unseen_roof_gives_no_more_than_may_be_fed_in() -> None:
    seen = State(seen=True)
    limit_w, state, _ = roof(seen, None, 7_000.0, 100.0)
    assert (limit_w, state.pv_limit_w, state.pv_changed_s) == (3_000.0, 3_000.0, 100.0)
    assert roof(seen, -1_000.0, None, 100.0)[::2] == (3_000.0, Cause.METER)
    assert roof(seen, None, None, 100.0, most_w=9_000.0)[0] == 8_000.0
    assert roof(State(), None, None, 100.0)[0] is None  # before the first look nothing is done
    assert roof(State(pv_limit_w=100.0), None, None, 100.0)[0] == 3_000.0
    assert limit_roof(HOUSE, seen, Measurements(), 3_000.0, 100.0)[0] is None


def test_a_charger_on_a_phase_the_house_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="car is wired to lines"):
        House(limits=Limits(main_fuse_a=20.0, phases=1), chargers=(Charger(id="car", lines=(0, 1)),))
