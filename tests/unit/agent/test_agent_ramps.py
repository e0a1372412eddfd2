"""What a battery's ramp proves, from figures alone: every usual mistake is named, and noise is never taken for one."""

from __future__ import annotations

import random

import pytest

from hearth_agent.commissioning.findings import Result
from hearth_agent.commissioning.ramps import Level, agree, judge_battery, judge_charge, judge_phases, moves
from hearth_agent.control.flows import Flows

POWER_W = 1_000.0


def ramp(
    battery: float = 1.0,
    inverter: float = 1.0,
    grid: float = 1.0,
    shares: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3),
    noise_w: float = 0.0,
    levels: int = 7,
    soc_rate: float = -10.0,
) -> list[Level]:
    """Levels of a battery in a house of 500 W.

    Args:
        battery: What the battery's own figure shows of each watt ordered.
        inverter: The same of the inverter's AC power.
        grid: What the grid meter shows less.
        shares: Of each phase.
        noise_w: How much the house's load jumps between two levels.
        levels: How many.
        soc_rate: What the charge moves in an hour at 1 kW of discharge [%].
    """
    chance, made = random.Random(1), []
    for number in range(levels):
        order_w = POWER_W if number % 2 else -POWER_W
        load_w = 500.0 + chance.uniform(-noise_w, noise_w)
        looks = [
            Flows(
                at_s=40.0 * number + 2 * step,
                grid_w=load_w - grid * order_w,
                phase_w=tuple(load_w / 3 - share * order_w for share in shares),
                inverter_w=inverter * order_w,
                battery_w=battery * order_w,
                soc_percent=50 + soc_rate * order_w / 1_000 * 2 * step / 3600,
            )
            for step in range(12)
        ]
        made.append(Level(order_w, looks))
    return made


def test_a_right_battery_passes() -> None:
    found = moves(ramp(battery=1.03, inverter=0.97, grid=0.96, noise_w=100))
    (finding,) = judge_battery("store", "grid", found)
    assert finding.result is Result.PASSED
    phases, on_phases = judge_phases("store", "grid", found, 3)
    assert phases == [1, 2, 3]
    assert on_phases is not None
    assert on_phases.result is Result.PASSED


MISTAKES = [
    ({"battery": -1.0}, "store", "set `battery_sign: -1` on store"),
    ({"inverter": -1.0}, "store", "set `sign: -1` on store"),
    ({"grid": -1.0}, "grid", "set `sign: -1` on grid"),
    ({"battery": 0.001}, "store", "kW read as W"),
    ({"inverter": 10.0}, "store", "ten times too much"),
    ({"grid": 0.1}, "grid", "ten times too little"),
    ({"grid": -10.0}, "grid", "ten times too much: looks like a scale of 0.1 left out"),
    ({"grid": 0.0}, "grid", "does not see the battery"),
    ({"battery": 10.0, "inverter": 10.0, "grid": 10.0}, "store", "orders of store's profile are ten times too much"),
    ({"battery": 0.1, "inverter": 0.1, "grid": 0.1}, "store", "orders of store's profile are ten times too little"),
    ({"battery": -1.0, "inverter": -1.0, "grid": -1.0}, "store", "orders it the wrong way round"),
    ({"battery": 0.0, "inverter": 0.0, "grid": 0.0}, "store", "does not follow"),
]


@pytest.mark.parametrize(("seen", "device", "remedy"), MISTAKES)
def test_a_mistake_is_named(seen: dict[str, float], device: str, remedy: str) -> None:
    (finding,) = judge_battery("store", "grid", moves(ramp(**seen)))  # type: ignore[arg-type]
    assert (finding.result, finding.device) == (Result.FAILED, device)
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("shares", "remedy"),
    [
        ((1 / 3, -1 / 3, 1 / 3), "the current transformer of L2 of grid is reversed"),
        ((-1 / 6, -1 / 6, 1 / 3), "the current transformers of L1 and L2 of grid have changed places"),
    ],
)
def test_a_phase_that_answers_the_wrong_way_is_named(shares: tuple[float, float, float], remedy: str) -> None:
    phases, finding = judge_phases("store", "grid", moves(ramp(shares=shares)), 3)
    assert phases == []
    assert finding is not None
    assert finding.result is Result.FAILED
    assert remedy in finding.remedy


def test_a_battery_on_one_phase_is_found_there() -> None:
    assert judge_phases("store", "grid", moves(ramp(shares=(0.0, 0.0, 1.0))), 3)[0] == [3]


@pytest.mark.parametrize("seed", range(20))
def test_a_restless_house_concludes_nothing_wrong(seed: int) -> None:
    """Whatever the house does, a right meter is never accused by chance."""
    chance = random.Random(seed)
    levels = [
        Level(level.order_w, [Flows(at_s=0.0, battery_w=level.order_w, inverter_w=level.order_w, grid_w=grid_w)])
        for level, grid_w in ((one, chance.uniform(-6_000, 6_000) - one.order_w) for one in ramp())
    ]
    (finding,) = judge_battery("store", "grid", moves(levels))
    assert finding.result is not Result.FAILED


def test_the_charge_must_go_where_it_was_told() -> None:
    assert judge_charge("store", ramp(), 10_000.0).result is Result.PASSED
    assert judge_charge("store", ramp(soc_rate=0.0), 10_000.0).result is Result.INCONCLUSIVE
    assert judge_charge("store", ramp(soc_rate=10.0), 10_000.0).result is Result.FAILED


def test_three_repetitions_must_be_near_each_other() -> None:
    assert agree([1.0, 1.1, 0.9])
    assert not agree([1.0, 1.0])
    assert not agree([1.0, 1.1, 2.0])
    assert agree([1.0, 1.1, 2.0, 0.9, 1.0])
