"""``hearth-models``: learn from a recorded home, and live it again to see what planning is worth there."""

from __future__ import annotations

import gzip
import re
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hearth_core.errors import ConfigError, PermanentError
from hearth_core.messages import Target
from hearth_core.tariff import ExportKind, Tariff
from hearth_models.battery import Battery
from hearth_models.commands.bill import bill
from hearth_models.features import Place
from hearth_models.series import read_columns, read_prices

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)
_OPTIONS = "the command line"
_BATTERY = re.compile(r"(?P<kwh>[0-9.]+)\s*kWh/(?P<kw>[0-9.]+)\s*kW", re.IGNORECASE)

app.command()(bill)

HomeFile = Annotated[
    Path, typer.Option("--home", help="Recorded home: CSV(.gz) with timestamp_utc, load_w, pv_w at one step.")
]
PlaceText = Annotated[
    str, typer.Option("--place", help="Time zone, latitude and longitude, e.g. Europe/Berlin,47.66,9.17.")
]
LoadColumn = Annotated[str, typer.Option(help="Column of the whole house's load.")]
PvColumn = Annotated[str, typer.Option(help="Column of PV production.")]
_KONSTANZ = "Europe/Berlin,47.66,9.17"


@app.command()
def replay(
    home: HomeFile,
    prices: Annotated[Path, typer.Option(help="Day-ahead prices: CSV(.gz) with timestamp_utc, price_eur_per_mwh.")],
    battery: Annotated[str, typer.Option(help="Capacity and power of the battery.")] = "10kWh/5kW",
    efficiency: Annotated[float, typer.Option(help="One-way efficiency of the battery at half power.")] = 0.95,
    export: Annotated[str, typer.Option(help="spot, or fixed:EUR_PER_KWH.")] = "fixed:0.08",
    import_adder: Annotated[float, typer.Option(help="Grid fees and taxes on top of the spot price [EUR/kWh].")] = 0.0,
    vat: Annotated[float, typer.Option(help="Value added tax on the import price [%].")] = 0.0,
    place: PlaceText = _KONSTANZ,
    start: Annotated[str, typer.Option("--from", help="First day (UTC), e.g. 2016-01-01.")] = "",
    end: Annotated[str, typer.Option("--to", help="Day after the last (UTC).")] = "",
    load_column: LoadColumn = "load_w",
    pv_column: PvColumn = "pv_w",
    json: Annotated[Path | None, typer.Option(help="Write the result as JSON to this file.")] = None,
) -> None:
    """Live a recorded home again, knowing only the past at every moment, and say what each policy would have cost.

    Forecast models are trained every four weeks, a plan is made every hour, the battery follows it in quarter hours.
    Hearth is shown beside no battery, the self-consumption rule, a night timer (02:00-05:00) and perfect foresight.
    A year of hourly data takes a few minutes.

    Example: hearth-models replay --home konstanz.csv.gz --prices nl.csv.gz --from 2016-01-01 --export spot
    """
    # scikit-learn and HiGHS take seconds to load: not for --help, and not before the input is known to be good
    load, pv = read_columns(home, [load_column, pv_column])
    market, tariff, where = read_prices(prices), _tariff(export, import_adder, vat), _place(place)
    store = _battery(battery, efficiency)
    start_s, end_s = _instant("--from", start, load.start_s), _instant("--to", end, load.end_s)
    from hearth_models.replay import Home, ReplayResult
    from hearth_models.replay import replay as live

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    began = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("living the home again", total=1.0)
        result: ReplayResult = live(
            Home(load, pv, where, store, tariff),
            market,
            start_s,
            end_s,
            lambda share: bar.update(task, completed=share),
        )
    rule = result.self_consumption_eur
    table = Table("policy", "cost EUR", "saved against the rule EUR", title=f"{home.name}, {result.days:.0f} days")
    for name, cost in (
        ("no battery", result.no_battery_eur),
        ("self-consumption rule", rule),
        ("night timer", result.night_timer_eur),
        ("plan alone", result.planner_only_eur),
        ("Hearth", result.hearth_eur),
        ("perfect foresight", result.perfect_foresight_eur),
    ):
        table.add_row(name, f"{cost:.2f}", f"{rule - cost:+.2f}")
    Console().print(table)
    typer.echo(
        f"Hearth won {result.captured_share:.0%} of the gap between rule and perfect foresight, on the plan on "
        f"{result.days_on_plan} of {result.days:.0f} days; forecast skill: load {result.load_skill:.2f}, "
        f"PV {result.pv_skill:.2f}; {result.filled_steps} unmeasured steps filled; {time.monotonic() - began:.0f} s"
    )
    if json is not None:
        fields = {name: getattr(result, name) for name in result.__dataclass_fields__}
        json.write_bytes(msgspec.json.encode({**fields, "captured_share": result.captured_share}))


