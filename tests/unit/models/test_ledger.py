"""The ledger: simple days by hand, and perfect foresight that nobody beats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.ledger import DayCosts, LedgerError, choose_policy, day_costs, night_steps

LOSSLESS = Battery(10_000, 5_000, 5_000, 0, 100, 1.0, 0.0)
REAL = Battery(8_000, 3_000, 3_000)


def reckon(
    load_w: FloatArray,
    pv_w: FloatArray,
    buys: FloatArray,
    sells: FloatArray,
    battery: Battery | None = LOSSLESS,
    start: float = 0.0,
    end: float = 0.0,
    step_s: int = 3_600,
    stored: float = 0.15,
) -> DayCosts:
    """Reckon a day whose realised course was that of a home without a battery."""
    net_w = load_w - pv_w
    hours = step_s / 3_600
    return day_costs(
        step_s,
        load_w,
        pv_w,
        np.maximum(net_w, 0) * hours,
        np.maximum(-net_w, 0) * hours,
        buys,
        sells,
        battery,
        start,
        end,
        stored_eur_per_kwh=stored,
    )


def test_a_sunny_day_by_hand() -> None:
    """1 kW for 24 h, 4 kW of sun from 10 to 14: without a battery 20 kWh bought, 12 sold; the rule saves 10 of them."""
    load_w, pv_w = np.full(24, 1_000.0), np.zeros(24)
    pv_w[10:14] = 4_000
    costs = reckon(load_w, pv_w, np.full(24, 0.30), np.full(24, 0.10), stored=0.2)
    assert costs.no_battery_eur == pytest.approx(20 * 0.30 - 12 * 0.10)
    assert costs.realised_eur == pytest.approx(costs.no_battery_eur)
    # 10 of the 12 kWh of surplus are stored and used from 14:00 on
    assert costs.self_consumption_eur == pytest.approx(10 * 0.30 - 2 * 0.10)
    # the timer is full at 05:00, empty again at 10:00 only in part: 5 kWh used, 5 kWh of room for the sun
    timer = (2 + 3 + 10) * 0.30 - (12 - 5) * 0.10
    assert costs.night_timer_eur == pytest.approx(timer, abs=0.02)
    assert costs.perfect_foresight_eur == pytest.approx(costs.self_consumption_eur, abs=0.02)
    assert costs.regret_eur == pytest.approx(costs.realised_eur - costs.perfect_foresight_eur)


def test_what_is_left_in_the_battery_is_settled_and_days_add_up() -> None:
    load_w, pv_w = np.full(24, 500.0), np.zeros(24)
    prices = np.full(24, 0.30), np.full(24, 0.10)
    first = reckon(load_w, pv_w, prices[0], prices[1], start=20, end=70, stored=0.2)
    second = reckon(load_w, pv_w, prices[0], prices[1], start=70, end=30, stored=0.2)
    both = reckon(
        np.tile(load_w, 2),
        np.tile(pv_w, 2),
        np.tile(prices[0], 2),
        np.tile(prices[1], 2),
        start=20,
        end=30,
        stored=0.2,
    )
    assert first.realised_eur == pytest.approx(24 * 0.5 * 0.30 - 5 * 0.2)
    assert first.realised_eur + second.realised_eur == pytest.approx(both.realised_eur)


def test_realised_is_reckoned_from_the_meter() -> None:
    """Import and export inside one step both count; their difference would hide money."""
    costs = day_costs(
        900,
        np.full(4, 800.0),
        np.full(4, 800.0),
        np.full(4, 100.0),
        np.full(4, 100.0),
        np.full(4, 0.3),
        np.full(4, 0.1),
        None,
        0,
        0,
    )
    assert costs.realised_eur == pytest.approx(0.4 * 0.3 - 0.4 * 0.1)
    assert costs.no_battery_eur == pytest.approx(0)


homes = st.tuples(
    st.lists(st.floats(0, 4_000), min_size=24, max_size=24),
    st.lists(st.floats(0, 6_000), min_size=24, max_size=24),
    st.lists(st.floats(-0.1, 0.6), min_size=24, max_size=24),
    st.floats(5, 100),
    st.floats(0.02, 0.3),
)


@settings(max_examples=20, deadline=None)
@given(homes)
def test_nobody_beats_perfect_foresight(home: tuple[list[float], list[float], list[float], float, float]) -> None:
    load, pv, price, start, stored_price = home
    buys = np.array(price)
    costs = reckon(np.array(load), np.array(pv), buys, buys - 0.05, REAL, start, start, stored=stored_price)
    assert costs.perfect_foresight_eur <= costs.self_consumption_eur + 1e-9
    assert costs.perfect_foresight_eur <= costs.night_timer_eur + 1e-9
    # holding still is a policy too: nothing but own use is lost by it
    idle = costs.no_battery_eur + 0.24 * (max(buys.max(), 0) + stored_price)
    assert costs.perfect_foresight_eur <= idle + 0.01


def test_foresight_finds_the_spread_that_no_rule_knows() -> None:
    buys = np.repeat([0.10, 0.50], 12)
    costs = reckon(np.full(24, 500.0), np.zeros(24), buys, np.full(24, 0.0), stored=0.05)
    assert costs.self_consumption_eur == pytest.approx(6 * 0.1 + 6 * 0.5)
    assert costs.perfect_foresight_eur == pytest.approx(12 * 0.1, abs=0.02)


@pytest.mark.parametrize("step_s", [10, 60, 300, 900])
def test_any_step_tells_the_same_day(step_s: int) -> None:
    n = 86_400 // step_s
    hour = np.arange(n) * step_s // 3_600
    load_w, pv_w = np.full(n, 700.0), np.where((hour > 8) & (hour < 16), 2_500.0, 0.0)
    buys = np.where(hour < 6, 0.1, 0.4)
    costs = reckon(load_w, pv_w, buys, np.full(n, 0.08), REAL, 30, 30, step_s)
    hourly = slice(None, None, 3_600 // step_s)
    coarse = reckon(load_w[hourly], pv_w[hourly], buys[hourly], np.full(24, 0.08), REAL, 30, 30)
    assert costs.self_consumption_eur == pytest.approx(coarse.self_consumption_eur, abs=0.01)
    assert costs.perfect_foresight_eur == pytest.approx(coarse.perfect_foresight_eur, abs=0.03)


def test_the_night_timer_knows_the_clock() -> None:
    march = night_steps(1_459_033_200.0, 900, 92, "Europe/Berlin")  # 27 March 2016: 02:00-03:00 does not exist
    october = night_steps(1_477_778_400.0, 900, 100, "Europe/Berlin")  # 30 October 2016: 02:00-03:00 twice
    assert (march.sum(), october.sum()) == (8, 16)


def test_missing_values_are_refused_by_name() -> None:
    load_w = np.full(24, 500.0)
    load_w[3] = np.nan
    with pytest.raises(LedgerError, match="load_w"):
        reckon(load_w, np.zeros(24), np.full(24, 0.3), np.full(24, 0.1))
    with pytest.raises(LedgerError, match="import_eur_per_kwh"):
        reckon(np.full(24, 500.0), np.zeros(24), np.full(23, 0.3), np.full(24, 0.1))


def test_the_better_policy_of_the_last_weeks_is_chosen() -> None:
    good, bad = np.full(28, 1.0), np.full(28, 1.2)
    assert choose_policy(good, bad) == "value_function"
    assert choose_policy(bad, good) == "rule"
    unknown = np.full(28, np.nan)
    assert choose_policy(unknown, good) == "value_function"
    # a few unlucky days are no reason to leave the plan
    unlucky = good + 0.5 * np.random.default_rng(1).normal(size=28)
    assert choose_policy(unlucky, np.full(28, float(unlucky.mean()) - 0.01)) == "value_function"
    assert choose_policy(unlucky, np.full(28, float(unlucky.mean()) - 0.1)) == "rule"
    mixed = bad.copy()
    mixed[:20] = np.nan
    assert choose_policy(mixed, good) == "rule"
