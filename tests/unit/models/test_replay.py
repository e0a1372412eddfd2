"""A recorded home lived again: only the past is known, files are checked, and Hearth does not lose to the rule."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from hearth_core.errors import ConfigError
from hearth_core.tariff import ExportKind, Tariff
from hearth_models.battery import Battery
from hearth_models.cli import app
from hearth_models.features import Place
from hearth_models.ledger import choose_policy
from hearth_models.replay import Home, ReplayError, replay
from hearth_models.series import Recorded, read_columns, read_prices

START_S = datetime(2016, 3, 1, tzinfo=UTC).timestamp()
DAYS = 8


def home(seed: int = 1) -> Home:
    hour = np.arange(DAYS * 24) % 24
    random = np.random.default_rng(seed)
    load_w = 400 + 900 * np.exp(-(((hour - 18) / 2.5) ** 2)) + random.normal(0, 60, len(hour))
    sun_w = np.maximum(0, 3_000 * np.sin((hour - 6) / 12 * np.pi)) * np.repeat(random.uniform(0.2, 1.0, DAYS), 24)
    return Home(
        Recorded(START_S, 3_600, np.maximum(load_w, 0)),
        Recorded(START_S, 3_600, sun_w),
        Place("Europe/Berlin", 47.66, 9.17),
        Battery(10_000, 5_000, 5_000),
        Tariff(import_adder_eur_per_kwh=0.15, export_kind=ExportKind.FIXED, export_eur_per_kwh=0.06),
    )


def prices() -> Recorded:
    hour = np.arange(DAYS * 24) % 24
    return Recorded(START_S, 3_600, np.where((hour >= 17) & (hour < 20), 0.16, 0.05))


def test_the_order_of_policies_is_as_it_must_be() -> None:
    shares: list[float] = []
    result = replay(home(), prices(), START_S, START_S + DAYS * 86_400, shares.append)
    assert result.perfect_foresight_eur < result.self_consumption_eur < result.no_battery_eur
    assert result.perfect_foresight_eur <= result.hearth_eur + 1e-6
    assert result.hearth_eur < result.no_battery_eur
    assert result.days == DAYS
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(result.daily_planned_eur) == len(result.daily_rule_eur) == DAYS - 1


def test_later_records_change_nothing_before_them() -> None:
    """A replay that peeks would promise what no home can have."""
    known = home()
    half = START_S + 4 * 86_400
    cut = 4 * 24
    later = known.load.values.copy()
    later[cut:] *= 3
    changed = Home(Recorded(START_S, 3_600, later), known.pv, known.place, known.battery, known.tariff)
    assert (
        replay(known, prices(), START_S, half).planner_only_eur
        == replay(changed, prices(), START_S, half).planner_only_eur
    )


def test_the_better_policy_of_the_last_weeks_is_chosen() -> None:
    good, bad = np.full(28, 1.0), np.full(28, 1.2)
    assert choose_policy(good, bad) == "value_function"
    assert choose_policy(bad, good) == "rule"
    unknown = np.full(28, np.nan)
    assert choose_policy(unknown, good) == "value_function"
    # a few lucky days are no reason to leave the rule
    lucky = good + 0.5 * np.random.default_rng(1).normal(size=28)
    assert choose_policy(lucky, np.full(28, float(lucky.mean()) + 0.01)) == "rule"
    mixed = bad.copy()
    mixed[:20] = np.nan
    assert choose_policy(mixed, good) == "rule"


def test_prices_must_cover_the_span() -> None:
    with pytest.raises(ReplayError, match="prices are missing"):
        replay(home(), Recorded(START_S, 3_600, np.full(24, 0.1)), START_S, START_S + DAYS * 86_400)


def csv(path: Path, header: str, rows: list[str]) -> Path:
    path.write_bytes(gzip.compress("\n".join([header, *rows]).encode()))
    return path


def test_files_are_read_with_gaps_as_gaps(tmp_path: Path) -> None:
    rows = ["2016-03-01T00:00:00Z,100.5,", "2016-03-01T01:00:00Z,,3"]
    load, pv = read_columns(csv(tmp_path / "home.csv.gz", "timestamp_utc,load_w,pv_w", rows), ["load_w", "pv_w"])
    assert (load.start_s, load.step_s) == (START_S, 3_600)
    np.testing.assert_array_equal(load.values, [100.5, np.nan])
    np.testing.assert_array_equal(pv.values, [np.nan, 3])
    np.testing.assert_array_equal(load.on_grid(START_S - 1_800, 1_800, 5), [np.nan, 100.5, 100.5, np.nan, np.nan])
    price = csv(
        tmp_path / "price.csv.gz",
        "timestamp_utc,price_eur_per_mwh",
        ["2016-03-01T00:00:00Z,42", "2016-03-01T01:00:00Z,-5"],
    )
    np.testing.assert_allclose(read_prices(price).values, [0.042, -0.005])


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        (["2016-03-01T00:00:00Z,1", "2016-03-01T01:00:00Z,x"], "line 3, load_w"),
        (["2016-03-01T00:00:00Z,1", "2016-03-01T01:00:00Z,1", "2016-03-01T03:00:00Z,1"], "line 4"),
        (["2016-03-01T00:00:00,1", "2016-03-01T01:00:00,1"], "line 2"),
        (["2016-03-01T00:00:00Z,1"], "rows"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, rows: list[str], field: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_columns(csv(tmp_path / "home.csv.gz", "timestamp_utc,load_w", rows), ["load_w"])
    assert error.value.field == field
    assert error.value.remedy


def test_a_missing_column_says_what_there_is(tmp_path: Path) -> None:
    rows = ["2016-03-01T00:00:00Z,1", "2016-03-01T01:00:00Z,1"]
    with pytest.raises(ConfigError, match="load_kw"):
        read_columns(csv(tmp_path / "home.csv.gz", "timestamp_utc,load_kw", rows), ["load_w"])


def test_the_command_lives_a_home_and_writes_what_it_found(tmp_path: Path) -> None:
    known, market = home(), prices()
    stamps = [
        datetime.fromtimestamp(START_S + 3_600 * step, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for step in range(DAYS * 24)
    ]
    recorded = [
        f"{at},{load:.1f},{sun:.1f}" for at, load, sun in zip(stamps, known.load.values, known.pv.values, strict=True)
    ]
    arguments = [
        "replay",
        "--home",
        str(csv(tmp_path / "home.csv.gz", "timestamp_utc,load_w,pv_w", recorded)),
        "--prices",
        str(
            csv(
                tmp_path / "p.csv.gz",
                "timestamp_utc,price_eur_per_mwh",
                [f"{at},{price * 1000}" for at, price in zip(stamps, market.values, strict=True)],
            )
        ),
        "--export",
        "fixed:0.06",
        "--import-adder",
        "0.15",
        "--to",
        "2016-03-04",
        "--json",
        str(tmp_path / "out.json"),
    ]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "perfect foresight" in outcome.output
    written = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    assert written["days"] == 3
    assert written["perfect_foresight_eur"] <= written["hearth_eur"] + 1e-6


@pytest.mark.parametrize(
    "wrong", [["--battery", "10kwh"], ["--export", "free"], ["--place", "Europe/Nowhere,1,2"], ["--from", "yesterday"]]
)
def test_wrong_options_are_explained(tmp_path: Path, wrong: list[str]) -> None:
    rows = ["2016-03-01T00:00:00Z,1,1", "2016-03-01T01:00:00Z,1,1"]
    file = str(csv(tmp_path / "home.csv.gz", "timestamp_utc,load_w,pv_w", rows))
    price = str(
        csv(
            tmp_path / "p.csv.gz",
            "timestamp_utc,price_eur_per_mwh",
            ["2016-03-01T00:00:00Z,1", "2016-03-01T01:00:00Z,1"],
        )
    )
    outcome = CliRunner().invoke(app, ["replay", "--home", file, "--prices", price, *wrong])
    assert isinstance(outcome.exception, ConfigError)
    assert wrong[1] in str(outcome.exception)