@app.command()
def plan(
    problem: Annotated[
        Path | None, typer.Argument(help="A home's problem as JSON; its schema is docs/planning.schema.json.")
    ] = None,
    evcc: Annotated[Path | None, typer.Option(help="A request of evcc to its optimiser instead.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Plan one home and say what it costs, why, and which wishes cannot be met.

    Example: hearth-models plan home.json --json
    """
    if (problem is None) == (evcc is None):
        raise ConfigError(_OPTIONS, "PROBLEM, --evcc", "", "Give one of them: a home's problem, or evcc's request.")
    # HiGHS takes a moment to load: not for --help
    if evcc is not None:
        from hearth_models.planning.evcc import answer, read_request

        found = answer(read_request(_content(evcc)))
        typer.echo(_pretty(found) if json else f"{found['status']}: {found['objective_value']:.4f}")
        return
    from hearth_models.planning.joint_answer import plan_home
    from hearth_models.planning.problem import read_problem

    made = plan_home(read_problem(_content(problem or Path())))
    if json:
        typer.echo(_pretty(made))
        return
    money = made.money_eur
    typer.echo(f"costs {money.grid:.2f} EUR, leaves {money.left_in_store:.2f} EUR in store")
    for asset in made.assets:
        for reason in asset.reasons:
            typer.echo(f"{asset.name} {reason}")
    for broken in made.broken:
        typer.echo(f"cannot be met: {broken.text}")


@app.command()
def schema(
    of: Annotated[
        Literal["problem", "tariff"], typer.Argument(help="What `plan` reads, or what `bill` reads.")
    ] = "problem",
) -> None:
    """Print the JSON Schema of a file that these commands read."""
    from hearth_models.planning.problem import problem_schema

    typer.echo(_pretty(msgspec.json.schema(Tariff) if of == "tariff" else problem_schema()))


@app.command()
def train(
    home: HomeFile,
    target: Annotated[Target, typer.Option(help="What to learn.")] = Target.LOAD,
    place: PlaceText = _KONSTANZ,
    end: Annotated[str, typer.Option("--until", help="Learn from what was recorded before this day (UTC).")] = "",
    load_column: LoadColumn = "load_w",
    pv_column: PvColumn = "pv_w",
    out: Annotated[Path | None, typer.Option(help="Write NAME.onnx and NAME.json (the card) here.")] = None,
) -> None:
    """Learn load or PV of a recorded home and print the model's card with its scores on held-out days.

    Example: hearth-models train --home konstanz.csv.gz --target pv --until 2016-06-01 --out pv-model
    """
    (series,) = read_columns(home, [load_column if target is Target.LOAD else pv_column])
    where, until_s = _place(place), _instant("--until", end, series.end_s)
    from hearth_models.forecasting import History
    from hearth_models.training import train as learn

    trained = learn(target, History(series.start_s, series.step_s, series.values), where, int(until_s * 1000))
    typer.echo(_pretty(trained.card))
    if out is not None:
        out.with_suffix(".onnx").write_bytes(trained.onnx)
        out.with_suffix(".json").write_bytes(msgspec.json.encode(trained.card))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(str(path), "the file", str(error), "Give a readable .json or .json.gz file.") from error


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _place(text: str) -> Place:
    remedy = "Write TIMEZONE,LATITUDE,LONGITUDE, e.g. Europe/Berlin,47.66,9.17."
    parts = text.split(",")
    if len(parts) != 3:
        raise ConfigError(_OPTIONS, "--place", text, remedy)

    try:
        ZoneInfo(parts[0])
        return Place(parts[0], float(parts[1]), float(parts[2]))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(_OPTIONS, "--place", text, remedy) from error


def _battery(text: str, efficiency: float) -> Battery:
    match = _BATTERY.fullmatch(text.strip())
    if match is None:
        raise ConfigError(_OPTIONS, "--battery", text, "Write CAPACITYkWh/POWERkW, e.g. 10kWh/5kW.")
    power_w = float(match["kw"]) * 1000
    return Battery(float(match["kwh"]) * 1000, power_w, power_w, efficiency=efficiency)


def _tariff(export: str, import_adder: float, vat_percent: float) -> Tariff:
    kind, _, amount = export.partition(":")
    try:
        return msgspec.convert(
            {
                "import_adder_eur_per_kwh": import_adder,
                "vat_percent": vat_percent,
                "export_kind": ExportKind(kind),
                "export_eur_per_kwh": float(amount) if amount else 0.0,
            },
            Tariff,
        )
    except (ValueError, msgspec.ValidationError) as error:
        remedy = f"Write spot, or fixed:0.08; adder -1..2 EUR/kWh, VAT 0..100 %. ({error})"
        raise ConfigError(_OPTIONS, "--export, --import-adder, --vat", export, remedy) from error


def _instant(option: str, text: str, default_s: float) -> float:
    if not text:
        return default_s
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(_OPTIONS, option, text, "Write a day as 2016-01-01.") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def main() -> None:
    """Run the command line; wrong input ends with a message and exit code 2."""
    try:
        app()
    except PermanentError as error:
        typer.echo(f"hearth-models: {error}", err=True)
        sys.exit(2)
