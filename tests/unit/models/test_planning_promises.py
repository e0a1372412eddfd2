"""What a home's plan promises over time: the same tomorrow as today, on short steps and long days, band by band."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hearth_models.planning import PlanError
from hearth_models.planning.joint_answer import Answer, AssetPlan, build, plan_home
from hearth_models.planning.problem import Problem, read_problem
from hearth_models.planning.search import Search

BANDS = [
    {"up_to_w": 500.0, "efficiency": 0.8},
    {"up_to_w": 3000.0, "efficiency": 0.95},
    {"up_to_w": 5000.0, "efficiency": 0.9},
]


def home(n: int, step_s: float = 3600.0, **parts: Any) -> Problem:
    given: dict[str, Any] = {
        "start": "2026-01-15T18:00:00+01:00",
        "steps_s": [step_s] * n,
        "import_eur_per_kwh": [0.30] * n,
        "export_eur_per_kwh": [0.08] * n,
        "load_w": [500.0] * n,
        "site": {"fuse_a": 35.0},
    }
    return read_problem(json.dumps(given | parts).encode())


def store(**changes: Any) -> dict[str, Any]:
    facts = {"capacity_wh": 10_000.0, "soc_percent": 0.0, "max_charge_w": 5000.0, "max_discharge_w": 5000.0}
    ends = {"min_soc_percent": 0.0, "efficiency": 1.0, "own_use_w": 0.0, "end_eur_per_kwh": 0.0}
    return {"name": "store"} | facts | ends | changes


def asset(answer: Answer, name: str) -> AssetPlan:
    return next(one for one in answer.assets if one.name == name)


def exact(problem: Problem) -> Answer:
    return plan_home(problem, 20.0, 0.0)


# efficiency by bands of power


def into_cells_wh(power_w: float, hours: float) -> float:
    """What a power moves into the cells, reckoned from the bands alone."""
    band = next(band for band in BANDS if abs(power_w) <= band["up_to_w"] + 0.06)  # powers are told to 0.1 W
    return power_w * hours * band["efficiency"] if power_w > 0 else power_w * hours / band["efficiency"]


def test_a_little_power_is_not_worth_its_band() -> None:
    """400 W of surplus for an hour: at 0.8 both ways 256 Wh come back, worth 0.077 EUR; feed-in pays 0.06 or 0.08."""
    given: dict[str, Any] = {
        "pv": [{"name": "roof", "power_w": [900.0, 0.0]}],
        "batteries": [store(efficiency=BANDS, can_charge_from_grid=False)],
    }
    kept = exact(home(2, export_eur_per_kwh=[0.15, 0.15], **given))
    assert asset(kept, "store").power_w == pytest.approx([400, -256], abs=0.1)
    assert kept.money_eur.total == pytest.approx(0.244 * 0.30, abs=1e-4)
    sold = exact(home(2, export_eur_per_kwh=[0.20, 0.20], **given))
    assert asset(sold, "store").power_w == [0, 0]
    assert sold.money_eur.total == pytest.approx(0.5 * 0.30 - 0.4 * 0.20, abs=1e-4)


def test_a_little_power_from_the_grid_lifts_a_surplus_into_a_better_band() -> None:
    """With the grid's help 501 W at 0.95 put 476 Wh into the cells, for 0.101 kWh more."""
    answer = exact(
        home(
            2,
            import_eur_per_kwh=[0.10, 0.30],
            export_eur_per_kwh=[0.08, 0.08],
            load_w=[500.0, 450.0],
            pv=[{"name": "roof", "power_w": [900.0, 0.0]}],
            batteries=[store(efficiency=BANDS)],
        )
    )
    assert asset(answer, "store").power_w[0] >= 500.5


