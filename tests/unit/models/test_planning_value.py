"""The value of stored energy, and what it is made from, against cases a person can reckon."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_scenarios_keep_the_mean_and_hang_together() -> None:
    def forecast(level: float) -> Quantiles:
        return Quantiles(0.0, 3_600, np.full(48, level * 0.5), np.full(48, level), np.full(48, level * 2))

    load, pv = forecast(800.0), forecast(300.0)
    days = np.linspace(-1_000, 1_000, 10)[:, None] + np.random.default_rng(1).normal(0, 50, (10, 24))
    scenarios = net_scenarios(load, pv, days, 6 * 3_600.0)
    assert scenarios.shape == (10, 48)
    np.testing.assert_allclose(scenarios.mean(axis=0), load.mean_w - pv.mean_w, rtol=1e-6)
    # the day that was lowest all day is the lowest scenario at nearly every step
    assert (np.argmin(scenarios, axis=0) == 0).mean() > 0.9
    gappy = days.copy()
    gappy[3, 5] = np.nan
    assert np.isfinite(net_scenarios(load, pv, gappy, 0.0)).all()
    assert net_scenarios(load, pv, None, 0.0).shape[1] == 48


def test_unknown_prices_are_the_mean_of_the_last_days() -> None:
    known = np.concatenate([np.arange(24) / 100, np.arange(24) / 100 + 0.2, [0.5, np.nan]])
    extended = extend_prices(known, 0.0, 3_600, 72, days=2)
    np.testing.assert_allclose(extended[:49], known[:49])
    assert extended[50] == pytest.approx((0.02 + 0.22) / 2)
    assert len(extended) == 72
    with pytest.raises(PlanError, match="prices"):
        extend_prices(np.full(5, np.nan), 0.0, 3_600, 10)
