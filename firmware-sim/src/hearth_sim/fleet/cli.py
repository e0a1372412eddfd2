"""``hearth-sim fleet``: the command line of the load generator."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from hearth_sim.fleet.figures import Result
from hearth_sim.fleet.running import run
from hearth_sim.fleet.settings import FleetSettings, parse_duration


def fleet(
    homes: Annotated[int, typer.Option(help="Homes, each with its own connection.")] = 100,
    series: Annotated[int, typer.Option(help="Points of each home's inverter, 1 to 27.")] = 20,
    interval: Annotated[
        str, typer.Option(help="Time between two readings of a home; homes are spread over it.")
    ] = "10s",
    duration: Annotated[str, typer.Option(help="How long to go on once every home is connected.")] = "1m",
    mqtt: Annotated[str, typer.Option(help="Broker, mqtt[s]://[user:password@]host:port.")] = "mqtt://127.0.0.1:1883",
    backlog: Annotated[str, typer.Option(help="History each home has in its spool at the start, e.g. 24h.")] = "0",
    storm: Annotated[
        str, typer.Option("--storm", "--reconnect-every", help="Cut all connections this often, e.g. 30s.")
    ] = "0",
    start_spread: Annotated[str, typer.Option(help="Spread the first connections over this time.")] = "0",
    until_acked: Annotated[
        bool, typer.Option("--until-acked", help="Go on until the hub has everything; exit 1 when it does not get it.")
    ] = False,
    limit: Annotated[str, typer.Option(help="How long to wait for connections, and for the hub at the end.")] = "10m",
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is measured.")] = 1,
    name: Annotated[str, typer.Option(help="Homes are called NAME-00001 and so on.")] = "fleet",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """Load a hub with the traffic of many real agents: same topics, messages, windows and acknowledgements.

    Prints "ready" on stderr when every home is connected, and the figures at the end. SIGTERM or Ctrl-C end it early.
    Each run is a new epoch of the same homes.

    Example: hearth-sim fleet --homes 1000 --duration 10m --start-spread 20s --json

    After an outage: hearth-sim fleet --homes 1000 --backlog 24h --duration 0 --until-acked --json
    """
    settings = FleetSettings(
        mqtt_url=mqtt,
        homes=homes,
        series=series,
        interval_s=parse_duration("interval", interval),
        duration_s=parse_duration("duration", duration),
        backlog_s=parse_duration("backlog", backlog),
        storm_s=parse_duration("storm", storm),
        start_spread_s=parse_duration("start-spread", start_spread),
        until_acked=until_acked,
        limit_s=parse_duration("limit", limit),
        seed=seed,
        name=name,
    )
    progress = sys.stderr if sys.stderr.isatty() else None
    result = run(settings, lambda: typer.echo("ready", err=True), progress)
    typer.echo(msgspec.json.encode(result).decode() if as_json else _table(result))
    if until_acked and result.unacknowledged_readings:
        raise typer.Exit(1)


def _table(result: Result) -> str:
    figures = msgspec.to_builtins(result)
    return "\n".join(f"{name:24} {'-' if value is None else value}" for name, value in figures.items())
