"""Inside the hour everything is invented, over the hour nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from hearth_sim.blocks import EV_HIGHEST_W, EV_LOWEST_W
from hearth_sim.clouds import clear_sky_bound
from hearth_sim.recorded import LATITUDE, LONGITUDE, Record, RecordError, fill_like_days, konstanz, parse_instant
from hearth_sim.solar import sine_of_elevation
from hearth_sim.variation import STEP_S, Hour, Variation

HOURS_TO_LOOK_AT = range(0, 4032, 7)


@pytest.fixture(scope="module")
def record() -> Record:
    return konstanz()


@pytest.fixture(scope="module")
def hours(record: Record) -> dict[int, Hour]:
    variation = Variation(record, seed=1)
    return {row: variation.hour(record.start_s // 3600 + row) for row in HOURS_TO_LOOK_AT}


def test_every_hour_keeps_the_recorded_energy(record: Record, hours: dict[int, Hour]) -> None:
    for row, hour in hours.items():
        car_w = hour.car_w.mean() + hour.charger_waiting_w
        found = [hour.house_w.sum(axis=0).mean(), hour.pv_w.mean(), hour.heat_pump_w.mean(), car_w]
        wanted = [record.house_w[row], record.pv_w[row], record.heat_pump_w[row], record.ev_w[row]]
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_the_same_seed_makes_the_same_hour_whatever_was_made_before(record: Record) -> None:
    number = record.start_s // 3600 + 1000
    alone = Variation(record, seed=5).hour(number)
    after_others = Variation(record, seed=5)
    for other in range(number - 12, number):
        after_others.hour(other)
    assert after_others.hour(number).rows == alone.rows
    assert Variation(record, seed=6).hour(number).rows != alone.rows


def test_pv_is_dark_at_night_and_below_the_bound_of_a_clear_sky(record: Record, hours: dict[int, Hour]) -> None:
    bound = clear_sky_bound(record.pv_w)
    for row, hour in hours.items():
        at_s = record.start_s + row * 3600 + np.arange(0.0, 3600, STEP_S)
        night = sine_of_elevation(at_s, LATITUDE, LONGITUDE) < -0.03
        assert hour.pv_w[night].sum() == 0
        assert hour.pv_w.min() >= 0
        assert hour.pv_w.max() <= 10_000
        lit = sine_of_elevation(at_s, LATITUDE, LONGITUDE) > 0.3
        if lit.all():
            assert hour.pv_w.max() <= 1.35 * bound[row] + 1


def test_clouds_pass_on_a_changeable_day(record: Record, hours: dict[int, Hour]) -> None:
    """Without ramps of kilowatts within a minute, local control would never be tried."""
    ramps = [np.abs(np.diff(hour.pv_w[::12])).max() for hour in hours.values()]
    assert max(ramps) > 2000


def test_the_car_charges_with_a_current_a_charger_can_offer(hours: dict[int, Hour]) -> None:
    charging = np.concatenate([hour.car_w[hour.car_w > 0] for hour in hours.values()])
    assert charging.size > 1000
    assert charging.min() >= EV_LOWEST_W
    assert charging.max() <= EV_HIGHEST_W


def test_a_compressor_runs_for_minutes_and_never_below_standby(record: Record) -> None:
    variation = Variation(record, seed=1)
    first = record.start_s // 3600
    power = np.concatenate([variation.hour(first + row).heat_pump_w for row in range(0, 240)])
    edges = np.flatnonzero(np.diff((power > 60).astype(int)))
    starts = [e for e in edges if power[e] <= 60]
    runs = [int(min((e for e in edges if e > start), default=power.size) - start) * STEP_S for start in starts]
    assert len(runs) > 5
    assert min(runs) >= 700


def test_the_house_never_falls_below_its_floor(record: Record, hours: dict[int, Hour]) -> None:
    for row, hour in hours.items():
        total = hour.house_w.sum(axis=0)
        assert hour.house_w.min() >= 0
        assert total.min() >= min(0.08 * record.house_w[row], 30.0)
        assert total.max() < 9_000


def test_a_missing_hour_is_filled_from_the_nearest_day_at_the_same_hour() -> None:
    hours = np.arange(96.0).reshape(-1, 1).repeat(2, axis=1)
    hours[30, 1] = np.nan
    hours[5] = np.nan
    filled = fill_like_days(hours)
    assert filled[30].tolist() == [6.0, 6.0]
    assert filled[5].tolist() == [29.0, 29.0]
    assert filled[31].tolist() == [31.0, 31.0]


def test_an_hour_no_day_knows_is_refused() -> None:
    hours = np.full((24, 1), 1.0)
    hours[3] = np.nan
    with pytest.raises(RecordError, match="row 3"):
        fill_like_days(hours)


def test_the_record_has_no_holes_and_no_negative_power(record: Record) -> None:
    for series in (record.house_w, record.pv_w, record.ev_w, record.heat_pump_w, record.cooling_w):
        assert series.size == record.hours == 4032
        assert np.isfinite(series).all()
        assert series.min() >= 0
    assert 5_700_000 < record.pv_w.sum() < 6_000_000


def test_beyond_the_record_time_wraps_to_the_same_weekday_and_hour(record: Record) -> None:
    first = record.start_s // 3600
    assert record.row(first) == 0
    assert record.row(first + 364 * 24 + 5) == 5
    for hour in (first - 1, first + 5000, first + 90_000):
        row = record.row(hour)
        assert 0 <= row < record.hours
        assert (first + row) % 168 == hour % 168


def test_an_instant_without_a_zone_is_refused() -> None:
    assert parse_instant("2016-04-04T00:00:00Z") == 1_459_728_000
    assert parse_instant("2016-04-04T02:00:00+02:00") == 1_459_728_000
    with pytest.raises(ValueError, match="time zone"):
        parse_instant("2016-04-04T00:00:00")


def test_the_sun_stands_where_an_almanac_says() -> None:
    """Konstanz, solar noon of the summer solstice 2016: 90 - 47.66 + 23.43 degrees."""
    noon = parse_instant("2016-06-20T11:25:00Z")
    height = np.degrees(np.arcsin(sine_of_elevation(np.array([noon]), LATITUDE, LONGITUDE)))[0]
    assert height == pytest.approx(65.77, abs=0.1)
