"""One battery and a day that is known: the joint programme against a person's reckoning and the value function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.planning.joint_answer import Answer, AssetPlan, plan_home
from hearth_models.planning.problem import BatteryPart, EfficiencyBand, Problem, Pv, Site
from hearth_models.planning.value import Market, solve

LOSSLESS = Battery(10_000, 5_000, 5_000, 0, 100, 1.0, 0.0)


def two_prices(low: float = 0.10, high: float = 0.30) -> FloatArray:
    """Cheap until noon, dear from then on."""
    return np.repeat([low, high], 12)


def course(
    net_w: FloatArray, market: Market, end_eur_per_kwh: float = 0.0, *, can_curtail: bool = False, **changes: Any
) -> tuple[Answer, AssetPlan]:
    """Plan 24 hours of net load with a battery of 10 kWh and 5 kW."""
    facts: dict[str, Any] = {"capacity_wh": 10_000.0, "max_charge_w": 5_000.0, "max_discharge_w": 5_000.0}
    wishes: dict[str, Any] = {"min_soc_percent": 0.0, "soc_percent": 0.0, "efficiency": 1.0, "own_use_w": 0.0}
    part = BatteryPart(name="store", end_eur_per_kwh=end_eur_per_kwh, **facts | wishes | changes)
    problem = Problem(
        start="2026-01-15T00:00:00+01:00",
        steps_s=[3600.0] * 24,
        import_eur_per_kwh=market.import_eur_per_kwh.tolist(),
        export_eur_per_kwh=market.export_eur_per_kwh.tolist(),
        load_w=np.maximum(net_w, 0.0).tolist(),
        site=Site(
            import_limit_w=min(market.import_limit_w, 1e6),
            export_limit_w=min(market.export_limit_w, 1e6),
            fuse_a=250.0,
        ),
        pv=[Pv(name="roof", power_w=np.maximum(-net_w, 0.0).tolist(), can_curtail=can_curtail)],
        batteries=[part],
    )
    answer = plan_home(problem, 20.0, 0.0)
    return answer, answer.assets[0]


def evenly(efficiency: float) -> list[EfficiencyBand]:
    return [EfficiencyBand(up_to_w=5_000.0, efficiency=efficiency)]


def cost_from(market: Market, battery: Battery, net_w: FloatArray, stored_wh: float, end_eur_per_kwh: float) -> float:
    grid = np.linspace(battery.min_wh, battery.max_wh, 81)
    terminal = (grid - grid[0]) / 1000 * end_eur_per_kwh
    value = solve(net_w[None], market, battery, 3_600, grid_points=81, terminal_eur=terminal)
    return -float(np.interp(stored_wh, value.stored_wh, value.value_eur[0]))


def test_a_two_price_day_costs_what_a_person_reckons() -> None:
    """500 W all day: 12 h at 0.10 and the 6 kWh of the dear half bought in the cheap half as well: 12 kWh x 0.10."""
    market, net_w = Market(two_prices(), np.full(24, 0.05)), np.full(24, 500.0)
    assert cost_from(market, LOSSLESS, net_w, 0.0, 0.0) == pytest.approx(1.20, abs=0.005)
    answer, store = course(net_w, market)
    assert answer.money_eur.total == pytest.approx(1.20, abs=1e-4)
    assert store.stored_wh is not None
    assert store.stored_wh[11] == pytest.approx(6_000)
    assert store.stored_wh[-1] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(answer.marginal_eur_per_kwh, 0.10, atol=1e-5)
    assert store.worth_eur_per_kwh is not None
    np.testing.assert_allclose(store.worth_eur_per_kwh[:-1], 0.10, atol=1e-5)


def test_losses_are_paid_to_the_cent() -> None:
    """With 0.9 each way, 6 kWh of dear load need 6 / 0.81 kWh of cheap power."""
    answer, store = course(np.full(24, 500.0), Market(two_prices(), np.full(24, 0.05)), efficiency=evenly(0.9))
    assert answer.money_eur.total == pytest.approx(0.10 * (6 + 6 / 0.81), abs=1e-4)
    # a kWh in the cells saves 0.9 kWh of 0.10 / 0.81
    assert store.worth_eur_per_kwh is not None
    assert store.worth_eur_per_kwh[5] == pytest.approx(0.10 / 0.9, abs=1e-5)
    assert answer.marginal_eur_per_kwh[20] == pytest.approx(0.10 / 0.81, abs=1e-5)


def test_a_spread_below_the_losses_is_left_alone() -> None:
    _, store = course(np.full(24, 500.0), Market(two_prices(0.25), np.full(24, 0.05)), efficiency=evenly(0.9))
    assert store.power_w == [0.0] * 24


def test_wear_is_a_cost_of_using_the_battery() -> None:
    battery = Battery(10_000, 5_000, 5_000, 0, 100, 1.0, 0.0, wear_eur_per_kwh=0.05)
    market = Market(two_prices(), np.full(24, 0.05))
    answer, _ = course(np.full(24, 500.0), market, wear_eur_per_kwh=0.05)
    assert answer.money_eur.total == pytest.approx(1.2 + 6 * 0.05, abs=1e-4)
    assert answer.money_eur.wear == pytest.approx(6 * 0.05, abs=1e-4)
    assert cost_from(market, battery, np.full(24, 500.0), 0.0, 0.0) == pytest.approx(1.5, abs=0.03)


def test_sun_is_kept_for_the_evening() -> None:
    """3 kW of surplus for 4 h, then 1 kW of load for 10 h: 10 kWh fit, 2 kWh are sold."""
    net_w = np.concatenate([np.full(4, -3_000.0), np.full(10, 1_000.0), np.zeros(10)])
    market = Market(np.full(24, 0.30), np.full(24, 0.08))
    answer, _ = course(net_w, market)
    assert answer.money_eur.total == pytest.approx(-2 * 0.08, abs=1e-4)
    assert cost_from(market, LOSSLESS, net_w, 0.0, 0.0) == pytest.approx(-0.16, abs=0.01)


day = st.lists(st.floats(-3_000, 3_000), min_size=24, max_size=24)
prices = st.lists(st.floats(0.02, 0.6), min_size=24, max_size=24)


@settings(max_examples=12, deadline=None)
@given(day, prices, st.floats(0, 100), st.floats(0, 0.4))
def test_programme_and_value_function_agree(net: list[float], price: list[float], soc: float, end: float) -> None:
    """Two independent solvers of the same certain day; the grid of charges may cost a little."""
    net_w, import_price = np.array(net), np.array(price)
    market = Market(import_price, import_price * 0.7)
    exact = course(net_w, market, end, soc_percent=soc)[0].money_eur.total
    stepped = cost_from(market, LOSSLESS, net_w, soc * 100, end)
    assert exact <= stepped + 5e-4
    assert stepped <= exact + 0.05 + 0.04 * abs(exact)


def test_a_plan_comes_back_when_wishes_cannot_be_kept() -> None:
    """Below the floor, over the fuse, more sun than may be fed in: all soft, and said."""
    net_w = np.concatenate([np.full(12, 9_000.0), np.full(12, -20_000.0)])
    market = Market(np.full(24, 0.3), np.full(24, 0.08), import_limit_w=6_000, export_limit_w=4_000)
    facts: dict[str, Any] = {"max_charge_w": 500.0, "min_soc_percent": 20.0, "soc_percent": 5.0}
    answer, _ = course(net_w, market, 0.1, **facts)
    broken = {one.wish: one.most for one in answer.broken}
    assert broken["charge floor"] > 1.0
    assert broken["import limit"] == pytest.approx(3.0, abs=0.501)
    assert broken["export limit"] == pytest.approx(16.0, abs=0.501)
    # PV that can be turned down keeps the export limit
    curtailed, _ = course(net_w, market, 0.1, can_curtail=True, **facts)
    assert "export limit" not in {one.wish for one in curtailed.broken}
    assert max(curtailed.spilled_pv_w) == pytest.approx(16_000, abs=501)


def test_where_feed_in_is_dearer_nobody_buys_and_sells_at_once() -> None:
    market, net_w = Market(np.full(24, 0.1), np.full(24, 0.4), 10_000, 10_000), np.full(24, 500.0)
    answer, store = course(net_w, market, 0.1, soc_percent=50.0)
    np.testing.assert_allclose(answer.grid_w, net_w + np.array(store.power_w), atol=0.2)
    # from 5 kWh full and empty in turn: 5 kW less 0.5 of load are sold in every other hour at most, and bought back
    assert answer.money_eur.total > -12 * 4.5 * 0.4
