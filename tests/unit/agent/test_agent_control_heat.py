"""Heaters: blocked briefly, never when it would hurt, and driven only into room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hearth_agent.control import caps
from hearth_agent.control.heat import Heated, HeatWish, claim_w, draw_w, steer_heaters
from hearth_agent.control.house import Heater, House
from hearth_agent.control.orders import Cause, HeatCommand, HeaterReading, HeaterState, Measurements, Reason, State
from hearth_agent.control.phases import Currents, Danger
from hearth_core.messages import HeatMode
from hearth_core.site import Limits

PUMP = Heater(id="pump", rated_w=3_450.0)  # 5 A on each phase
BOILER = Heater(id="boiler", rated_w=2_300.0, lines=(0,), has_power=True)  # 10 A on L1
CALM = Danger(over=False, blind=False)
OVER = Danger(over=True, blind=False)
BLIND = Danger(over=False, blind=True)
PLAN = Reason(Cause.PLAN, "as planned", "plan 1 slot 0")
OWN = Reason(Cause.FALLBACK, "as set")
NOW_S = 100_000.0
BLOCKED, NORMAL, RECOMMENDED, FORCED = HeatMode.BLOCKED, HeatMode.NORMAL, HeatMode.RECOMMENDED, HeatMode.FORCED


def steer(
    wish: HeatCommand,
    state: HeaterState | None = None,
    reading: HeaterReading | None = None,
    high: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    heater: Heater = PUMP,
    danger: Danger = CALM,
    why: str = "",
    moved_a: Sequence[float] = (0.0, 0.0, 0.0),
    claims_a: Sequence[float] = (0.0, 0.0, 0.0),
    budget_w: float | None = None,
    roomy_since_s: float | None = 0.0,
    grid_w: float | None = 0.0,
    reason: Reason = PLAN,
) -> Heated:
    house = House(limits=Limits(main_fuse_a=20.0), heaters=(heater,))  # 19 A may flow
    measured = Measurements(grid_w=grid_w, heaters={} if reading is None else {heater.id: reading})
    before = State(heaters={} if state is None else {heater.id: state}, roomy_since_s=roomy_since_s)
    wishes = {heater.id: HeatWish(wish, OWN if wish is None else reason)}
    amps = Currents(high, high, known=True)
    protected = {heater.id: why} if why else {}
    return steer_heaters(house, before, measured, amps, danger, wishes, protected, moved_a, claims_a, budget_w, NOW_S)


def told(heated: Heated) -> tuple[HeatCommand, Cause]:
    (id_,) = heated.commands
    return heated.commands[id_], heated.causes[id_].cause


def at(command: HeatCommand, since_s: float = 9_000.0, **more: Any) -> HeaterState:
    blocked_s = NOW_S - since_s if command is BLOCKED else None
    changed = {"command": command, "changed_s": NOW_S - since_s, "blocked_since_s": blocked_s}
    return HeaterState(**{**changed, **more})


def test_a_wish_is_followed_and_remembered() -> None:
    blocked = steer(BLOCKED)
    assert told(blocked) == (BLOCKED, Cause.PLAN)
    state = blocked.states["pump"]
    assert (state.command, state.changed_s, state.blocked_since_s, state.starts_s) == (BLOCKED, NOW_S, NOW_S, ())
    assert state.switches == caps.spent(caps.FULL, 1, 200.0, NOW_S)
    driven = steer(FORCED, reading=HeaterReading(power_w=0.0))
    assert told(driven) == (FORCED, Cause.PLAN)
    assert (driven.states["pump"].raised_s, driven.states["pump"].starts_s) == (NOW_S, (NOW_S,))
    same = at(FORCED)
    assert steer(FORCED, same, HeaterReading(power_w=0.0)).states["pump"] is same
    assert told(steer(None)) == (None, Cause.FALLBACK)


@pytest.mark.parametrize(
    ("since_s", "wish", "expected"),
    [(599.9, RECOMMENDED, NORMAL), (600.0, RECOMMENDED, RECOMMENDED), (599.9, None, NORMAL), (600.0, None, None)],
)
def test_a_mode_dwells_for_ten_minutes(since_s: float, wish: HeatCommand, expected: HeatCommand) -> None:
    heated = steer(wish, at(NORMAL, since_s), HeaterReading(power_w=0.0))
    assert heated.commands["pump"] is expected
    if expected is NORMAL:
        assert heated.causes["pump"] == Reason(Cause.DEVICE, "keeps its mode for a while")


def test_a_power_changes_each_half_minute() -> None:
    assert steer(500.0, at(700.0, 29.9), heater=BOILER).commands["boiler"] == 700.0
    changed = steer(500.0, at(700.0, 30.0), heater=BOILER)
    assert changed.commands["boiler"] == 500.0
    assert changed.states["boiler"].starts_s == ()
    assert steer(900.0, at(700.0), HeaterReading(power_w=700.0), heater=BOILER).states["boiler"].starts_s == ()
    assert steer(0.0, at(700.0), heater=BOILER).states["boiler"].blocked_since_s is None


def test_starts_an_hour_are_counted_and_one_is_kept_for_the_end_of_a_block() -> None:
    lately = (NOW_S - 3_599.0, NOW_S - 2_000.0, NOW_S - 1_000.0)
    for wish in (FORCED, BLOCKED):
        heated = steer(wish, at(NORMAL, starts_s=lately), HeaterReading(power_w=0.0))
        assert heated.commands["pump"] is NORMAL
        assert "as often" in heated.causes["pump"].text
    # to draw less is no start, and an old one does not count
    assert steer(NORMAL, at(FORCED, starts_s=lately)).commands["pump"] is NORMAL
    older = (NOW_S - 3_600.0, *lately[1:])
    driven = steer(FORCED, at(NORMAL, starts_s=older), HeaterReading(power_w=0.0))
    assert driven.commands["pump"] is FORCED
    assert driven.states["pump"].starts_s == (*lately[1:], NOW_S)
    assert steer(0.0, at(700.0, starts_s=lately), heater=BOILER).commands["boiler"] == 0.0


def test_the_days_switches_bind_wishes_but_not_the_way_back() -> None:
    empty = caps.Bucket(0.0, NOW_S)
    heated = steer(RECOMMENDED, at(NORMAL, switches=empty), HeaterReading(power_w=0.0))
    assert heated.commands["pump"] is NORMAL
    assert "too often today" in heated.causes["pump"].text
    assert steer(None, at(FORCED, switches=empty)).commands["pump"] is None


def test_nobody_freezes() -> None:
    cold = Heater(id="pump", rated_w=3_450.0, floor_c=20.0)
    assert told(steer(BLOCKED, heater=cold, reading=HeaterReading(temperature_c=19.9))) == (None, Cause.DEVICE)
    assert told(steer(BLOCKED, heater=cold, reading=HeaterReading())) == (None, Cause.DEVICE)
    assert told(steer(BLOCKED, heater=cold, reading=HeaterReading(temperature_c=20.0))) == (BLOCKED, Cause.PLAN)
    assert told(steer(FORCED, heater=cold, reading=HeaterReading(power_w=0.0))) == (FORCED, Cause.PLAN)
    heated = steer(BLOCKED, why="heats against legionella")
    assert (told(heated), heated.causes["pump"].text) == ((None, Cause.DEVICE), "heats against legionella")
    cool = Heater(id="boiler", rated_w=2_300.0, lines=(0,), has_power=True, floor_c=40.0)
    assert steer(700.0, heater=cool, reading=HeaterReading(temperature_c=39.0)).commands["boiler"] is None


def test_a_block_ends_after_two_hours_and_is_not_repeated_at_once() -> None:
    assert steer(BLOCKED, at(BLOCKED, 7_199.0)).commands["pump"] is BLOCKED
    ended = steer(BLOCKED, at(BLOCKED, 7_200.0), HeaterReading(power_w=0.0))
    assert told(ended) == (None, Cause.DEVICE)
    state = ended.states["pump"]
    assert (state.rest_until_s, state.blocked_since_s, state.starts_s) == (NOW_S + 3_600.0, None, (NOW_S,))
    resting = at(None, rest_until_s=NOW_S + 0.1)
    assert told(steer(BLOCKED, resting)) == (None, Cause.DEVICE)
    assert told(steer(BLOCKED, at(None, rest_until_s=NOW_S))) == (BLOCKED, Cause.PLAN)
    # a block that goes on in another word is the same block
    kept = steer(FORCED, at(BLOCKED, 700.0), HeaterReading(power_w=0.0))
    assert kept.states["pump"].rest_until_s == NOW_S + 350.0


def test_the_grid_operators_budget_binds_even_young_modes() -> None:
    assert told(steer(NORMAL, at(NORMAL, 10.0), budget_w=3_449.0)) == (BLOCKED, Cause.GRID)
    assert told(steer(NORMAL, at(NORMAL, 10.0), budget_w=3_450.0)) == (NORMAL, Cause.PLAN)
    assert told(steer(2_000.0, heater=BOILER, budget_w=1_500.0)) == (1_500.0, Cause.GRID)
    assert told(steer(None, heater=BOILER, budget_w=-5.0)) == (0.0, Cause.GRID)
    assert "1500 W" in steer(2_000.0, heater=BOILER, budget_w=1_500.0).causes["boiler"].text


def test_several_heaters_share_the_budget() -> None:
    twins = (Heater(id="a", rated_w=2_000.0), Heater(id="b", rated_w=2_000.0))
    house = House(limits=Limits(main_fuse_a=60.0), heaters=twins)

    def both(budget_w: float, a_w: float) -> list[HeatCommand]:
        readings = {"a": HeaterReading(power_w=a_w), "b": HeaterReading(power_w=2_000.0)}
        amps = Currents((0.0,) * 3, (0.0,) * 3, known=True)
        wishes = {one.id: HeatWish(None, OWN) for one in twins}
        measured = Measurements(grid_w=0.0, heaters=readings)
        heated = steer_heaters(
            house, State(), measured, amps, CALM, wishes, {}, (0.0,) * 3, (0.0,) * 3, budget_w, NOW_S
        )
        return [heated.commands[one] for one in ("a", "b")]

    assert both(4_000.0, 2_000.0) == [None, None]
    assert both(3_999.0, 2_000.0) == [None, BLOCKED]
    assert both(3_999.0, 500.0) == [None, None]  # what one does not draw is the other's


def test_over_the_fuse_heaters_give_way_one_by_one() -> None:
    running = HeaterReading(power_w=3_450.0)
    assert told(steer(None, reading=running, high=(25.0, 0.0, 0.0), danger=OVER)) == (BLOCKED, Cause.FUSE)
    assert told(steer(FORCED, at(FORCED, 5.0), running, (25.0, 0.0, 0.0), danger=OVER)) == (BLOCKED, Cause.FUSE)
    assert told(steer(None, reading=running, high=(25.0, 0.0, 0.0), danger=OVER, why="cold")) == (BLOCKED, Cause.FUSE)
    # cars that gave way may be enough, and one that draws nothing would not help
    relieved = steer(None, reading=running, high=(25.0, 0.0, 0.0), danger=OVER, moved_a=(-6.0, 0.0, 0.0))
    assert told(relieved) == (None, Cause.FALLBACK)
    idle = HeaterReading(power_w=0.0)
    assert told(steer(None, reading=idle, high=(25.0, 0.0, 0.0), danger=OVER)) == (None, Cause.FALLBACK)
    assert told(steer(None, reading=running, high=(25.0, 0.0, 0.0))) == (None, Cause.FALLBACK)
    far = steer(None, heater=BOILER, reading=HeaterReading(power_w=2_300.0), high=(0.0, 25.0, 0.0), danger=OVER)
    assert told(far) == (None, Cause.FALLBACK)
    off = steer(None, heater=BOILER, reading=HeaterReading(power_w=2_300.0), high=(25.0, 0.0, 0.0), danger=OVER)
    assert told(off) == (0.0, Cause.FUSE)


def test_the_second_heater_stays_where_the_first_was_enough() -> None:
    twins = (Heater(id="a", rated_w=3_450.0), Heater(id="b", rated_w=3_450.0))
    house = House(limits=Limits(main_fuse_a=20.0), heaters=twins)
    readings = {one.id: HeaterReading(power_w=3_450.0) for one in twins}
    wishes = {one.id: HeatWish(None, OWN) for one in twins}
    measured = Measurements(grid_w=0.0, heaters=readings)
    for high_a, second in ((24.0, None), (24.1, BLOCKED)):
        amps = Currents((high_a, 0.0, 0.0), (high_a, 0.0, 0.0), known=True)
        heated = steer_heaters(house, State(), measured, amps, OVER, wishes, {}, (0.0,) * 3, (0.0,) * 3, None, NOW_S)
        assert heated.commands == {"a": BLOCKED, "b": second}


def test_nothing_is_driven_into_a_full_phase() -> None:
    idle = HeaterReading(power_w=0.0)
    assert told(steer(FORCED, reading=idle, high=(12.0, 0.0, 0.0))) == (FORCED, Cause.PLAN)  # 12 + 5 + 2 A
    assert told(steer(FORCED, reading=idle, high=(12.1, 0.0, 0.0))) == (None, Cause.FUSE)
    assert told(steer(FORCED, reading=idle, high=(11.1, 0.0, 0.0), claims_a=(0.0, 12.1, 0.0))) == (None, Cause.FUSE)
    running = HeaterReading(power_w=3_450.0)
    assert told(steer(FORCED, reading=running, high=(18.0, 0.0, 0.0))) == (FORCED, Cause.PLAN)
    assert told(steer(FORCED, high=(12.1, 0.0, 0.0))) == (None, Cause.FUSE)  # unknown: it may draw nothing yet
    assert told(steer(FORCED, reading=idle, grid_w=None)) == (None, Cause.METER)
    # its own promise of a moment ago is not counted against it
    raised = at(RECOMMENDED, 700.0, raised_s=NOW_S - 10.0)
    assert told(steer(FORCED, raised, idle, (12.0, 0.0, 0.0), claims_a=(5.0, 5.0, 5.0))) == (FORCED, Cause.PLAN)


def test_a_blocked_heater_comes_back_into_clear_room_only() -> None:
    idle = HeaterReading(power_w=0.0)
    blocked = at(BLOCKED, 700.0)
    assert told(steer(None, blocked, idle, roomy_since_s=NOW_S - 60.0)) == (None, Cause.FALLBACK)
    for since_s in (None, NOW_S - 59.9):
        assert told(steer(None, blocked, idle, roomy_since_s=since_s)) == (BLOCKED, Cause.FUSE)
    assert told(steer(FORCED, at(NORMAL), idle, roomy_since_s=None)) == (FORCED, Cause.PLAN)


def test_without_a_meter_heaters_are_held_back_but_nobody_freezes() -> None:
    assert told(steer(None, grid_w=None, danger=BLIND)) == (BLOCKED, Cause.METER)
    assert told(steer(700.0, heater=BOILER, grid_w=None, danger=BLIND)) == (0.0, Cause.METER)
    assert told(steer(None, at(BLOCKED, 7_200.0), grid_w=None, danger=BLIND)) == (None, Cause.FALLBACK)
    driven = steer(FORCED, at(FORCED), grid_w=None, danger=BLIND, why="cold")
    assert told(driven) == (None, Cause.METER)
    assert told(steer(NORMAL, at(NORMAL), grid_w=None, danger=BLIND, why="cold")) == (NORMAL, Cause.PLAN)


def test_what_a_heater_draws_and_was_promised() -> None:
    assert draw_w(PUMP, at(None), HeaterReading(power_w=900.0)) == 900.0
    assert draw_w(PUMP, at(None), HeaterReading(power_w=-1.0)) == 0.0
    assert draw_w(PUMP, at(NORMAL), HeaterReading()) == 3_450.0
    assert draw_w(PUMP, at(BLOCKED), HeaterReading()) == 0.0
    assert draw_w(BOILER, at(700.0), HeaterReading()) == 700.0
    young, old = at(FORCED, raised_s=NOW_S - 59.9), at(FORCED, raised_s=NOW_S - 60.0)
    assert claim_w(PUMP, young, HeaterReading(power_w=900.0), NOW_S) == 2_550.0
    assert claim_w(PUMP, young, HeaterReading(power_w=4_000.0), NOW_S) == 0.0
    assert claim_w(PUMP, young, HeaterReading(), NOW_S) == 3_450.0
    assert claim_w(PUMP, old, HeaterReading(power_w=900.0), NOW_S) == 0.0


def test_two_heaters_do_not_take_the_same_room() -> None:
    twins = (Heater(id="a", rated_w=3_450.0), Heater(id="b", rated_w=3_450.0))
    house = House(limits=Limits(main_fuse_a=20.0), heaters=twins)
    wishes = {one.id: HeatWish(FORCED, PLAN) for one in twins}
    measured = Measurements(grid_w=0.0, heaters={one.id: HeaterReading(power_w=0.0) for one in twins})
    for high_a, second in ((7.0, FORCED), (7.1, None)):
        amps = Currents((high_a, 0.0, 0.0), (high_a, 0.0, 0.0), known=True)
        heated = steer_heaters(house, State(), measured, amps, CALM, wishes, {}, (0.0,) * 3, (0.0,) * 3, None, NOW_S)
        assert heated.commands == {"a": FORCED, "b": second}


def test_what_the_owner_reads_of_a_heater() -> None:
    running, idle = HeaterReading(power_w=3_450.0), HeaterReading(power_w=0.0)
    cold = Heater(id="pump", rated_w=3_450.0, floor_c=20.0)
    lately = (NOW_S - 30.0, NOW_S - 20.0, NOW_S - 10.0)
    said = {
        "cold": steer(BLOCKED, heater=cold),
        "rests": steer(BLOCKED, at(None, rest_until_s=NOW_S + 1)),
        "long": steer(BLOCKED, at(BLOCKED, 7_200.0), idle),
        "dwells": steer(BLOCKED, at(NORMAL, 1.0)),
        "starts": steer(FORCED, at(NORMAL, starts_s=lately), idle),
        "budget": steer(FORCED, at(NORMAL, switches=caps.Bucket(0.0, NOW_S)), idle),
        "grid": steer(NORMAL, budget_w=100.0),
        "blind": steer(NORMAL, grid_w=None, danger=BLIND),
        "driven": steer(FORCED, grid_w=None, danger=BLIND, why="cold"),
        "unseen": steer(FORCED, reading=idle, grid_w=None),
        "over": steer(None, reading=running, high=(25.0, 0.0, 0.0), danger=OVER),
        "waits": steer(FORCED, reading=idle, high=(18.0, 0.0, 0.0)),
    }
    assert {name: heated.causes["pump"] for name, heated in said.items()} == {
        "cold": Reason(Cause.DEVICE, "not blocked: it is colder than the comfort floor, or nobody knows"),
        "rests": Reason(Cause.DEVICE, "not blocked again so soon"),
        "long": Reason(Cause.DEVICE, "was blocked for as long as it may be"),
        "dwells": Reason(Cause.DEVICE, "keeps its mode for a while"),
        "starts": Reason(Cause.DEVICE, "was started as often as it may be in an hour"),
        "budget": Reason(Cause.DEVICE, "was switched too often today"),
        "grid": Reason(Cause.GRID, "held back: the grid operator leaves 100 W"),
        "blind": Reason(Cause.METER, "held back: the grid meter is missing"),
        "driven": Reason(Cause.METER, "not driven: the grid meter is missing"),
        "unseen": Reason(Cause.METER, "waits for the grid meter"),
        "over": Reason(Cause.FUSE, "gives way: a phase is above the main fuse"),
        "waits": Reason(Cause.FUSE, "waits for room below the main fuse"),
    }


def test_small_print_of_heaters() -> None:
    idle = HeaterReading(power_w=0.0)
    # unseen for a moment, a blocked heater stays as it is
    assert told(steer(None, at(BLOCKED, 700.0), idle, grid_w=None)) == (BLOCKED, Cause.METER)
    # one switch of the day is left
    last = at(NORMAL, switches=caps.Bucket(1 / 200.0, NOW_S))
    assert steer(FORCED, last, idle).commands["pump"] is FORCED
    # what is blocked needs nothing of any budget
    assert told(steer(BLOCKED, budget_w=0.0)) == (BLOCKED, Cause.PLAN)
    # between equals nothing begins, and to draw less is no beginning
    lowered = steer(NORMAL, at(FORCED, raised_s=5.0), idle).states["pump"]
    assert (lowered.raised_s, lowered.starts_s) == (5.0, ())
    kept = steer(BLOCKED, at(None, rest_until_s=5.0)).states["pump"]
    assert kept.rest_until_s == 5.0
    named = steer(NORMAL, at(None), idle).states["pump"]
    assert (named.raised_s, named.starts_s) == (-float("inf"), ())
    # a small power is a small power: 690 W more are 3 A on L1
    small = steer(690.0, at(0.0), idle, (14.0, 0.0, 0.0), heater=BOILER)
    assert told(small) == (690.0, Cause.PLAN)
    assert told(steer(690.0, at(0.0), idle, (14.1, 0.0, 0.0), heater=BOILER)) == (0.0, Cause.FUSE)
    assert claim_w(BOILER, at(690.0, raised_s=NOW_S), idle, NOW_S) == 690.0
    # three starts bind a start that is no block: 1 is the own mode's rank
    lately = (NOW_S - 30.0, NOW_S - 20.0, NOW_S - 10.0)
    assert steer(RECOMMENDED, at(FORCED, starts_s=lately), idle).commands["pump"] is RECOMMENDED
    assert steer(500.0, at(1_500.0, 40.0), idle, (18.0, 0.0, 0.0), heater=BOILER).commands["boiler"] == 500.0
