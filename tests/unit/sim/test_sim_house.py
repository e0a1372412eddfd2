"""The physics: energy is conserved, orders are obeyed within limits, and what was held back comes later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hearth_core.clock import ManualClock
from hearth_core.errors import ConfigError
from hearth_sim import memory
from hearth_sim.counters import counters_at
from hearth_sim.house import INVERTER_RATED_W, House
from hearth_sim.limits import LimitWatch
from hearth_sim.recorded import parse_instant
from hearth_sim.report import truth, write_atomically
from hearth_sim.serving import HouseOptions, build_house

NIGHT = parse_instant("2016-04-04T00:00:00Z")
NOON = parse_instant("2016-04-04T11:00:00Z")
EV_DAY = parse_instant("2016-03-16T05:00:00Z")

MakeHouse = Callable[..., tuple[House, ManualClock]]


@pytest.fixture(scope="module")
def make_house() -> MakeHouse:
    def make(start_s: float, **options: object) -> tuple[House, ManualClock]:
        clock = ManualClock(start_s)
        return build_house(clock, start_s, HouseOptions(**options)), clock  # type: ignore[arg-type]

    return make


def live(house: House, clock: ManualClock, seconds: float) -> None:
    clock.now_s += seconds
    house.advance()


def energy(house: House, name: str) -> float:
    return float(getattr(house.counters, name) - getattr(house.start_counters, name))


def test_energy_is_conserved_to_rounding_through_orders_and_all(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT)
    for hour in range(48):
        house.storage.mode = hour % 4
        house.storage.discharge_share, house.storage.charge_share = (0.3, -0.2) if hour % 3 else (-0.4, 1.0)
        house.storage.grid_charge = hour % 2 == 0
        live(house, clock, 3600)
    net = energy(house, "grid_import_wh") - energy(house, "grid_export_wh")
    battery = energy(house, "battery_discharge_wh") - energy(house, "battery_charge_wh")
    assert energy(house, "load_wh") == pytest.approx(net + energy(house, "pv_wh") + battery, abs=1e-6)
    assert energy(house, "battery_charge_wh") > 5_000


def test_at_every_instant_load_is_grid_plus_inverter(make_house: MakeHouse) -> None:
    house, clock = make_house(NOON)
    for _ in range(500):
        live(house, clock, 7.3)
        flows = house.flows
        assert flows.load_w == pytest.approx(house.supply().power_w + flows.inverter_w, abs=1e-9)


def test_how_time_is_stepped_does_not_matter(make_house: MakeHouse) -> None:
    """A poll every second and one glance an hour must tell the same story."""
    often, clock_often = make_house(NOON)
    once, clock_once = make_house(NOON)
    for _ in range(1200):
        live(often, clock_often, 3.0)
    live(once, clock_once, 3600)
    assert often.counters.load_wh == pytest.approx(once.counters.load_wh, abs=1e-6)
    assert often.counters.grid_import_wh == pytest.approx(once.counters.grid_import_wh, abs=1.0)
    # losses are not linear in power, so averaging over 5 instead of 3 s moves the cells a little
    assert often.stored_wh == pytest.approx(once.stored_wh, abs=1.0)


def test_left_alone_the_inverter_covers_the_load_and_absorbs_the_surplus(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT)
    live(house, clock, 3600)
    assert energy(house, "grid_import_wh") < 0.03 * energy(house, "load_wh")
    sunny, clock = make_house(NOON - 4 * 3600, soc_percent=20.0)
    live(sunny, clock, 1800)
    assert sunny.soc_percent > 25


def test_forced_charge_draws_from_the_grid_only_when_that_is_allowed(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT, soc_percent=20.0)
    house.storage.mode, house.storage.discharge_share = 2, -0.5
    live(house, clock, 600)
    assert house.flows.battery_w == pytest.approx(0, abs=1)
    house.storage.grid_charge = True
    live(house, clock, 600)
    assert house.flows.battery_w == pytest.approx(-2500, abs=1)
    assert house.supply().power_w == pytest.approx(2500 + house.flows.load_w, abs=1)
    assert house.soc_percent > 22


def test_an_order_ramps_within_two_seconds(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT)
    live(house, clock, 60)
    house.storage.mode, house.storage.charge_share = 1, -0.6
    live(house, clock, 0.5)
    assert 800 < house.flows.battery_w < 2900
    live(house, clock, 2.5)
    assert house.flows.battery_w == pytest.approx(3000, abs=60)


def test_a_lease_that_is_not_renewed_ends_at_its_second(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT, soc_percent=20.0)
    storage = house.storage
    storage.mode, storage.discharge_share, storage.grid_charge = 2, -1.0, True
    storage.lease.timeout_s = 60
    storage.lease.renew(clock.now_s)
    live(house, clock, 59.9)
    assert storage.mode == 2
    live(house, clock, 3600)
    assert (storage.mode, storage.reversions) == (0, 1)
    assert energy(house, "battery_charge_wh") == pytest.approx(5000 * 60 / 3600, rel=0.02)


def test_the_inverter_never_exceeds_its_rating_or_the_ordered_limit(make_house: MakeHouse) -> None:
    house, clock = make_house(NOON, soc_percent=90.0)
    house.storage.mode, house.storage.charge_share = 1, -1.0
    for _ in range(200):
        live(house, clock, 5)
        assert house.flows.inverter_w <= INVERTER_RATED_W + 1e-6
    house.storage.mode = 0
    house.storage.output_limited, house.storage.output_share = True, 0.2
    live(house, clock, 60)
    assert house.flows.inverter_w == pytest.approx(2000, abs=1)
    assert house.flows.pv_w < house.flows.pv_possible_w


def test_charge_stays_in_its_band(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT, soc_percent=6.0)
    house.storage.mode, house.storage.charge_share = 1, -1.0
    live(house, clock, 7200)
    assert house.soc_percent == pytest.approx(5.0, abs=0.01)
    house.storage.mode, house.storage.discharge_share, house.storage.grid_charge = 2, -1.0, True
    live(house, clock, 4 * 3600)
    assert house.soc_percent == pytest.approx(100.0, abs=0.01)
    assert house.watch.broken == []


def test_contradicting_orders_stop_the_battery(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT)
    house.storage.mode, house.storage.discharge_share, house.storage.charge_share = 3, -0.5, -0.5
    live(house, clock, 30)
    assert house.flows.battery_w == pytest.approx(0, abs=0.1)


def test_a_car_held_back_catches_up_and_gets_all_its_energy(make_house: MakeHouse) -> None:
    free, clock = make_house(EV_DAY)
    live(free, clock, 16 * 3600)
    wanted_wh = energy(free, "ev_wh")
    assert wanted_wh > 9_000

    slow, clock = make_house(EV_DAY)
    slow.charger.limit_a = 6.0
    live(slow, clock, 6 * 3600)
    assert slow.flows.ev_w == pytest.approx(1380, abs=5)
    assert slow.car.backlog_wh > 1000
    slow.charger.limit_a = 16.0
    live(slow, clock, 10 * 3600)
    assert slow.car.backlog_wh == 0
    assert energy(slow, "ev_wh") == pytest.approx(wanted_wh, abs=0.5)
    assert slow.watch.broken == []


def test_a_paused_car_draws_nothing_and_stays_plugged(make_house: MakeHouse) -> None:
    house, clock = make_house(EV_DAY)
    house.charger.forced = 1
    live(house, clock, 5 * 3600)
    assert house.flows.ev_w < 20
    assert house.plugged
    house.charger.forced, house.charger.allowed = 2, False
    live(house, clock, 60)
    assert house.flows.ev_w == pytest.approx(3680, abs=5)


def test_a_blocked_heat_pump_waits_and_catches_up(make_house: MakeHouse) -> None:
    start_s = parse_instant("2016-02-02T02:00:00Z")
    free, clock = make_house(start_s)
    live(free, clock, 12 * 3600)
    house, clock = make_house(start_s)
    house.heat_pump_blocked = True
    live(house, clock, 3 * 3600)
    assert energy(house, "heat_pump_wh") <= 31
    house.heat_pump_blocked = False
    live(house, clock, 9 * 3600)
    assert energy(house, "heat_pump_wh") == pytest.approx(energy(free, "heat_pump_wh"), abs=1.0)


def test_counters_begin_where_the_record_without_battery_ends(make_house: MakeHouse) -> None:
    house, clock = make_house(NOON + 1234.5)
    assert house.counters == counters_at(house.variation, NOON + 1234.5)
    # a battery that may do nothing: the live counters follow the record's
    house.storage.mode, house.storage.discharge_share, house.storage.charge_share = 3, 0.0, 0.0
    live(house, clock, 5000)
    later = counters_at(house.variation, clock.now_s)
    assert house.counters.grid_export_wh == pytest.approx(later.grid_export_wh, abs=0.01)
    assert house.counters.grid_import_wh == pytest.approx(later.grid_import_wh, abs=0.01)
    assert house.counters.phase_import_wh == pytest.approx(later.phase_import_wh, abs=0.01)


def test_nothing_moves_while_the_clock_stands_or_has_not_come_to_the_start(make_house: MakeHouse) -> None:
    house, clock = make_house(NIGHT)
    clock.now_s = NIGHT - 100
    house.advance()
    assert house.at_s == NIGHT
    clock.now_s = NIGHT
    house.advance()
    assert energy(house, "load_wh") == 0


def test_a_start_charge_outside_the_band_is_refused(make_house: MakeHouse) -> None:
    with pytest.raises(ConfigError, match=r"soc = 3\.0"):
        make_house(NIGHT, soc_percent=3.0)


def test_a_blown_fuse_is_reported_once_with_its_worst_current() -> None:
    watch = LimitWatch(35, None, (5, 100))
    for second in range(20):
        watch.look(1000 + second, (9_000.0 + 10 * second, 0.0, 0.0), 0.0, 50.0, 0.0)
    watch.look(1021, (0.0, 0.0, 0.0), 0.0, 50.0, 0.0)
    assert [entry["limit"] for entry in watch.broken] == ["main_fuse_l1"]
    assert watch.broken[0]["at_ms"] == 1_000_000
    assert watch.broken[0]["value"] > 39.5


def test_a_short_peak_blows_no_fuse() -> None:
    watch = LimitWatch(35, None, (5, 100))
    for second in range(4):
        watch.look(1000 + second, (9_500.0, 0.0, 0.0), 0.0, 50.0, 0.0)
    watch.look(1004, (100.0, 0.0, 0.0), 0.0, 50.0, 0.0)
    watch.look(1020, (9_500.0, 0.0, 0.0), 0.0, 50.0, 0.0)
    assert watch.broken == []


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("export_limit", (0.0, 5000.0, 50.0, 0.0)),
        ("soc_band", (0.0, 0.0, 4.8, 0.0)),
        ("ev_current", (0.0, 0.0, 50.0, 3.0)),
    ],
)
def test_other_limits_are_watched_too(name: str, moment: tuple[float, float, float, float]) -> None:
    watch = LimitWatch(35, 4000, (5, 100))
    grid_w, export_w, soc_percent, car_a = moment
    for second in range(70):
        watch.look(1000 + second, (grid_w,) * 3, export_w, soc_percent, car_a)
    assert [entry["limit"] for entry in watch.broken] == [name]


def test_a_restarted_house_goes_on_where_it_was(make_house: MakeHouse, tmp_path: Path) -> None:
    house, clock = make_house(EV_DAY)
    house.charger.limit_a = 6.0
    live(house, clock, 5 * 3600)
    path = tmp_path / "state.json"
    write_atomically(path, memory.remember(house, {}))

    again, clock = make_house(EV_DAY)
    found = memory.load(path)
    assert found is not None
    assert found.belongs_to(again)
    memory.recall(found, again, {})
    assert truth(again, {}) == truth(house, {})
    assert again.plugged
    live(again, clock, 5 * 3600 + 60)
    assert again.counters.load_wh > house.counters.load_wh
    assert not found.belongs_to(make_house(EV_DAY, seed=2)[0])


def test_a_spoilt_memory_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"start_s": 1')
    with pytest.raises(ConfigError, match="Delete it"):
        memory.load(path)
    assert memory.load(tmp_path / "nothing.json") is None
