"""The referee of the comparison with EMHASS: what cannot be is not done, what is not done is a fault."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from tests.bench.bench_emhass import of_hearth
from tests.bench.emhass_homes import DEFAULT_LOAD_W, Home, Schedule, judge

from hearth_models.planning.joint_answer import plan_home
from hearth_models.planning.problem import read_problem

N = 48
HOME = Home(
    "2026-01-15T00:00:00",
    load_w=np.full(N, 1000.0),
    pv_w=np.full(N, 500.0),
    import_eur_per_kwh=np.full(N, 0.30),
    export_eur_per_kwh=np.full(N, 0.10),
    limit_w=15_000.0,
    has_steady_load=True,
    has_sequences=True,
    capacity_wh=10_000.0,
    soc_percent=50.0,
)


def steady(*steps: int) -> np.ndarray:
    power_w = np.zeros(N)
    power_w[list(steps)] = DEFAULT_LOAD_W
    return power_w


def sequence(shape: list[float], at: int) -> np.ndarray:
    return np.concatenate([np.zeros(at), shape, np.zeros(N - at - len(shape))])


GOOD = Schedule(
    np.zeros(N),
    np.zeros(N),
    [
        steady(*range(0, 16, 2)),
        sequence([2000.0, 200.0, 1800.0, 100.0], 16),
        sequence([2100.0, 300.0, 300.0, 500.0, 400.0], 43),
    ],
)


def test_a_schedule_costs_what_the_meter_shows() -> None:
    verdict = judge(HOME, GOOD)
    assert verdict.faults == []
    assert verdict.end_wh == 5000.0
    # 12 kWh of base load after PV, 12 of the steady load, 2.05 and 1.8 of the appliances
    assert verdict.eur == pytest.approx((12 + 12 + 2.05 + 1.8) * 0.30)


def test_a_battery_gives_no_more_than_it_holds_and_loses_on_the_way() -> None:
    wanted = dataclasses.replace(GOOD, battery_w=np.full(N, 100_000.0))
    verdict = judge(HOME, wanted)
    assert verdict.end_wh == pytest.approx(500.0)
    assert judge(HOME, GOOD).eur - verdict.eur < 4.5 * 0.95 * 0.30 + 1e-9
    full = judge(HOME, dataclasses.replace(GOOD, battery_w=np.full(N, -100_000.0)))
    assert full.end_wh == pytest.approx(10_000.0)
    assert full.eur - judge(HOME, GOOD).eur == pytest.approx(5.0 / 0.95 * 0.30)


@pytest.mark.parametrize(
    ("number", "power_w", "fault"),
    [
        (0, steady(*range(7)), "steady load"),
        (0, steady(*range(8)) / 2, "steady load"),
        (1, sequence([2000.0, 200.0, 1800.0, 100.0], 1), "dishes"),
        (1, sequence([2000.0, 200.0, 1800.0, 100.0], 17), "dishes"),
        (2, np.zeros(N), "laundry"),
    ],
)
def test_what_does_not_run_as_asked_is_a_fault(number: int, power_w: np.ndarray, fault: str) -> None:
    loads_w = [*GOOD.loads_w]
    loads_w[number] = power_w
    assert judge(HOME, dataclasses.replace(GOOD, loads_w=loads_w)).faults == [fault]


def test_more_than_the_grid_gives_is_a_fault() -> None:
    assert judge(dataclasses.replace(HOME, limit_w=3000.0), GOOD).faults == ["grid limit"]


def test_the_planner_understands_the_home_and_the_referee_its_plan() -> None:
    prices = 0.30 + 0.1 * np.sin(np.arange(N) / 7)
    home = dataclasses.replace(HOME, import_eur_per_kwh=prices)
    plan = plan_home(read_problem(json.dumps(home.for_hearth()).encode()))
    verdict = judge(home, of_hearth(home, plan))
    assert verdict.faults == []
    # its own losses differ a little from the referee's
    assert verdict.eur == pytest.approx(plan.money_eur.grid, rel=0.02)
