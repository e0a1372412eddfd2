"""``hearth-models bill``: the invoice of a recorded home."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hearth_core.errors import ConfigError
from hearth_models.arrays import FloatArray
from hearth_models.series import Recorded, read_columns, read_prices
from hearth_models.tariffs import Bill, read_tariff
from hearth_models.tariffs import bill as bill_of

_OPTIONS = "the command line"


def bill(
    tariff: Annotated[Path, typer.Option(help="Tariff as YAML or JSON; its schema is docs/tariff.schema.json.")],
    home: Annotated[Path, typer.Option(help="Recorded home: CSV(.gz) with timestamp_utc and powers at one step.")],
    prices: Annotated[
        Path | None, typer.Option(help="Day-ahead prices: CSV(.gz) with timestamp_utc, price_eur_per_mwh.")
    ] = None,
    timezone: Annotated[str, typer.Option(help="Time zone of the home.")] = "Europe/Berlin",
    import_column: Annotated[str, typer.Option(help="Column of the mean power from the grid [W].")] = "grid_import_w",
    export_column: Annotated[
        str, typer.Option(help="Column of the mean power into the grid [W]; empty when there is none.")
    ] = "grid_export_w",
    start: Annotated[str, typer.Option("--from", help="First local day, e.g. 2016-03-01.")] = "",
    end: Annotated[str, typer.Option("--to", help="Local day after the last.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the invoice as JSON.")] = False,
) -> None:
    """Reproduce the invoice of a recorded home, one line for each item and month.

    Example: hearth-models bill --tariff docs/tariffs/german-day-ahead.yaml --home home.csv.gz --prices prices.csv.gz
    """
    agreed = read_tariff(tariff)
    columns = read_columns(home, [import_column, *([export_column] if export_column else [])])
    taken = _span(columns[0], _local(timezone, "--from", start), _local(timezone, "--to", end))
    given = columns[-1].on_grid(taken.start_s, taken.step_s, len(taken.values))
    if prices is None and (agreed.import_needs_day_ahead or agreed.export_needs_day_ahead):
        raise ConfigError(_OPTIONS, "--prices", "", "Give day-ahead prices: this tariff depends on them.")
    market = np.full(len(taken.values), np.nan) if prices is None else _means(read_prices(prices), taken)
    hours = taken.step_s / 3600
    made = bill_of(
        agreed,
        taken.start_s,
        taken.step_s,
        taken.values * hours,
        given * hours if export_column else np.zeros(len(given)),
        market,
        timezone,
    )
    if json:
        typer.echo(msgspec.json.format(_as_json(made), indent=2).decode())
        return
    Console().print(_table(made, f"{agreed.name or tariff.name}, {home.name}"))
    if made.unmeasured_steps:
        typer.echo(f"{made.unmeasured_steps} steps were not measured and are billed as if nothing had flowed.")


def _table(made: Bill, title: str) -> Table:
    table = Table("month", "item", title=f"{title}, in EUR", box=SIMPLE_HEAD)
    for name in ("quantity", "price", "amount", "VAT", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    month = ""
    for line in made.lines:
        if month and line.month != month:
            table.add_section()
        table.add_row(
            "" if line.month == month else line.month,
            line.item,
            f"{line.quantity} {line.unit}",
            f"{line.price_eur:.5f}",
            f"{line.amount_eur}",
            f"{line.vat_eur}",
            f"{line.total_eur}",
        )
        month = line.month
    table.add_section()
    table.add_row("", "total", "", "", f"{made.amount_eur}", f"{made.vat_eur}", f"{made.total_eur}", style="bold")
    return table


def _as_json(made: Bill) -> bytes:
    totals = {name: getattr(made, name) for name in ("amount_eur", "vat_eur", "total_eur", "unmeasured_steps")}
    lines = [{**msgspec.structs.asdict(line), "total_eur": line.total_eur} for line in made.lines]
    return msgspec.json.Encoder(decimal_format="number").encode({**totals, "lines": lines})


def _span(series: Recorded, start_s: float | None, end_s: float | None) -> Recorded:
    """Return the steps that begin within two instants."""
    at_s = series.start_s + series.step_s * np.arange(len(series.values))
    begin = 0 if start_s is None else int(np.searchsorted(at_s, start_s))
    finish = len(at_s) if end_s is None else int(np.searchsorted(at_s, end_s))
    if begin >= finish:
        raise ConfigError(_OPTIONS, "--from, --to", "", "Nothing is recorded there; give days within the record.")
    return Recorded(float(at_s[begin]), series.step_s, series.values[begin:finish])


def _means(market: Recorded, steps: Recorded) -> FloatArray:
    """Return the market's price of each step: the mean where it has several."""
    pieces = max(1, steps.step_s // market.step_s)
    fine = market.on_grid(steps.start_s, steps.step_s // pieces, pieces * len(steps.values))
    mean: FloatArray = fine.reshape(-1, pieces).mean(axis=1)
    return mean


def _local(timezone: str, option: str, text: str) -> float | None:
    """Return the instant a local day begins; checks the zone also when no day is given."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(_OPTIONS, "--timezone", timezone, "Write a name such as Europe/Berlin.") from error
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    except ValueError as error:
        raise ConfigError(_OPTIONS, option, text, "Write a day as 2016-03-01.") from error
