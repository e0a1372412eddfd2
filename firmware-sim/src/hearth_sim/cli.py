"""``hearth-sim``: the simulated home on the command line; each command is a function of its own."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from hearth_core.clock import Clock, clock_from_environment
from hearth_core.errors import ConfigError, HearthError
from hearth_sim.demo.cli import demo
from hearth_sim.fleet.cli import fleet
from hearth_sim.history import HistoryOrder, publish_history
from hearth_sim.home import DEVICE_IDS, FUSE_A, demo_battery
from hearth_sim.recorded import parse_instant
from hearth_sim.serve import serve
from hearth_sim.serving import HouseOptions, HouseServer, build_house, memory_path

# A house may catch up on this much time when it starts behind its clock; more is a mistake of the command line.
_LONGEST_CATCH_UP_S = 31 * 86_400.0

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Start = Annotated[
    str, typer.Option(help="Instant at which the house begins, e.g. 2016-04-04T00:00:00Z; default: the clock's now.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that varies inside the hour.")]
Report = Annotated[Path | None, typer.Option(help="File for the truth report (JSON), rewritten every 2 s.")]
Fuse = Annotated[float, typer.Option(min=6, max=250, help="Main fuse per phase [A]; breaking it is reported.")]
ExportLimit = Annotated[float | None, typer.Option(min=0, help="Export limit [W]; breaking it is reported.")]
BatteryWh = Annotated[float, typer.Option(min=100, max=60_000, help="Battery capacity [Wh].")]
BatteryW = Annotated[float, typer.Option(min=100, max=10_000, help="Battery power, charge and discharge [W].")]
Soc = Annotated[float, typer.Option(min=0, max=100, help="State of charge at the start [%].")]


@app.callback()
def hearth_sim() -> None:
    """A recorded home behind simulated device firmware (Modbus TCP), with physics, history and a truth report.

    Time comes from HEARTH_CLOCK (unset: real time). Outside the recorded days (2016-01-25 to 2016-07-10) the record
    repeats by whole weeks.
    """


@app.command()
def house(
    host: Host = "127.0.0.1",
    base_port: Annotated[
        int, typer.Option(min=1, max=65_532, help="Grid meter; inverter, charger and heat pump follow.")
    ] = 5020,
    start: Start = "",
    seed: Seed = 1,
    report: Report = None,
    fuse_a: Fuse = FUSE_A,
    export_limit_w: ExportLimit = None,
    battery_wh: BatteryWh = 10_000.0,
    battery_w: BatteryW = 5_000.0,
    soc: Soc = 50.0,
    only: Annotated[str, typer.Option(help="Serve one device alone, on the base port; the house lives unseen.")] = "",
) -> None:
    """Serve the whole house: SDM630 meter, SunSpec hybrid inverter, go-e charger, NIBE heat pump (unit 1 each).

    Prints "ready" when all four listen; SIGTERM or Ctrl-C ends it with a last report. Beside the report lies
    NAME.state.json, from which the same house goes on after a restart (its devices forget their orders).

    Example: hearth-sim house --base-port 5020 --report house.json
    then:    mbpoll -m tcp -p 5020 -a 1 -t 3:float -B -0 -r 52 -1 127.0.0.1     (grid power)
    """
    if report is not None and not report.resolve().parent.is_dir():
        raise ConfigError("command line", "report", str(report), "Make the folder first.")
    options = HouseOptions(seed, demo_battery(battery_wh, battery_w), soc, fuse_a, export_limit_w)
    if only and only not in DEVICE_IDS:
        raise ConfigError("command line", "only", only, f"Use one of {', '.join(DEVICE_IDS)}.")
    ports = {name: base_port + number for number, name in enumerate([only] if only else DEVICE_IDS)}
    asyncio.run(_serve(host, ports, start, options, report))


@app.command()
def history(
    mqtt: Annotated[str, typer.Option(help="Broker, mqtt://[user:password@]host:port[?protocol=3.1.1].")],
    until: Annotated[str, typer.Option(help="End of the history, e.g. 2016-04-04T00:00:00Z; on a whole step.")],
    agent: Annotated[str, typer.Option(help="Name of the agent whose past this is.")] = "konstanz",
    weeks: Annotated[int, typer.Option(min=1, max=10, help="How long before the end it starts.")] = 8,
    step_s: Annotated[int, typer.Option(min=60, max=3600, help="Time between readings [s].")] = 300,
    seed: Seed = 1,
) -> None:
    """Publish the home's recorded past through the ordinary way in, and wait until the hub has stored it.

    The counters end where "hearth-sim house --start UNTIL" begins. Exits 1 when the hub does not answer for 60 s; run
    it again and it goes on where the hub stopped.

    Example: hearth-sim history --mqtt mqtt://127.0.0.1:1883 --until 2016-04-04T00:00:00Z
    """
    order = HistoryOrder(agent=agent, until_s=_instant("until", until), weeks=weeks, step_s=step_s, seed=seed)
    count = asyncio.run(publish_history(mqtt, order, typer.echo))
    typer.echo(f"history stored: {count} readings")


async def _serve(host: str, ports: dict[str, int], start: str, options: HouseOptions, report: Path | None) -> None:
    clock = _clock()
    start_s = _instant("start", start) if start else clock.time()
    behind_s = clock.time() - start_s
    if behind_s > _LONGEST_CATCH_UP_S:
        remedy = f"It lies {behind_s / 86400:.0f} days before the clock; leave it out, or set HEARTH_CLOCK."
        raise ConfigError("command line", "start", start, remedy)
    server = HouseServer(build_house(clock, start_s, options), ports)
    if report is not None:
        server.go_on_from(memory_path(report))
    await server.start(host, ports)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        typer.echo("ready")
        await server.run(stop, report)
    finally:
        await server.stop()


def _clock() -> Clock:
    try:
        return clock_from_environment()
    except (ValueError, OSError) as error:
        raise ConfigError("environment", "HEARTH_CLOCK", str(error), "Unset it for real time.") from error


def _instant(field: str, text: str) -> float:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ConfigError("command line", field, text, f"{error}. Write e.g. 2016-04-04T00:00:00Z.") from error


app.command()(serve)
app.command()(demo)
app.command()(fleet)


def main() -> None:
    """Run the command line; a wrong setting is explained on stderr and ends with 2, any other failure with 1."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except ConfigError as error:
        typer.echo(f"hearth-sim: {error}", err=True)
        sys.exit(2)
    except HearthError as error:
        typer.echo(f"hearth-sim: {error}", err=True)
        sys.exit(1)
