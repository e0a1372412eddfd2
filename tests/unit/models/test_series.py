"""Recorded series from files: gaps stay gaps, and what is wrong is named with its line."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hearth_core.errors import ConfigError
from hearth_models.series import read_columns, read_prices

START_S = datetime(2016, 3, 1, tzinfo=UTC).timestamp()


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


@pytest.mark.parametrize(
    ("column", "price"), [("price_eur_per_mwh", 0.042), ("price_dkk_per_mwh", 0.042), ("price_gbp_per_kwh", 42.0)]
)
def test_prices_are_per_kwh_in_the_currency_of_the_file(tmp_path: Path, column: str, price: float) -> None:
    rows = ["2016-03-01T00:00:00Z,7,42", "2016-03-01T01:00:00Z,7,-5"]
    file = csv(tmp_path / "price.csv.gz", f"timestamp_utc,load_mw,{column}", rows)
    assert read_prices(file).values[0] == pytest.approx(price)


def test_a_file_without_prices_says_what_there_is(tmp_path: Path) -> None:
    rows = ["2016-03-01T00:00:00Z,7", "2016-03-01T01:00:00Z,7"]
    with pytest.raises(ConfigError, match="load_mw"):
        read_prices(csv(tmp_path / "price.csv.gz", "timestamp_utc,load_mw", rows))
