"""The command ``hearth-agent``."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hearth_agent.app import make_devices, run_agent
from hearth_agent.devices.catalogue import read_profile, shipped_names, shipped_profile
from hearth_agent.devices.device import Device
from hearth_agent.devices.profile import Profile
from hearth_agent.events import EventLog
from hearth_agent.settings import Home, load_home
from hearth_core.clock import clock_from_environment
from hearth_core.errors import ConfigError
from hearth_core.points import POINTS

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Hearth's agent in the home: reads devices, keeps every reading until the hub has it, forecasts and steers.",
)
profile_app = typer.Typer(no_args_is_help=True, help="Work with device profiles.")
app.add_typer(profile_app, name="profile")

Config = Annotated[Path, typer.Option("--config", "-c", help="The home's agent.yaml.", show_default=False)]

_USAGE_ERROR = 2


def main() -> None:
    """Run the command; a wrong file ends it with exit code 2 and nothing half-started."""
    try:
        app()
    except ConfigError as error:
        print(f"hearth-agent: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(_USAGE_ERROR)
    except ValueError as error:  # HEARTH_CLOCK
        print(f"hearth-agent: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(_USAGE_ERROR)


@app.command()
def run(config: Config, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False) -> None:
    """Run the agent until SIGTERM or Ctrl-C; devices are then back in their own mode.

    A device or a hub that is away never stops it. The password of the broker may come from
    HEARTH_AGENT_MQTT_PASSWORD; HEARTH_CLOCK=file:PATH runs it on a demo's clock.

    Example: hearth-agent run --config /etc/hearth/agent.yaml
    """
    home = load_home(config)
    _prepare_folder(home, config)
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    asyncio.run(run_agent(home, clock_from_environment()))


@app.command()
def supervise(
    config: Config, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False
) -> None:
    """Run the agent under a small process that makes every device safe when the agent dies or stands still.

    That process starts the agent anew, passes SIGTERM on, and is what a service manager should run.

    Example: hearth-agent supervise --config /etc/hearth/agent.yaml
    """
    home = load_home(config)
    _prepare_folder(home, config)
    # becoming another program leaves all of this one's memory behind
    arguments = ["-m", "hearth_agent.control.supervisor", "--config", str(config), "--data-dir", str(home.data_dir)]
    os.execv(sys.executable, [sys.executable, *arguments, *(["--verbose"] if verbose else [])])  # noqa: S606


@app.command()
def check(config: Config) -> None:
    """Check a home's file and every profile it names, without touching a device.

    Exit code 2 and file, field, value and remedy when something is wrong.

    Example: hearth-agent check --config agent.yaml
    """
    home = load_home(config)
    typer.echo(f"{config}: good. Home {home.settings.agent}, {len(home.settings.devices)} devices:")
    for device in home.settings.devices:
        profile = home.profiles[device.id]
        steered = "controlled" if device.controlled else "watched"
        typer.echo(f"  {device.id:<16} {profile.profile:<18} {device.host}:{device.port or profile.port}  {steered}")
    typer.echo(f"  hub              {home.broker or 'none: readings stay in the spool'}")


@app.command()
def probe(
    config: Config,
    device: Annotated[str | None, typer.Argument(help="One device's id; all when left out.")] = None,
) -> None:
    """Read every device once and print its values with units; nothing is written.

    Exit code 1 when a device does not answer.

    Example: hearth-agent probe --config agent.yaml inverter
    """
    home = load_home(config)
    logging.basicConfig(level=logging.ERROR)
    ids = [one.id for one in home.settings.devices]
    if device is not None and device not in ids:
        raise ConfigError(str(config), "devices", device, f"The file has: {', '.join(ids)}.")
    if not asyncio.run(_probe(home, [device] if device else ids)):
        raise typer.Exit(1)


async def _probe(home: Home, ids: list[str]) -> bool:
    clock = clock_from_environment()
    events = EventLog(clock)
    devices = make_devices(home, clock, events)
    chosen = [devices[id_] for id_ in ids]
    results = await asyncio.gather(*(one.measure() for one in chosen))
    for one, measured in zip(chosen, results, strict=True):
        _print_device(one, dict(measured.values) if measured else None)
        one.close()
    while (event := events.first()) is not None:
        typer.echo(f"{event.device}: {event.text}", err=True)
        events.told(event)
    return all(measured is not None for measured in results)


def _print_device(device: Device, values: dict[str, float] | None) -> None:
    info = device.describe(controlled=False)
    typer.echo(f"{device.id} ({info.manufacturer} {info.model} {info.serial}".rstrip() + ")")
    for name in device.profile.points:
        unit = POINTS[name].unit if name in POINTS else ""
        known = values is not None and name in values
        typer.echo(
            f"  {name:<30} {values[name]:>14.3f} {unit}" if values and known else f"  {name:<30} {'missing':>14}"
        )


@app.command()
def profiles() -> None:
    """List the device profiles that come with the agent."""
    for name in shipped_names():
        _describe(shipped_profile(name))


@profile_app.command("check")
def profile_check(file: Annotated[Path, typer.Argument(help="A profile in YAML.")]) -> None:
    """Check a profile of your own: grammar, points, overlaps, controls.

    Example: hearth-agent profile check my-meter.yaml
    """
    _describe(read_profile(file))


def _describe(profile: Profile) -> None:
    controls = ", ".join(f"{kind} (class {spec.safety_class})" for kind, spec in profile.controls.items())
    typer.echo(f"{profile.profile:<18} {profile.kind:<16} {profile.manufacturer} {profile.model}")
    typer.echo(f"{'':<18} {len(profile.points)} points; controls: {controls or 'none'}")


def _prepare_folder(home: Home, config: Path) -> None:
    """Fail before anything is started when the data folder cannot be used."""
    try:
        home.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = f"The folder cannot be made: {error.strerror}."
        raise ConfigError(str(config), "data_dir", home.settings.data_dir, remedy) from error
    if not os.access(home.data_dir, os.W_OK):
        raise ConfigError(str(config), "data_dir", home.settings.data_dir, "The folder cannot be written.")
