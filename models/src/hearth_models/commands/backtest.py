"""``hearth-models backtest``: recorded homes lived again, to see what planning is worth there."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from hearth_core.errors import ConfigError
from hearth_core.tariff import ExportKind, Tariff
from hearth_models.battery import Battery
from hearth_models.commands.options import OPTIONS, read_place
from hearth_models.series import read_prices
from hearth_models.tariffs import read_tariff

if TYPE_CHECKING:
    from hearth_models.backtest.outcome import Outcome

_BATTERY = re.compile(r"(?P<kwh>[0-9.]+)\s*kWh/(?P<kw>[0-9.]+)\s*kW", re.IGNORECASE)
_MARKET = Tariff(name="the market's price both ways", export_kind=ExportKind.SPOT)


def backtest(
    homes: Annotated[Path, typer.Option(help="Directory with recorded homes: CSV(.gz) with timestamp_utc and load_w.")],
    prices: Annotated[Path, typer.Option(help="Day-ahead prices: CSV(.gz) with timestamp_utc, price_eur_per_mwh.")],
    home: Annotated[str, typer.Option(help="One home's name, its end, or a folder's; all homes when not given.")] = "",
    battery: Annotated[str, typer.Option(help="Capacity and power of the battery.")] = "10kWh/5kW",
    efficiency: Annotated[float, typer.Option(help="One-way efficiency of the battery at half power.")] = 0.95,
    tariff: Annotated[
        Path | None, typer.Option(help="Tariff as YAML or JSON; without one the price file's price holds both ways.")
    ] = None,
    ev: Annotated[
        Path | None, typer.Option(help="A car's plug-ins: CSV(.gz) with user, plug_in_utc, plug_out_utc, energy_kwh.")
    ] = None,
    user: Annotated[str, typer.Option(help="Whose plug-ins; the user with most when not given.")] = "",
    place: Annotated[
        str, typer.Option(help="Time zone, latitude and longitude of all homes; found out when not given.")
    ] = "",
    plots: Annotated[Path, typer.Option(help="Directory for the pictures.")] = Path("backtest"),
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Live recorded homes again, knowing only the past at every moment, and say what each policy would have cost.

    Forecast models are trained every eight weeks, a plan is made every hour, the controller acts at the data's step.
    Hearth is shown beside no battery, the self-consumption rule, a night timer (02:00-05:00) and perfect foresight.
    Prices of other years are moved by whole weeks.

    Example: hearth-models backtest --homes recorded/ --prices nl.csv.gz --home konstanz_r4 --json
    """
    # scikit-learn and HiGHS take seconds to load: not for --help, and not before the input is known to be good
    store, agreed = _battery(battery, efficiency), _MARKET if tariff is None else read_tariff(tariff)
    if agreed.depends_on_consumption or agreed.demand:
        remedy = "Give one without tiers, net metering and demand charges: the day is reckoned with prices per kWh."
        raise ConfigError(OPTIONS, "--tariff", str(tariff), remedy)
    market, where = read_prices(prices), read_place(place) if place else None
    from hearth_models.backtest.homes import find_homes
    from hearth_models.backtest.market import BacktestError
    from hearth_models.backtest.outcome import backtest as live
    from hearth_models.backtest.picture import draw

    found = list(find_homes(homes, home or None, where))
    plots.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        for number, one in enumerate(found, start=1):
            began = time.monotonic()
            task = bar.add_task(f"{one.name} ({number} of {len(found)})", total=1.0)
            tell = partial(_tell, bar, task)
            try:
                outcome, year = live(one, market, store, agreed, ev, user, tell)
            except BacktestError as error:
                if len(found) == 1:
                    raise
                # one home's gaps must not keep the others from being lived
                bar.console.print(f"passed over: {error}")
                continue
            path = plots / f"{one.name}.svg"
            draw(outcome, year, path)
            outcomes.append(msgspec.structs.replace(outcome, plot=str(path)))
            bar.console.print(f"{one.name}: {outcome.days:.0f} days in {time.monotonic() - began:.0f} s")
    if json:
        answer = {"battery": battery, "tariff": agreed.name or "", "homes": outcomes}
        typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return
    Console().print(_table(outcomes))
    typer.echo(f"pictures: {plots}/")


def _tell(bar: Progress, task: TaskID, share: float) -> None:
    bar.update(task, completed=share)


def _table(outcomes: list[Outcome]) -> Table:
    names = ("days", "no battery", "timer", "rule", "Hearth", "foresight", "of foresight", "over rule")
    table = Table("home", *(Column(name, justify="right") for name in names), box=SIMPLE_HEAD)
    for one in outcomes:
        costs = one.cost_eur
        money = (costs.no_battery, costs.night_timer, costs.self_consumption, costs.hearth, costs.perfect_foresight)
        shares = ("-" if it is None else f"{it * 100:.0f} %" for it in (one.captured_of_oracle, one.captured_over_rule))
        table.add_row(one.home, f"{one.days:.0f}", *(f"{eur:.2f}" for eur in money), *shares)
    table.caption = "EUR, settled for what is left in store; shares of what perfect foresight saves"
    return table


def _battery(text: str, efficiency: float) -> Battery:
    match = _BATTERY.fullmatch(text.strip())
    if match is None:
        raise ConfigError(OPTIONS, "--battery", text, "Write CAPACITYkWh/POWERkW, e.g. 10kWh/5kW.")
    power_w = float(match["kw"]) * 1000
    return Battery(float(match["kwh"]) * 1000, power_w, power_w, efficiency=efficiency)
