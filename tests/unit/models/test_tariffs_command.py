"""The examples load, the schema is that of the code, and the command prints an invoice or says what is wrong."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.unit.models.tariffs_help import BERLIN, steps
from typer.testing import CliRunner

from hearth_core.errors import ConfigError
from hearth_core.tariff import Tariff
from hearth_models.cli import app
from hearth_models.tariffs import prices, read_tariff

DOCS = Path(__file__).parents[3] / "docs"
DATA = Path(__file__).parents[3] / "firmware-sim" / "src" / "hearth_sim" / "data"
EXAMPLES = sorted((DOCS / "tariffs").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_loads_says_that_it_is_one_and_survives_the_wire(path: Path) -> None:
    tariff = read_tariff(path)
    assert "(example 20" in tariff.name
    assert msgspec.json.decode(msgspec.json.encode(tariff), type=Tariff) == tariff
    at_s = steps("2024-01-01T00:00", 366 * 24)
    for series in prices(tariff, at_s, np.full(len(at_s), 0.08), BERLIN):
        assert np.isfinite(series).all()
        assert 0 < series.mean() < 0.6


def test_there_are_examples_of_six_kinds() -> None:
    assert len(EXAMPLES) == 6


def test_the_tariff_in_the_documentation_is_read(tmp_path: Path) -> None:
    text = (DOCS / "tariffs.md").read_text()
    block = next(part for part in text.split("\n\n") if part.startswith("    name:"))
    (tmp_path / "tariff.yaml").write_text(block)
    assert len(read_tariff(tmp_path / "tariff.yaml").fees[0].windows) == 2


def test_module_3_has_the_prices_a_hand_computes() -> None:
    """Q1, 18:00: (0.08 + 0.018 + 0.1275 + 0.0166 + 0.0157 + 0.0205) * 1.19 = 0.331177; in Q3 with 0.0850: 0.280602."""
    tariff = read_tariff(DOCS / "tariffs" / "german-day-ahead.yaml")
    for day, expected in (("2025-01-15", 0.331177), ("2025-07-15", 0.280602)):
        buy, _ = prices(tariff, steps(f"{day}T18:00", 1), np.array([0.08]), BERLIN)
        assert buy == pytest.approx([expected])


def test_the_schema_in_the_documentation_is_that_of_the_code() -> None:
    found = json.loads((DOCS / "tariff.schema.json").read_text())
    assert found == json.loads(json.dumps(msgspec.json.schema(Tariff))), "run: make schemas"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two local days around a month's end, in hours: 1 kW in, 0.5 kW out; half-hourly prices of 60 and 40 EUR/MWh."""
    home, market, tariff = tmp_path / "home.csv", tmp_path / "prices.csv", tmp_path / "tariff.yaml"
    times = [f"2024-05-{30 + hour // 24}T{hour % 24:02d}" for hour in range(22, 48)]
    times += [f"2024-06-01T{hour:02d}" for hour in range(22)]
    home.write_text("timestamp_utc,grid_import_w,grid_export_w\n" + "".join(f"{at}:00:00Z,1000,500\n" for at in times))
    market.write_text(
        "timestamp_utc,price_eur_per_mwh\n" + "".join(f"{at}:00:00Z,60\n{at}:30:00Z,40\n" for at in times)
    )
    tariff.write_text("{vat_percent: 10, import_adder_eur_per_kwh: 0.05, export_eur_per_kwh: 0.1}")
    return {"home": home, "prices": market, "tariff": tariff}


def options(files: dict[str, Path], *more: str) -> list[str]:
    return ["bill", *(word for name, path in files.items() for word in (f"--{name}", str(path))), *more]


def test_the_command_prints_the_invoice(files: dict[str, Path]) -> None:
    """Each day: 24 kWh * 0.05 = 1.20 and VAT 0.12, twice (energy and adder); 12 kWh fed in earn 1.20."""
    result = CliRunner().invoke(app, options(files, "--json"))
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [(one["month"], one["item"], one["quantity"], one["total_eur"]) for one in found["lines"]] == [
        (month, item, kwh, total)
        for month in ("2024-05", "2024-06")
        for item, kwh, total in (("Energy", 24, 1.32), ("Adder", 24, 1.32), ("Feed-in", 12, -1.20))
    ]
    assert found["total_eur"] == 2.88
    result = CliRunner().invoke(app, options(files, "--from", "2024-06-01", "--export-column", ""))
    assert result.exit_code == 0, result.output
    assert "2024-06" in result.output
    assert "2024-05" not in result.output
    assert "2.64" in result.output.splitlines()[-2]


def test_the_recorded_home_gets_an_invoice_that_says_what_was_not_measured() -> None:
    result = CliRunner().invoke(
        app,
        [
            *("bill", "--tariff", str(DOCS / "tariffs" / "german-day-ahead.yaml"), "--import-column", "load_w"),
            *("--home", str(DATA / "konstanz_r4.csv.gz"), "--prices", str(DATA / "nl_dayahead.csv.gz")),
            *("--export-column", "pv_w", "--from", "2016-03-01", "--to", "2016-05-01"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "92.92" in result.output
    assert "56 steps were not measured" in result.output


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (["--timezone", "Berlin"], "--timezone"),
        (["--from", "yesterday"], "--from"),
        (["--from", "2024-07-01"], "--from, --to"),
        (["--import-column", "grid_w"], "column"),
    ],
)
def test_wrong_options_are_refused_by_name(files: dict[str, Path], change: list[str], field: str) -> None:
    result = CliRunner().invoke(app, options(files, *change))
    assert isinstance(result.exception, ConfigError)
    assert result.exception.field == field


def test_prices_must_be_given_where_they_are_needed(files: dict[str, Path]) -> None:
    del files["prices"]
    result = CliRunner().invoke(app, options(files))
    assert isinstance(result.exception, ConfigError)
    assert result.exception.field == "--prices"
    files["tariff"].write_text("{import_kind: fixed, import_eur_per_kwh: 0.1}")
    assert CliRunner().invoke(app, options(files)).exit_code == 0
