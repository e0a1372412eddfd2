"""Recorded homes lived again: only the past is known, homes and prices are found, the car leaves full."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from hearth_core.errors import ConfigError
from hearth_core.tariff import ExportKind, Tariff
from hearth_models.backtest.car import CarLife, Session, read_sessions
from hearth_models.backtest.homes import RecordedHome, find_homes
from hearth_models.backtest.life import Life
from hearth_models.backtest.market import BacktestError, Laid, joined, lay, published_until_s
from hearth_models.backtest.outcome import Outcome, backtest
from hearth_models.battery import Battery
from hearth_models.cli import app
from hearth_models.features import Place
from hearth_models.planning.value import Market
from hearth_models.series import Recorded

START_S = datetime(2016, 3, 1, tzinfo=UTC).timestamp()
DAYS = 10
KONSTANZ = Place("Europe/Berlin", 47.66, 9.17)
BATTERY = Battery(10_000, 5_000, 5_000)
FEES = Tariff(import_adder_eur_per_kwh=0.15, export_kind=ExportKind.FIXED, export_eur_per_kwh=0.06)
SPOT = Tariff(export_kind=ExportKind.SPOT)


def home(step_s: int = 3_600, seed: int = 1, days: int = DAYS) -> RecordedHome:
    hour = np.arange(days * 86_400 // step_s) * step_s / 3_600 % 24
    random = np.random.default_rng(seed)
    load_w = 400 + 900 * np.exp(-(((hour - 18) / 2.5) ** 2)) + random.normal(0, 60, len(hour))
    bright = np.repeat(random.uniform(0.2, 1.0, days), 86_400 // step_s)
    sun_w = np.maximum(0, 3_000 * np.sin((hour - 6) / 12 * np.pi)) * bright
    load, sun = Recorded(START_S, step_s, np.maximum(load_w, 0)), Recorded(START_S, step_s, sun_w)
    return RecordedHome("anna", load, sun, KONSTANZ, "told")


def prices(days: int = DAYS, start_s: float = START_S) -> Recorded:
    hour = np.arange(days * 24) % 24
    wave = 0.02 * np.sin(hour / 24 * 4 * np.pi)
    return Recorded(start_s, 3_600, np.where((hour >= 17) & (hour < 20), 0.16, 0.05) + wave)


@pytest.mark.parametrize(("step_s", "tariff"), [(3_600, FEES), (900, FEES), (900, SPOT)])
def test_the_order_of_policies_is_as_it_must_be(step_s: int, tariff: Tariff) -> None:
    shares: list[float] = []
    outcome, year = backtest(home(step_s), prices(), BATTERY, tariff, progress=shares.append)
    costs = outcome.cost_eur
    assert costs.perfect_foresight <= min(costs.hearth, costs.self_consumption, costs.night_timer) + 1e-6
    assert costs.hearth < costs.no_battery
    assert costs.hearth < costs.self_consumption
    assert outcome.days == DAYS
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    # what was lived is physics: the charge stays in its band and the powers in their limits
    assert (year.hearth.stored_wh >= BATTERY.min_wh - 1e-6).all()
    assert (year.hearth.stored_wh <= BATTERY.max_wh + 1e-6).all()
    assert np.abs(year.hearth.battery_w).max() <= 5_000 + 1e-6
    np.testing.assert_allclose(year.hearth.grid_w + year.hearth.battery_w, year.life.net_w)
    assert outcome.captured_of_oracle == pytest.approx(
        (costs.no_battery - costs.hearth) / (costs.no_battery - costs.perfect_foresight), abs=1e-4
    )


def test_later_records_and_prices_change_nothing_before_them() -> None:
    """A backtest that peeks would promise what no home can have."""
    known, market = home(), prices(DAYS + 3)
    cut = 4 * 24

    def lived(one: RecordedHome, spot: Recorded) -> Any:
        life = Life.of(one, Laid(spot, 0, START_S, START_S + DAYS * 86_400), BATTERY, FEES)
        return life.live(None, lambda _: None)[1].grid_w[:cut]

    changed = market.values.copy()
    # on day four the prices of day five are not out before 12:45 Brussels time, those of day six not at all
    changed[(4 + 2) * 24 :] *= 3
    later = known.load.values.copy()
    later[cut:] *= 3
    other = RecordedHome("anna", Recorded(START_S, 3_600, later), known.pv, KONSTANZ, "told")
    # gaps are filled with the days around, so both are lived without any
    np.testing.assert_array_equal(lived(known, market), lived(other, Recorded(START_S, 3_600, changed)))


def test_homes_are_found_by_their_columns(tmp_path: Path) -> None:
    street = tmp_path / "street"
    street.mkdir()
    rows = ["2016-03-01T00:00:00Z,1,2,3,4", "2016-03-01T01:00:00Z,1,2,3,"]
    write(street / "street_60min.csv.gz", "timestamp_utc,load_w_home1,load_w_home2,pv_model_w_home2,other", rows)
    (street / "README.md").write_text("Place: somewhere (Australia/Sydney).")
    alone = tmp_path / "alone"
    alone.mkdir()
    write(alone / "alone.csv.gz", "timestamp_utc,load_w,pv_w", ["2016-03-01T00:00:00Z,1,0", "2016-03-01T12:00:00Z,1,9"])
    write(tmp_path / "prices.csv.gz", "timestamp_utc,price_eur_per_mwh", rows)
    found = {one.name: one for one in find_homes(tmp_path)}
    assert list(found) == ["alone", "street_home1", "street_home2"]
    assert found["street_home1"].pv is None
    assert found["street_home2"].pv is not None
    place = found["street_home1"].place
    assert (place.timezone, round(place.latitude), round(place.longitude)) == ("Australia/Sydney", -34, 151)
    # the roof yields most in the step from 12:00 to 24:00 UTC: a quarter of the world further west
    assert found["alone"].place_from == "sun"
    assert found["alone"].place.longitude == pytest.approx(-90)
    for wanted, names in (("home2", ["street_home2"]), ("street", ["street_home1", "street_home2"])):
        assert [one.name for one in find_homes(tmp_path, wanted)] == names
    with pytest.raises(ConfigError, match="street_home2"):
        list(find_homes(tmp_path, "nobody"))
    with pytest.raises(ConfigError, match="no directory"):
        list(find_homes(tmp_path / "missing"))


def test_prices_of_other_years_are_moved_by_whole_weeks_nearest_to_whole_years() -> None:
    at_s = datetime(2012, 6, 1, tzinfo=UTC).timestamp()
    ten_years = Recorded(datetime(2015, 1, 1, tzinfo=UTC).timestamp(), 3_600, np.arange(24 * 365 * 9, dtype=float))
    laid = lay(ten_years, at_s, at_s + 365 * 86_400)
    assert laid.moved_days % 7 == 0
    assert abs(-laid.moved_days / 365.2425 - 3) < 0.02
    assert laid.prices.start_s <= at_s
    assert lay(ten_years, ten_years.start_s + 86_400, ten_years.end_s).moved_days == 0


def test_prices_shorter_than_a_recording_are_lived_as_far_as_they_go() -> None:
    begin_s = START_S - 100 * 86_400
    own_time = lay(prices(40), begin_s, START_S + 100 * 86_400)
    assert (own_time.moved_days, own_time.from_s, own_time.until_s) == (0, START_S, START_S + 40 * 86_400)
    other_year = lay(prices(40), begin_s - 1_000 * 86_400, begin_s - 800 * 86_400)
    assert other_year.moved_days % 7 == 0
    assert other_year.from_s == begin_s - 1_000 * 86_400
    assert 33 < (other_year.until_s - other_year.from_s) / 86_400 <= 40
    outcome, _ = backtest(home(days=12), prices(5), BATTERY, SPOT)
    assert outcome.days == 5
    with pytest.raises(BacktestError, match="at least a day"):
        backtest(home(), Recorded(START_S, 3_600, np.full(5, 0.1)), BATTERY, SPOT)


def test_tomorrows_prices_are_known_from_a_quarter_to_one() -> None:
    morning = datetime(2016, 3, 1, 11, 44, tzinfo=UTC).timestamp()
    assert published_until_s(morning) == datetime(2016, 3, 1, 23, tzinfo=UTC).timestamp()
    assert published_until_s(morning + 60) == datetime(2016, 3, 2, 23, tzinfo=UTC).timestamp()


def test_means_of_neighbours_need_half_of_them() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, np.nan, np.nan, 7.0])
    np.testing.assert_array_equal(joined(values, 2), [2.0, 5.0, np.nan])


def test_the_car_charges_in_the_cheapest_hours_of_its_window() -> None:
    """10 kWh at 7.36 kW in six hours of which two are cheap: 7.36 kWh at 0.10 and 2.64 at 0.20 are 1.264 EUR."""
    price = np.array([0.5, 0.3, 0.2, 0.1, 0.4, 0.5, 0.6, 0.6])
    market = Market(price, np.full(8, 0.05))
    house = np.full(8, 300.0)
    car = CarLife([Session(START_S, START_S + 6 * 3_600, 10_000)], START_S, 3_600, 8)
    for step in range(8):
        ahead = Market(price[step:], np.full(8 - step, 0.05))
        car.plan(step, house[step:], np.zeros(8 - step), ahead, 3_600)
    cost = float(car.charged_w @ price) / 1000
    assert car.charged_w.sum() == pytest.approx(10_000, abs=1)
    # nothing or six ampere: what is left for the second hour is above 1.38 kW
    assert cost == pytest.approx(7.36 * 0.1 + 2.64 * 0.2, abs=0.003)
    assert float(car.cheapest_w(house, market) @ price) / 1000 == pytest.approx(cost, abs=0.003)
    assert float(car.at_once_w() @ price) / 1000 == pytest.approx(7.36 * 0.5 + 2.64 * 0.3)


def test_sessions_are_one_users_and_lie_within_the_recording(tmp_path: Path) -> None:
    rows = [
        "a,2019-01-07T17:00:00Z,2019-01-08T06:00:00Z,12",
        "b,2019-01-07T17:00:00Z,2019-01-08T06:00:00Z,3",
        "a,2019-01-08T17:00:00Z,2019-01-09T06:00:00Z,8.5",
        "a,2019-03-08T17:00:00Z,2019-03-09T06:00:00Z,8.5",
    ]
    file = write(tmp_path / "s.csv.gz", "user,plug_in_utc,plug_out_utc,energy_kwh", rows)
    found = read_sessions(file, START_S, START_S + 20 * 86_400)
    assert [one.energy_wh for one in found] == [12_000, 8_500]
    first = datetime.fromtimestamp(found[0].from_s, tz=UTC)
    # a Monday stays a Monday
    assert (first.weekday(), first.hour) == (0, 17)
    assert [one.energy_wh for one in read_sessions(file, START_S, START_S + 20 * 86_400, "b")] == [3_000]
    with pytest.raises(ConfigError, match="nobody"):
        read_sessions(file, START_S, START_S + 86_400, "nobody")
    bad = write(tmp_path / "t.csv.gz", "user,plug_in_utc,plug_out_utc,energy_kwh", ["a,monday,tuesday,1"])
    with pytest.raises(ConfigError, match="line 2"):
        read_sessions(bad, START_S, START_S + 86_400)


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_bytes(gzip.compress("\n".join([header, *rows]).encode()))
    return path


def _stamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    one, market = home(), prices()
    assert one.pv is not None
    folder = tmp_path / "homes"
    folder.mkdir()
    rows = [
        f"{_stamp(START_S + 3_600 * step)},{load:.1f},{sun:.1f}"
        for step, (load, sun) in enumerate(zip(one.load.values, one.pv.values, strict=True))
    ]
    write(folder / "anna.csv.gz", "timestamp_utc,load_w,pv_w", rows)
    spot = [f"{_stamp(START_S + 3_600 * step)},{price * 1000:.3f}" for step, price in enumerate(market.values)]
    file = write(tmp_path / "p.csv.gz", "timestamp_utc,price_eur_per_mwh", spot)
    nights = [
        f"u,{_stamp(START_S + day * 86_400 + 18 * 3_600)},{_stamp(START_S + day * 86_400 + 30 * 3_600)},9"
        for day in range(1, DAYS - 1)
    ]
    sessions = write(tmp_path / "ev.csv.gz", "user,plug_in_utc,plug_out_utc,energy_kwh", nights)
    plots = str(tmp_path / "plots")
    return ["--homes", str(folder), "--prices", str(file), "--ev", str(sessions), "--plots", plots]


def test_the_command_lives_every_home_and_writes_what_it_found(files: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["backtest", *files, "--battery", "5kWh/2.5kW", "--json"])
    assert outcome.exit_code == 0, outcome.output
    written = msgspec.json.decode(outcome.stdout)
    (one,) = written["homes"]
    typed = msgspec.convert(one, Outcome)
    assert one["home"] == "anna"
    assert set(one["cost_eur"]) >= {"no_battery", "self_consumption", "night_timer", "perfect_foresight", "hearth"}
    assert set(one["solve_ms"]) == {"p50", "p99", "max"}
    assert typed.car is not None
    assert typed.car.sessions == DAYS - 2
    assert typed.car.energy_kwh == pytest.approx(9 * (DAYS - 2), abs=0.01)
    assert typed.car.cheapest_in_window <= typed.car.hearth + 0.01
    assert typed.car.hearth < typed.car.at_once
    assert typed.plot is not None
    picture = Path(typed.plot).read_text()
    assert picture.startswith("<?xml")
    assert "perfect foresight" in picture
    assert "anna: 10 days" in picture


def test_a_home_with_nothing_to_live_is_passed_over_beside_others(files: list[str]) -> None:
    rows = [f"{_stamp(START_S + 3_600 * step)},1" for step in range(3)]
    write(Path(files[1]) / "short.csv.gz", "timestamp_utc,load_w", rows)
    outcome = CliRunner().invoke(app, ["backtest", *files, "--json"])
    assert outcome.exit_code == 0, outcome.output
    assert "short" in outcome.stderr
    assert [one["home"] for one in msgspec.json.decode(outcome.stdout)["homes"]] == ["anna"]
    alone = CliRunner().invoke(app, ["backtest", *files, "--home", "short"])
    assert isinstance(alone.exception, BacktestError)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--battery", "10kwh"],
        ["--tariff", "nowhere.yaml"],
        ["--tariff", "docs/tariffs/dutch-net-metering.yaml"],
        ["--tariff", "docs/tariffs/flemish-capacity.yaml"],
        ["--place", "Europe/Nowhere,1,2"],
        ["--home", "bertha"],
        ["--user", "nobody"],
    ],
)
def test_wrong_options_are_explained(files: list[str], wrong: list[str]) -> None:
    outcome = CliRunner().invoke(app, ["backtest", *files, *wrong])
    assert isinstance(outcome.exception, ConfigError)
    assert wrong[1] in str(outcome.exception)
