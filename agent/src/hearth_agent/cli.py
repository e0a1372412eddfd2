"""The command ``hearth-agent``."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hearth_agent.app import run_agent
from hearth_agent.commands import override
from hearth_agent.commands.diagnose import diagnose
from hearth_agent.commands.discover import discover
from hearth_agent.commands.probe import probe
from hearth_agent.commands.record import record
from hearth_agent.control.withdrawal import why_not_steered
from hearth_agent.devices.catalogue import find_profile, read_text, shipped_names, shipped_profile
from hearth_agent.devices.problems import find_problems
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.profile_page import shipped_page
from hearth_agent.proof import profile_sha256
from hearth_agent.settings import Home, load_home
from hearth_core.clock import clock_from_environment
from hearth_core.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Hearth's agent in the home: reads devices, keeps every reading until the hub has it, forecasts and steers.",
)
profile_app = typer.Typer(no_args_is_help=True, help="Work with device profiles.")
app.add_typer(profile_app, name="profile")
app.command()(discover)
app.command()(probe)
app.command()(record)
app.command()(diagnose)
app.add_typer(override.app, name="override")

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
        why = why_not_steered(home, device.id)
        left_out = "".join(f", without {kind}: {text}" for kind, text in home.left_out(device.id).items())
        steered = f"controlled{left_out}" if not why else f"watched: {why}" if profile.controls else "watched"
        typer.echo(f"  {device.id:<16} {profile.profile:<26} {home.endpoints[device.id].place}  {steered}")
    typer.echo(f"  hub              {home.broker or 'none: readings stay in the spool'}")
    for text in home.warnings:
        typer.echo(f"  look at          {text}")


@app.command()
def commission(
    config: Config,
    device: Annotated[
        list[str] | None,
        typer.Option(help="Devices to prove; left out: all with controls."),
    ] = None,
    yes_to: Annotated[
        list[str] | None,
        typer.Option(help="Say yes beforehand: all, a device, or device:ramp, device:control, device:keeps-orders."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who answers; the user's name when left out.")] = None,
    watch_s: Annotated[float, typer.Option(min=20, max=86_400, help="How many seconds all is watched first.")] = 180.0,
    power_w: Annotated[float | None, typer.Option(min=300, help="Power of the battery's test, in W.")] = None,
) -> None:
    """Prove that devices measure and obey as their profiles say; only then they are controlled.

    Watches the home, compares units, signs and phases by the energy balance, and moves a device only after a yes.
    The proof is written into the file. Exit code 1 when a device could not be proved.

    Example: hearth-agent commission --config agent.yaml --device inverter
    """
    # imported here: the running agent needs neither tables nor an editor of YAML
    from hearth_agent.commissioning import command

    if not command.commission(config, device or [], yes_to or [], by, watch_s, power_w):
        raise typer.Exit(1)


@app.command()
def profiles() -> None:
    """List the device profiles that come with the agent, and the safety classes of their controls.

    Example: hearth-agent profiles
    """
    for name in shipped_names():
        _describe(shipped_profile(name))


@profile_app.command("check")
def profile_check(file: Annotated[Path, typer.Argument(help="A profile in YAML.")]) -> None:
    """Check a profile of your own: grammar, points, overlaps, controls. Every mistake is told with its line.

    Exit code 2 when something is wrong.

    Example: hearth-agent profile check my-meter.yaml
    """
    profile, problems = find_problems(read_text(file), str(file))
    for problem in problems:
        typer.echo(str(problem), err=True)
    if profile is None:
        raise typer.Exit(_USAGE_ERROR)
    _describe(profile)


@profile_app.command("schema")
def profile_schema() -> None:
    """Print the JSON Schema of profiles, for editors that complete and check YAML.

    Example: hearth-agent profile schema > docs/profile.schema.json
    """
    typer.echo(json.dumps(msgspec.json.schema(Profile), indent=2))


@profile_app.command("page")
def profile_page() -> None:
    """Print the page of docs that lists the profiles that come with the agent.

    Example: hearth-agent profile page > docs/device-profiles.md
    """
    typer.echo(shipped_page())


@profile_app.command("hash")
def profile_hash(names: Annotated[list[str], typer.Argument(help="Shipped profiles, or files.")]) -> None:
    """Print what binds a proof to a profile: one line each, the name and the hash of its content.

    Example: hearth-agent profile hash sunspec-hybrid
    """
    for name in names:
        profile = find_profile(name, Path(), "command line", "NAME")
        typer.echo(f"{name} {profile_sha256(profile)}")


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
