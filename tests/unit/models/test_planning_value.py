"""The value of stored energy, and what it is made from, against cases a person can reckon."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.forecasting import Quantiles
from hearth_models.planning.inputs import PlanError, extend_prices
from hearth_models.planning.scenarios import net_scenarios
from hearth_models.planning.value import Market, solve

LOSSLESS = Battery(10_000, 5_000, 5_000, 0, 100, 1.0, 0.0)


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
    past: FloatArray = np.array(days, dtype=np.float64).ravel()
    for loud, expected in ((True, -3_000.0), (False, 300.0)):
        last = np.flatnonzero(is_loud == loud)[-1]
        followed = net_scenarios(_forecast(0.0), _forecast(0.0), past[: (last + 1) * 24])
        # moved by 0.3 of the distance to the forecast, which says 0
        np.testing.assert_allclose(followed[:, 10:16].mean(), 0.7 * expected, rtol=0.02)


def test_the_present_difference_moves_the_next_hours_and_fades() -> None:
    past: FloatArray = np.tile(np.full(24, 400.0), 20)
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
