"""The battery's physics: what goes in, what comes out, and what is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearth_core.site import BatteryFacts
from hearth_models.battery import Battery, BatteryError

BATTERY = Battery(10_000, 5_000, 4_000, min_soc_percent=5, max_soc_percent=95, efficiency=0.94, own_use_w=12)
LOSSLESS = Battery(10_000, 5_000, 5_000, min_soc_percent=0, max_soc_percent=100, efficiency=1.0, own_use_w=0)


def test_the_data_sheet_efficiency_is_met_at_half_power() -> None:
    assert BATTERY.charge_efficiency(2_500.0) == pytest.approx(0.94, abs=1e-12)
    assert BATTERY.discharge_efficiency(2_000.0) == pytest.approx(0.94, abs=1e-12)


def test_efficiency_is_worse_at_very_low_and_at_high_power() -> None:
    """A constant efficiency would make trickling 50 W look as good as 2 kW."""
    for share in (BATTERY.charge_efficiency, BATTERY.discharge_efficiency):
        low, middle, high = share(np.array([50.0, 1_500.0, 4_000.0]))
        assert low < 0.8 < middle
        assert high < middle


def test_a_lossless_battery_gives_back_what_it_took() -> None:
    stored, took = LOSSLESS.run(2_000.0, -3_000.0, 1_200)
    assert [stored, took] == pytest.approx([3_000, -3_000])
    stored, gave = LOSSLESS.run(stored, 3_000.0, 1_200)
    assert [stored, gave] == pytest.approx([2_000, 3_000])


def test_a_full_battery_takes_no_more_than_fits() -> None:
    stored, power = BATTERY.run(9_400.0, -5_000.0, 3_600)
    assert stored == pytest.approx(BATTERY.max_wh)
    # 100 Wh of room and 12 Wh of own use have to come in through the losses
    assert power == pytest.approx(BATTERY.ac_power_w(-112.0))
    assert -170 < power < -112


def test_an_empty_battery_gives_nothing_and_draws_its_own_use_from_outside() -> None:
    stored, power = BATTERY.run(BATTERY.min_wh, 3_000.0, 900)
    assert stored == pytest.approx(BATTERY.min_wh)
    assert power == pytest.approx(-12)


def test_waiting_costs_own_use() -> None:
    stored, power = BATTERY.run(5_000.0, 0.0, 7_200)
    assert [stored, power] == pytest.approx([5_000 - 24, 0])


@given(st.floats(0, 9_500), st.floats(-9_000, 9_000), st.sampled_from([1.0, 10.0, 900.0, 3_600.0]))
def test_energy_is_conserved_and_the_band_is_kept(stored: float, asked: float, duration: float) -> None:
    after, power = BATTERY.run(stored, asked, duration)
    hours = duration / 3600
    assert min(stored, BATTERY.min_wh) - 1e-6 <= after <= BATTERY.max_wh + 1e-6
    assert -BATTERY.max_charge_w - 1e-6 <= power <= BATTERY.max_discharge_w + 1e-6
    lost = stored - after - power * hours
    assert lost >= -1e-6
    assert lost >= BATTERY.own_use_w * hours - 1e-6


@given(st.lists(st.tuples(st.floats(0, 9_500), st.floats(-6_000, 6_000)), min_size=1, max_size=8))
def test_arrays_and_floats_agree(cases: list[tuple[float, float]]) -> None:
    """The planner counts with arrays, the simulated house with floats: they must be the same battery."""
    stored, asked = (np.array(column) for column in zip(*cases, strict=True))
    after, power = BATTERY.run(stored, asked, 300)
    for index, (one_stored, one_asked) in enumerate(cases):
        expected = BATTERY.run(one_stored, one_asked, 300)
        assert [after[index], power[index]] == pytest.approx(expected, abs=1e-6)


@given(st.floats(30, 4_000))
def test_cell_power_and_ac_power_are_inverse(power: float) -> None:
    for signed in (power, -power):
        assert BATTERY.ac_power_w(BATTERY.cell_power_w(signed)) == pytest.approx(signed, rel=1e-9)


def test_facts_of_the_site_become_the_battery() -> None:
    facts = BatteryFacts(capacity_wh=8_000, max_charge_w=3_000, max_discharge_w=4_000, wear_eur_per_kwh=0.02)
    battery = Battery.from_facts(facts)
    assert battery == Battery(8_000, 3_000, 4_000, 5.0, 100.0, 0.95, 10.0, 0.02)
    assert battery.soc_percent(battery.stored_wh(37.5)) == pytest.approx(37.5)


@pytest.mark.parametrize(
    ("field", "value"),
    [("capacity_wh", -1.0), ("max_charge_w", float("nan")), ("efficiency", 1.2), ("own_use_w", -3.0)],
)
def test_an_impossible_battery_is_refused_by_name(field: str, value: float) -> None:
    facts = {"capacity_wh": 1e4, "max_charge_w": 5e3, "max_discharge_w": 5e3, field: value}
    with pytest.raises(BatteryError, match=field):
        Battery(**facts)
