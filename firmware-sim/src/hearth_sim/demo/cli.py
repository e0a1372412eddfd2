"""``hearth-sim demo``: the command line of the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hearth_core.errors import ConfigError
from hearth_sim.demo.run import run_demo
from hearth_sim.demo.settings import DemoSettings
from hearth_sim.recorded import parse_instant

# The recorded spring: midnight in Konstanz for whole days in the ledger, nine in the morning for somebody who watches.
_MIDNIGHT, _MORNING = "2016-04-10T22:00:00Z", "2016-04-11T07:00:00Z"
_WATCHED_SPEED, _MEASURED_SPEED = 60.0, 720.0


def demo(
    days: Annotated[
        float | None, typer.Option(min=0.01, max=60, help="Live so many days, print a table, then end.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=1, max=2000, help="Simulated seconds a real second, at most; 60, or 720 with --days."),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No status screen.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="With --days: write the figures here.")] = None,
    start: Annotated[str, typer.Option(help=f"First instant; {_MORNING}, or {_MIDNIGHT} with --days.")] = "",
    state: Annotated[
        Path | None, typer.Option(help="Folder of the home; .data/demo, or .data/measured with --days.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the home that lives in the folder.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65_000, help="Port of the page; the next free one is taken.")] = 8000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that varies inside the hour.")] = 1,
) -> None:
    """Bring a whole home to life: simulated devices, agent, broker, hub, database and page.

    Without --days it lives until Ctrl-C, and goes on from there the next time. With --days it begins anew, lives them,
    compares the books of agent and hub and the energy of the simulated house, and ends with 1 when something is wrong.

    Example: hearth-sim demo --days 2 --headless --json out.json
    """
    if json_path and days is None:
        raise ConfigError("command line", "--json", str(json_path), "Say how many days to live: --days 2.")
    if json_path and not json_path.resolve().parent.is_dir():
        raise ConfigError("command line", "--json", str(json_path), "Make the folder first.")
    text = start or (_MORNING if days is None else _MIDNIGHT)
    try:
        start_s = parse_instant(text)
    except ValueError as error:
        raise ConfigError("command line", "--start", text, "Write e.g. 2016-04-11T07:00:00Z.") from error
    settings = DemoSettings(
        state=state or Path(".data") / ("demo" if days is None else "measured"),
        start_s=start_s,
        speed=speed or (_WATCHED_SPEED if days is None else _MEASURED_SPEED),
        days=days,
        headless=headless,
        json_path=json_path,
        fresh=fresh or days is not None,
        http_port=port,
        seed=seed,
    )
    raise typer.Exit(run_demo(settings, Console()))
