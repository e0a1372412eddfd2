"""The value of stored energy and the linear programme, against cases a person can reckon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.forecasting import Quantiles
from hearth_models.planning.inputs import PlanError, extend_prices
from hearth_models.planning.lp import solve_course
from hearth_models.planning.scenarios import net_scenarios
from hearth_models.planning.value import Market, solve

LOSSLESS = Battery(10_000, 5_000, 5_000, 0, 100, 1.0, 0.0)
HOURS = np.ones(24)


def two_prices(low: float = 0.10, high: float = 0.30) -> FloatArray:
    """Cheap until noon, dear from then on."""
    return np.repeat([low, high], 12)


def cost_from(market: Market, battery: Battery, net_w: FloatArray, stored_wh: float, end_eur_per_kwh: float) -> float:
    grid = np.linspace(battery.min_wh, battery.max_wh, 81)
    terminal = (grid - grid[0]) / 1000 * end_eur_per_kwh
    value = solve(net_w[None], market, battery, 3_600, grid_points=81, terminal_eur=terminal)
    return -float(np.interp(stored_wh, value.stored_wh, value.value_eur[0]))


def test_a_two_price_day_costs_what_a_person_reckons() -> None:
    """500 W all day: 12 h at 0.10 and the 6 kWh of the dear half bought in the cheap half as well: 12 kWh x 0.10."""
    market = Market(two_prices(), np.full(24, 0.05))
    net_w = np.full(24, 500.0)
    assert cost_from(market, LOSSLESS, net_w, 0.0, 0.0) == pytest.approx(1.20, abs=0.005)
    course = solve_course(net_w, market, LOSSLESS, 0.0, HOURS, 0.0)
    assert course.cost_eur == pytest.approx(1.20, abs=1e-6)
    assert course.stored_wh[11] == pytest.approx(6_000)
    assert course.stored_wh[-1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(course.marginal_eur_per_kwh, 0.10, atol=1e-6)
    np.testing.assert_allclose(course.stored_eur_per_kwh[:-1], 0.10, atol=1e-6)


def test_losses_are_paid_to_the_cent() -> None:
    """With 0.9 each way, 6 kWh of dear load need 6 / 0.81 kWh of cheap power."""
    battery = Battery(10_000, 5_000, 5_000, 0, 100, 0.9, 0.0)
    course = solve_course(np.full(24, 500.0), Market(two_prices(), np.full(24, 0.05)), battery, 0.0, HOURS, 0.0)
    assert course.cost_eur == pytest.approx(0.10 * (6 + 6 / 0.81), abs=1e-6)
    # a kWh in the cells saves 0.9 kWh of 0.10 / 0.81
    assert course.stored_eur_per_kwh[5] == pytest.approx(0.10 / 0.9, abs=1e-6)
    assert course.marginal_eur_per_kwh[20] == pytest.approx(0.10 / 0.81, abs=1e-6)


def test_a_spread_below_the_losses_is_left_alone() -> None:
    battery = Battery(10_000, 5_000, 5_000, 0, 100, 0.9, 0.0)
    course = solve_course(np.full(24, 500.0), Market(two_prices(0.25), np.full(24, 0.05)), battery, 0.0, HOURS, 0.0)
    np.testing.assert_allclose(course.battery_w, 0, atol=1e-6)


def test_wear_is_a_cost_of_using_the_battery() -> None:
    battery = Battery(10_000, 5_000, 5_000, 0, 100, 1.0, 0.0, wear_eur_per_kwh=0.05)
    market = Market(two_prices(), np.full(24, 0.05))
    assert solve_course(np.full(24, 500.0), market, battery, 0.0, HOURS, 0.0).cost_eur == pytest.approx(1.2 + 6 * 0.05)
    assert cost_from(market, battery, np.full(24, 500.0), 0.0, 0.0) == pytest.approx(1.5, abs=0.03)


def test_sun_is_kept_for_the_evening() -> None:
    """3 kW of surplus for 4 h, then 1 kW of load for 10 h: 10 kWh fit, 2 kWh are sold."""
    net_w = np.concatenate([np.full(4, -3_000.0), np.full(10, 1_000.0), np.zeros(10)])
    market = Market(np.full(24, 0.30), np.full(24, 0.08))
    course = solve_course(net_w, market, LOSSLESS, 0.0, HOURS, 0.0)
    assert course.cost_eur == pytest.approx(-2 * 0.08, abs=1e-6)
    assert cost_from(market, LOSSLESS, net_w, 0.0, 0.0) == pytest.approx(-0.16, abs=0.01)


day = st.lists(st.floats(-3_000, 3_000), min_size=24, max_size=24)
prices = st.lists(st.floats(0.02, 0.6), min_size=24, max_size=24)


@settings(max_examples=12, deadline=None)
@given(day, prices, st.floats(0, 10_000), st.floats(0, 0.4))
def test_programme_and_value_function_agree(net: list[float], price: list[float], stored_wh: float, end: float) -> None:
    """Two independent solvers of the same certain day; the grid of charges may cost a little."""
    net_w, import_price = np.array(net), np.array(price)
    market = Market(import_price, import_price * 0.7)
    exact = solve_course(net_w, market, LOSSLESS, stored_wh, HOURS, end).cost_eur
    stepped = cost_from(market, LOSSLESS, net_w, stored_wh, end)
    assert exact <= stepped + 1e-4
    assert stepped <= exact + 0.05 + 0.04 * abs(exact)


@settings(max_examples=15, deadline=None)
@given(day, prices, st.floats(0.5, 4))
def test_prices_times_two_cost_times_two(net: list[float], price: list[float], factor: float) -> None:
    net_w, import_price = np.array(net), np.array(price)
    one = solve_course(net_w, Market(import_price, import_price / 2), LOSSLESS, 3_000, HOURS, 0.1)
    two = solve_course(
        net_w, Market(import_price * factor, import_price / 2 * factor), LOSSLESS, 3_000, HOURS, 0.1 * factor
    )
    assert two.cost_eur == pytest.approx(one.cost_eur * factor, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(day, prices)
def test_energy_balances_and_the_band_is_kept(net: list[float], price: list[float]) -> None:
    net_w = np.array(net)
    battery = Battery(10_000, 5_000, 5_000, 10, 90, 0.95, 10)
    course = solve_course(net_w, Market(np.array(price), np.array(price) / 2), battery, 4_000, HOURS, 0.1)
    np.testing.assert_allclose(course.grid_w + course.battery_w - course.spilled_w, net_w, atol=1e-3)
    assert (course.stored_wh >= battery.min_wh - 1e-3).all()
    assert (course.stored_wh <= battery.max_wh + 1e-3).all()
    assert (np.abs(course.battery_w) <= 5_000 + 1e-6).all()


def test_a_plan_comes_back_when_wishes_cannot_be_kept() -> None:
    """Below the floor, over the fuse, more sun than may be fed in: all soft, and said."""
    net_w = np.concatenate([np.full(12, 9_000.0), np.full(12, -20_000.0)])
    market = Market(np.full(24, 0.3), np.full(24, 0.08), import_limit_w=6_000, export_limit_w=4_000)
    battery = Battery(10_000, 500, 5_000, 20, 100, 0.95, 0)
    course = solve_course(net_w, market, battery, 500, HOURS, 0.1)
    assert course.below_floor_wh[0] > 0
    assert course.beyond_fuse_w.max() == pytest.approx(3_000, abs=501)
    assert course.spilled_w.max() == pytest.approx(16_000, abs=501)


def test_where_feed_in_is_dearer_nobody_buys_and_sells_at_once() -> None:
    market = Market(np.full(24, 0.1), np.full(24, 0.4), 10_000, 10_000)
    net_w = np.full(24, 500.0)
    course = solve_course(net_w, market, LOSSLESS, 5_000, HOURS, 0.1, guide_w=np.zeros(24))
    np.testing.assert_allclose(course.grid_w + course.battery_w, net_w, atol=1e-6)
    assert course.cost_eur > -3


def test_more_is_never_worth_less() -> None:
    random = np.random.default_rng(2)
    net_w = random.normal(300, 1_500, (8, 48))
    market = Market(random.uniform(0.1, 0.4, 48), np.full(48, 0.08))
    value = solve(net_w, market, Battery(10_000, 5_000, 5_000), 3_600)
    assert (np.diff(value.value_eur, axis=1) >= -1e-6).all()


def test_what_is_left_at_the_end_is_worth_later_prices() -> None:
    """Without a sensible end a plan empties the battery into the grid on its last evening."""
    market = Market(np.full(48, 0.30), np.full(48, 0.08))
    value = solve(np.full((1, 48), 400.0), market, LOSSLESS, 3_600)
    assert value.end_eur_per_kwh == pytest.approx(0.30, abs=0.02)
    sunny = solve(np.tile(np.repeat([400.0, -4_000.0], [16, 8]), 2)[None], market, LOSSLESS, 3_600)
    assert 0.05 < sunny.end_eur_per_kwh < 0.25


def _forecast(level: float) -> Quantiles:
    return Quantiles(0.0, 3_600, np.full(48, level * 0.5), np.full(48, level), np.full(48, level * 2))


def test_scenarios_are_what_followed_upon_days_like_the_last() -> None:
    """A loud evening was always followed by a bright day, a quiet one by a dull day: 60 days drawn by a coin."""
    is_loud = np.random.default_rng(3).random(60) < 0.5
    noon = np.where(np.concatenate([[False], is_loud[:-1]]), -3_000.0, 300.0)
    days = [[500.0] * 8 + [sun] * 8 + [400.0 + 2_000 * loud] * 8 for sun, loud in zip(noon, is_loud, strict=True)]
    past = np.array(days).ravel()
    for loud, expected in ((True, -3_000.0), (False, 300.0)):
        last = np.flatnonzero(is_loud == loud)[-1]
        followed = net_scenarios(_forecast(0.0), _forecast(0.0), past[: (last + 1) * 24])
        # moved by 0.3 of the distance to the forecast, which says 0
        np.testing.assert_allclose(followed[:, 10:16].mean(), 0.7 * expected, rtol=0.02)


def test_the_present_difference_moves_the_next_hours_and_fades() -> None:
    past = np.tile(np.full(24, 400.0), 20)
    usual = net_scenarios(_forecast(400.0), _forecast(0.0), past)
    past[-1] = 2_400.0
    moved = net_scenarios(_forecast(400.0), _forecast(0.0), past) - usual
    assert 0.3 * 2_000 < moved[:, 0].mean() < 2_000
    assert (np.diff(moved.mean(axis=0)[:23]) < 0).all()
    assert abs(moved[:, 20].mean()) < 5


def test_without_a_week_of_past_the_scenarios_spread_around_the_forecast() -> None:
    load, pv = _forecast(800.0), _forecast(300.0)
    for past in (None, np.zeros(24 * 6), np.full(24 * 30, np.nan)):
        scenarios = net_scenarios(load, pv, past)
        np.testing.assert_allclose(scenarios.mean(axis=0), load.mean_w - pv.mean_w, rtol=1e-6)
        assert (np.diff(scenarios, axis=0) > 0).all()


@given(st.integers(7, 70), st.integers(0, 23), st.integers(0, 2**32 - 1))
def test_scenarios_never_read_what_is_missing_or_not_yet_there(days: int, more: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    past = random.normal(500, 800, days * 24 + more)
    past[random.random(len(past)) < 0.2] = np.nan
    scenarios = net_scenarios(_forecast(500.0), _forecast(0.0), past)
    assert scenarios.shape[1] == 48
    assert np.isfinite(scenarios).all()
    assert np.array_equal(scenarios, net_scenarios(_forecast(500.0), _forecast(0.0), past.copy()))


def test_unknown_prices_are_the_mean_of_the_last_days() -> None:
    known = np.concatenate([np.arange(24) / 100, np.arange(24) / 100 + 0.2, [0.5, np.nan]])
    extended = extend_prices(known, 0.0, 3_600, 72, days=2)
    np.testing.assert_allclose(extended[:49], known[:49])
    assert extended[50] == pytest.approx((0.02 + 0.22) / 2)
    assert len(extended) == 72
    with pytest.raises(PlanError, match="prices"):
        extend_prices(np.full(5, np.nan), 0.0, 3_600, 10)


def test_nonsense_is_refused_by_name() -> None:
    with pytest.raises(PlanError, match="import_eur_per_kwh"):
        solve_course(np.zeros(3), Market(np.array([0.1, np.nan, 0.1]), np.zeros(3)), LOSSLESS, 0, np.ones(3), 0)