def test_power_is_bought_in_the_band_that_loses_least() -> None:
    """Three cheap hours for 2 kWh in one dear hour, drawn at 0.95: 2 / 0.95 kWh in the cells cost 1 / 0.95 of that."""
    answer = exact(
        home(
            4,
            import_eur_per_kwh=[0.10, 0.10, 0.10, 0.50],
            load_w=[0.0, 0.0, 0.0, 2000.0],
            batteries=[store(efficiency=BANDS)],
        )
    )
    assert answer.money_eur.total == pytest.approx(0.10 * 2 / 0.95 / 0.95, abs=1e-4)
    assert all(w == 0 or 500 < w <= 3000 for w in asset(answer, "store").power_w[:3])


@st.composite
def homes(draw: st.DrawFn, efficiency: Any = None, feed_in: tuple[float, ...] = (0.3, 0.9, 1.2)) -> Problem:
    n = draw(st.integers(2, 12))

    def series(low: float, high: float) -> list[float]:
        return draw(st.lists(st.floats(low, high).map(lambda x: round(x, 3)), min_size=n, max_size=n))

    buy = series(0.05, 0.5)
    one = store(
        soc_percent=draw(st.sampled_from([10.0, 50.0, 100.0])),
        efficiency=efficiency or draw(st.sampled_from([0.9, 1.0])),
        own_use_w=draw(st.sampled_from([0.0, 15.0])),
        end_eur_per_kwh=draw(st.sampled_from([0.0, 0.15])),
        can_charge_from_grid=draw(st.booleans()),
    )
    return home(
        n,
        draw(st.sampled_from([900.0, 3600.0])),
        import_eur_per_kwh=buy,
        export_eur_per_kwh=[round(price * draw(st.sampled_from(feed_in)), 4) for price in buy],
        load_w=series(0, 4000),
        pv=[{"name": "roof", "power_w": series(0, 6000)}],
        batteries=[one],
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(homes(efficiency=BANDS))
def test_stored_energy_follows_from_the_bands_alone_and_all_switches_find_nothing_better(problem: Problem) -> None:
    answer = exact(problem)
    plan, part = asset(answer, "store"), problem.batteries[0]
    assert plan.stored_wh is not None
    before_wh = part.capacity_wh * part.soc_percent / 100
    for power_w, after_wh, hours in zip(plan.power_w, plan.stored_wh, problem.hours.tolist(), strict=True):
        assert after_wh - before_wh == pytest.approx(into_cells_wh(power_w, hours) - part.own_use_w * hours, abs=0.3)
        before_wh = after_wh
    joint, *_ = build(problem)
    search = Search(joint.programme, joint.cost, 20.0)
    search.insist()
    assert answer.money_eur.total == pytest.approx(float(joint.cost @ search.solve().values), abs=2e-4)


def lost_w(power_w: float, efficiency: float) -> float:
    """Conversion losses without their constant part: exact at thirds of 5 kW, straight lines in between."""
    share = 1 - efficiency if power_w > 0 else 1 / efficiency - 1
    edges_w = np.linspace(0, 5000, 4)
    return float(np.interp(abs(power_w), edges_w, 0.45 * share * edges_w + 0.40 * share / 2500 * edges_w**2))


def check_losses(problem: Problem) -> None:
    plan, part = asset(exact(problem), "store"), problem.batteries[0]
    assert plan.stored_wh is not None
    assert isinstance(part.efficiency, float)
    before_wh = part.capacity_wh * part.soc_percent / 100
    for power_w, after_wh, hours in zip(plan.power_w, plan.stored_wh, problem.hours.tolist(), strict=True):
        moved_wh = (power_w - lost_w(power_w, part.efficiency) - part.own_use_w) * hours
        assert after_wh - before_wh == pytest.approx(moved_wh, abs=0.3)
        before_wh = after_wh


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(homes())
def test_losses_are_those_of_the_power(problem: Problem) -> None:
    check_losses(problem)


def test_who_is_paid_for_drawing_power_loses_no_more_than_the_power_does() -> None:
    """A battery with room for 1 kWh would draw it with the losses of full power, if it could draw little with these."""
    check_losses(home(3, import_eur_per_kwh=[-0.2, -0.3, -0.2], batteries=[store(soc_percent=90.0, efficiency=0.9)]))


@pytest.mark.parametrize(
    ("bands", "named"),
    [
        ([{"up_to_w": 3000.0, "efficiency": 0.9}], r"batteries\[0\].efficiency: the last band ends"),
        ([*BANDS[::-1]], r"batteries\[0\].efficiency: up_to_w"),
        ([], "efficiency"),
        ([{"up_to_w": 5000.0, "efficiency": 1.2}], "efficiency"),
    ],
)
def test_bands_that_make_no_sense_are_refused(bands: list[dict[str, float]], named: str) -> None:
    with pytest.raises(PlanError, match=named):
        home(2, batteries=[store(efficiency=bands)])


# the same tomorrow as today


def step_cost(problem: Problem, answer: Answer, until: int) -> float:
    """What the grid costs in the first steps."""
    grid_kwh = np.array(answer.grid_w[:until]) / 1000 * problem.hours[:until]
    buy, sell = np.array(problem.import_eur_per_kwh[:until]), np.array(problem.export_eur_per_kwh[:until])
    return float(np.where(grid_kwh > 0, grid_kwh * buy, grid_kwh * sell).sum())


def cut(problem: Problem, until: int, end_eur_per_kwh: float) -> Problem:
    """Return the first steps of a problem; what is left in the battery is worth something."""
    return msgspec.structs.replace(
        problem,
        steps_s=problem.steps_s[:until],
        import_eur_per_kwh=problem.import_eur_per_kwh[:until],
        export_eur_per_kwh=problem.export_eur_per_kwh[:until],
        load_w=problem.load_w[:until],
        pv=[msgspec.structs.replace(pv, power_w=pv.power_w[:until]) for pv in problem.pv],
        batteries=[msgspec.structs.replace(one, end_eur_per_kwh=end_eur_per_kwh) for one in problem.batteries],
    )


def rest_of(problem: Problem, answer: Answer, first: int) -> Problem:
    """Return what is left of a problem when some steps of its plan have been lived."""
    stored_wh = asset(answer, "store").stored_wh
    assert stored_wh is not None
    soc_percent = min(max(stored_wh[first - 1] / problem.batteries[0].capacity_wh * 100, 0.0), 100.0)
    return msgspec.structs.replace(
        problem,
        steps_s=problem.steps_s[first:],
        import_eur_per_kwh=problem.import_eur_per_kwh[first:],
        export_eur_per_kwh=problem.export_eur_per_kwh[first:],
        load_w=problem.load_w[first:],
        pv=[msgspec.structs.replace(pv, power_w=pv.power_w[first:]) for pv in problem.pv],
        batteries=[msgspec.structs.replace(one, soc_percent=soc_percent) for one in problem.batteries],
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(homes(feed_in=(0.3, 0.9)), st.integers(1, 11))
def test_the_beginning_of_a_plan_is_the_best_beginning_at_the_worth_it_states(problem: Problem, until: int) -> None:
    """At the stated worth of what is stored, the first steps alone are no cheaper than the plan does them."""
    until = min(until, problem.n_steps - 1)
    whole = exact(problem)
    plan = asset(whole, "store")
    assert plan.worth_eur_per_kwh is not None
    assert plan.stored_wh is not None
    worth = plan.worth_eur_per_kwh[until - 1]
    short = exact(cut(problem, until, worth))
    lived = step_cost(problem, whole, until) - worth * plan.stored_wh[until - 1] / 1000
    assert short.money_eur.grid - short.money_eur.left_in_store == pytest.approx(lived, abs=2e-4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(homes(), st.integers(1, 11))
def test_what_is_left_of_a_plan_is_still_the_best(problem: Problem, first: int) -> None:
    first = min(first, problem.n_steps - 1)
    whole = exact(problem)
    later = exact(rest_of(problem, whole, first))
    lived = step_cost(problem, whole, first)
    assume(whole.money_eur.broken_wishes == 0)
    assert lived + later.money_eur.total == pytest.approx(whole.money_eur.total, abs=3e-4)


def test_a_plan_made_again_a_quarter_of_an_hour_later_keeps_its_powers() -> None:
    rng = np.random.default_rng(3)
    changed = steps = 0
    for _ in range(10):
        n, hour = 96, np.arange(96) / 4
        price = (0.25 + 0.08 * np.cos((hour - 19) / 12 * np.pi) + rng.normal(0, 0.01, 24).repeat(4)).round(3)
        sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * 4000
        problem = home(
            n,
            900.0,
            import_eur_per_kwh=price.tolist(),
            load_w=rng.gamma(2.0, 200, n).round().tolist(),
            pv=[{"name": "roof", "power_w": sun.round().tolist()}],
            batteries=[store(soc_percent=40.0, efficiency=0.95, own_use_w=10.0)],
        )
        whole = plan_home(problem)
        again = plan_home(rest_of(problem, whole, 1))
        before, after = (np.array(asset(answer, "store").power_w) for answer in (whole, again))
        changed += int((np.abs(before[1:] - after) > 50).sum())
        steps += n - 1
    assert changed / steps < 0.002


# steps and days of any length


def test_a_first_step_that_is_nearly_over_counts_with_what_is_left_of_it() -> None:
    """Seven minutes at 0.10, then a quarter of an hour at 0.50; a battery that takes 1 kW saves 117 Wh for it."""
    answer = plan_home(
        home(
            2,
            steps_s=[420.0, 900.0],
            import_eur_per_kwh=[0.10, 0.50],
            load_w=[1000.0, 1000.0],
            batteries=[store(max_charge_w=1000.0)],
        )
    )
    # 117 Wh of load and 117 Wh into the battery at 0.10; of the later 250 Wh the other 133 at 0.50
    assert asset(answer, "store").power_w == pytest.approx([1000, -466.7], abs=0.1)
    assert answer.money_eur.total == pytest.approx(0.23333 * 0.10 + 0.13333 * 0.50, abs=1e-4)
    assert answer.grid_w == pytest.approx([2000, 533.3], abs=0.1)


@pytest.mark.parametrize(
    ("start", "n", "change_step", "before", "after"),
    [
        ("2026-03-29T00:00:00+01:00", 92, 8, "01:45", "03:00"),
        ("2026-10-25T00:00:00+02:00", 100, 12, "02:45", "02:00"),
    ],
)
def test_a_day_on_which_the_clock_changes_is_told_by_that_clock(
    start: str, n: int, change_step: int, before: str, after: str
) -> None:
    """The dear hour lies just behind the change; the battery serves it, and the words name it as the clock does."""
    price = np.full(n, 0.20)
    price[change_step : change_step + 4] = 0.60
    given = {"start": start, "import_eur_per_kwh": price.tolist(), "batteries": [store(soc_percent=5.0)]}
    told = asset(plan_home(home(n, 900.0, timezone="Europe/Berlin", **given)), "store")
    assert len(told.power_w) == n
    assert np.flatnonzero(np.array(told.power_w) < -10).tolist() == list(range(change_step, change_step + 4))
    assert f"gives {after}-" in told.reasons[-1]
    problem = home(n, 900.0, timezone="Europe/Berlin", **given)
    seen = plan_home(
        msgspec.structs.replace(problem, load_w=[0.0] * (change_step - 1) + [99_000.0] + [0.0] * (n - change_step))
    )
    assert f", {before}-{after}" in seen.broken[0].text
    # without a timezone the offset of the start goes on
    plain = plan_home(home(n, 900.0, **given))
    assert f"gives {change_step // 4:02d}:00-" in asset(plain, "store").reasons[-1]


def test_a_timezone_that_nobody_knows_is_refused() -> None:
    with pytest.raises(PlanError, match="timezone"):
        home(2, timezone="Middle/Earth")
