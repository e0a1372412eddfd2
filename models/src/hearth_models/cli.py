"""``hearth-models``: learn from a recorded home, and live it again to see what planning is worth there."""

from __future__ import annotations

import gzip
import sys
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from hearth_core.errors import ConfigError, PermanentError
from hearth_core.messages import Target
from hearth_core.tariff import Tariff
from hearth_models.commands.backtest import backtest
from hearth_models.commands.bill import bill
from hearth_models.commands.options import OPTIONS, read_place
from hearth_models.series import read_columns

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, help=__doc__)

app.command()(backtest)
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
        raise ConfigError(OPTIONS, "PROBLEM, --evcc", "", "Give one of them: a home's problem, or evcc's request.")
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
    where, until_s = read_place(place), _instant("--until", end, series.end_s)
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


def _instant(option: str, text: str, default_s: float) -> float:
    if not text:
        return default_s
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(OPTIONS, option, text, "Write a day as 2016-01-01.") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def main() -> None:
    """Run the command line; wrong input ends with a message and exit code 2."""
    try:
        app()
    except PermanentError as error:
        typer.echo(f"hearth-models: {error}", err=True)
        sys.exit(2)
