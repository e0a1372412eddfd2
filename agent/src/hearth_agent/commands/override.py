"""``hearth-agent override``: the owner's own wish for a device, for a while, whatever the plan says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer

from hearth_agent.control.withdrawal import why_not_steered
from hearth_agent.plan.overrides import (
    LOCAL_NAME,
    OverrideRefusedError,
    check_override,
    describe,
    is_empty,
    read_local,
    write_local,
)
from hearth_agent.settings import Home, load_home
from hearth_core.clock import clock_from_environment, now_ms
from hearth_core.errors import ConfigError, PoisonMessageError
from hearth_core.messages import HeatMode, Mode, Override

app = typer.Typer(no_args_is_help=True, help="Set your own wish for a device; it beats the plan and ends by itself.")

Config = Annotated[Path, typer.Option("--config", "-c", help="The home's agent.yaml.", show_default=False)]
Device = Annotated[str, typer.Argument(help="The device's id in agent.yaml.")]
_LENGTH = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>min|h|d)")
_UNIT_S = {"min": 60, "h": 3600, "d": 86_400}
_CLEARED_FOR_MS = 7 * 86_400 * 1000
_OPTIONS = "command line"


@app.command("set")
def set_override(
    config: Config,
    device: Device,
    length: Annotated[str, typer.Option("--for", help="How long, e.g. 30min, 2h, 3d; at most 7d.")],
    mode: Annotated[Mode | None, typer.Option(help="Battery: what it may do.")] = None,
    power_w: Annotated[float | None, typer.Option(help="With charge_from_grid and export: W.")] = None,
    current_a: Annotated[float | None, typer.Option(help="Charger: A of each phase; 0 pauses.")] = None,
    heat_mode: Annotated[HeatMode | None, typer.Option(help="Heat pump or water heater.")] = None,
) -> None:
    """Wish something of a device for a while; a running agent takes it within seconds.

    Limits of the grid and the house still hold. A wish replaces the one before it.

    Example: hearth-agent override set inverter --mode hold --for 2h --config agent.yaml
             hearth-agent override set inverter --mode charge_from_grid --power-w 3000 --for 1h --config agent.yaml
             hearth-agent override set charger --current-a 0 --for 30min --config agent.yaml
    """
    home, at_ms = load_home(config), now_ms(clock_from_environment())
    if mode is None and current_a is None and heat_mode is None:
        raise ConfigError(_OPTIONS, "--mode", None, "Say what is wished: --mode, --current-a or --heat-mode.")
    wish = msgspec.structs.replace(
        _nothing(home, device, at_ms, at_ms + _milliseconds(length)),
        battery=mode,
        power_w=power_w,
        current_a=current_a,
        heat_mode=heat_mode,
    )
    _write(home, wish, at_ms)
    typer.echo(f"{device}: {describe(wish)} until {_local(home, wish.until_ms)}")
    if why := why_not_steered(home, device):
        typer.echo(f"{device} is only watched, so nothing happens yet: {why}")


@app.command("list")
def list_overrides(config: Config) -> None:
    """List the wishes that were set here and are in force (those from the hub are on its page).

    Example: hearth-agent override list --config agent.yaml
    """
    home, at_ms = load_home(config), now_ms(clock_from_environment())
    shown = [one for one in _known(home) if one.until_ms > at_ms and not is_empty(one)]
    for one in shown:
        typer.echo(f"{one.device:<16} {describe(one):<32} until {_local(home, one.until_ms)}")
    if not shown:
        typer.echo("nothing is overridden here")


@app.command()
def clear(
    config: Config,
    device: Annotated[str | None, typer.Argument(help="The device's id; all when left out.")] = None,
) -> None:
    """Take wishes back, also those that came from the hub: the plan counts again.

    Example: hearth-agent override clear inverter --config agent.yaml
    """
    home, at_ms = load_home(config), now_ms(clock_from_environment())
    steerable = [one.id for one in home.settings.devices if home.profiles[one.id].controls]
    for id_ in [device] if device else steerable:
        _write(home, _nothing(home, id_, at_ms, at_ms + _CLEARED_FOR_MS), at_ms)
        typer.echo(f"{id_}: as planned")


def _nothing(home: Home, device: str, at_ms: int, until_ms: int) -> Override:
    return Override(home=home.settings.agent, version=max(1, at_ms), device=device, issued_ms=at_ms, until_ms=until_ms)


def _write(home: Home, wish: Override, at_ms: int) -> None:
    kinds = {id_: profile.kind for id_, profile in home.profiles.items()}
    try:
        check_override(wish, home.settings.agent, kinds, at_ms)
    except OverrideRefusedError as error:
        raise ConfigError(_OPTIONS, "override", describe(wish), f"{error}.") from error
    others = [one for one in _known(home) if one.device != wish.device and one.until_ms > at_ms]
    try:
        write_local(home.data_dir / LOCAL_NAME, [*others, wish])
    except OSError as error:
        raise ConfigError(
            _OPTIONS, "data_dir", str(home.data_dir), f"It cannot be written: {error.strerror}."
        ) from error


def _known(home: Home) -> list[Override]:
    try:
        return read_local(home.data_dir / LOCAL_NAME)
    except (OSError, PoisonMessageError) as error:
        raise ConfigError(
            str(home.data_dir / LOCAL_NAME), "the file", None, f"Remove it, it cannot be used: {error}."
        ) from error


def _milliseconds(length: str) -> int:
    match = _LENGTH.fullmatch(length.strip())
    if match is None:
        raise ConfigError(_OPTIONS, "--for", length, "Write e.g. 30min, 2h or 3d.")
    return int(float(match["number"]) * _UNIT_S[match["unit"]] * 1000)


def _local(home: Home, at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone(ZoneInfo(home.settings.site.timezone))
    return f"{at:%d.%m.%Y %H:%M}"
