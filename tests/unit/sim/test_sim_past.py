"""The past an agent would have read, and that it joins the live house without a seam."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from hearth_core.clock import ManualClock
from hearth_core.errors import ConfigError
from hearth_core.points import POINTS
from hearth_models.tariffs import prices
from hearth_sim.history import HistoryOrder
from hearth_sim.home import demo_devices, demo_site
from hearth_sim.mqtt import read_broker
from hearth_sim.past import Past, past_of
from hearth_sim.recorded import konstanz, parse_instant
from hearth_sim.sdm630 import Sdm630
from hearth_sim.serving import HouseOptions, build_house
from hearth_sim.variation import konstanz_variation

UNTIL = parse_instant("2016-03-21T00:00:00Z")
WEEK_S = 7 * 86_400


@pytest.fixture(scope="module")
def past() -> Past:
    return past_of(konstanz_variation(1), UNTIL - WEEK_S, UNTIL, 300)


def column(past: Past, device: str, point: str) -> np.ndarray:
    return np.array(past.points[device][point], dtype=float)


def test_counters_run_on_into_the_live_house(past: Past) -> None:
    house = build_house(ManualClock(UNTIL), UNTIL, HouseOptions(seed=1))
    ends = {
        ("grid", "import_energy_wh"): house.counters.grid_import_wh,
        ("grid", "export_energy_wh"): house.counters.grid_export_wh,
        ("inverter", "energy_wh"): house.counters.inverter_wh,
        ("inverter", "pv_energy_wh"): house.counters.pv_dc_wh,
        ("charger", "energy_wh"): house.counters.ev_wh,
        ("inverter", "battery_charge_energy_wh"): house.counters.battery_charge_dc_wh,
    }
    for (device, point), end_wh in ends.items():
        values = column(past, device, point)
        assert (np.diff(values) >= 0).all()
        # the last reading is 5 minutes before the end; the charger counts in steps of 100 Wh, others of 1 Wh
        last_step_wh = column(past, device, "power_w")[-1] / 12 if point != "battery_charge_energy_wh" else 0.0
        resolution_wh = 100 if device == "charger" else 1.1
        assert values[-1] <= end_wh + 0.2
        assert end_wh <= values[-1] + abs(last_step_wh) + resolution_wh


def test_no_register_of_the_live_meter_is_behind_the_past(past: Past) -> None:
    """A counter that steps back by one unit of its float looks like a new meter to the hub."""
    house = build_house(ManualClock(UNTIL), UNTIL, HouseOptions(seed=1))
    imported, exported = struct.unpack(">2f", Sdm630(house).read(4, 72, 4))
    assert column(past, "grid", "import_energy_wh")[-1] <= imported * 1000
    assert column(past, "grid", "export_energy_wh")[-1] <= exported * 1000


def test_power_and_counters_tell_the_same_energy(past: Past) -> None:
    net_wh = column(past, "grid", "power_w")[:-1].sum() / 12
    counted = np.diff(column(past, "grid", "import_energy_wh")) - np.diff(column(past, "grid", "export_energy_wh"))
    assert counted.sum() == pytest.approx(net_wh, abs=20)
    pv_wh = column(past, "inverter", "power_w")[:-1].sum() / 12
    assert np.diff(column(past, "inverter", "energy_wh")).sum() == pytest.approx(pv_wh, abs=20)


def test_the_load_of_the_past_is_the_recorded_load(past: Past) -> None:
    record = konstanz()
    load = (column(past, "grid", "power_w") + column(past, "inverter", "power_w")).reshape(-1, 12).mean(axis=1)
    rows = slice(int(UNTIL - WEEK_S - record.start_s) // 3600, int(UNTIL - record.start_s) // 3600)
    wanted = record.house_w[rows] + record.ev_w[rows] + record.heat_pump_w[rows]
    np.testing.assert_allclose(load, wanted, atol=1.0)


def test_every_value_is_announced_and_plausible(past: Past) -> None:
    announced = {device.id: set(device.points) for device in demo_devices()}
    for device, columns in past.points.items():
        assert set(columns) == announced[device]
        for name, values in columns.items():
            assert len(values) == len(past.at_ms) == 2016
            known = [value for value in values if value is not None]
            assert bool(known) == (name != "soc_percent")
            assert all(POINTS[name].low <= value <= POINTS[name].high for value in known)


def test_the_car_is_seen_charging_and_each_session_starts_at_zero(past: Past) -> None:
    state = column(past, "charger", "vehicle_state")
    session = column(past, "charger", "session_energy_wh")
    assert set(state) == {1, 3, 4}
    assert session.min() == 0
    assert session.max() > 4000
    assert (column(past, "charger", "power_w")[state == 3] > 100).all()


@pytest.mark.parametrize(
    ("start_s", "until_s", "step_s", "field"),
    [
        (UNTIL - WEEK_S, UNTIL, 700, "step-s"),
        (UNTIL - WEEK_S, UNTIL + 60, 300, "until"),
        (UNTIL - 30 * WEEK_S, UNTIL, 300, "until"),
    ],
)
def test_a_past_that_cannot_be_told_is_refused(start_s: float, until_s: float, step_s: int, field: str) -> None:
    with pytest.raises(ConfigError) as error:
        past_of(konstanz_variation(1), start_s, until_s, step_s)
    assert error.value.field == field


def test_the_same_history_has_the_same_epoch_and_another_one_does_not() -> None:
    order = HistoryOrder("konstanz", UNTIL)
    assert order.epoch == HistoryOrder("konstanz", UNTIL).epoch
    assert len({order.epoch, HistoryOrder("konstanz", UNTIL, seed=2).epoch, HistoryOrder("anna", UNTIL).epoch}) == 3


def test_a_broker_address_is_read_and_a_wrong_one_refused_without_its_password() -> None:
    broker = read_broker("mqtt://anna:p%40ss@10.0.0.1?protocol=3.1.1")
    assert (broker.host, broker.port, broker.username, broker.password) == ("10.0.0.1", 1883, "anna", "p@ss")
    for wrong in ("http://x:1", "mqtt://", "mqtt://x?protocol=4", "mqtt://x?qos=1", "mqtt://u:secret@x:nine"):
        with pytest.raises(ConfigError) as error:
            read_broker(wrong)
        assert "secret" not in str(error.value)


def test_the_site_describes_the_simulated_house() -> None:
    site = demo_site()
    assert site.battery is not None
    assert (site.battery.capacity_wh, site.limits.main_fuse_a, site.price_zone) == (10_000, 35, "NL")
    import_price, _ = prices(site.tariff, np.array([0.0]), np.array([0.04]), site.timezone)
    assert import_price == pytest.approx(0.238)
