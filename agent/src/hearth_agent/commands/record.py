"""``hearth-agent record``: a device's registers as a file that tests decode and the simulator serves."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from hearth_agent.commands.dump import read_all, recording
from hearth_agent.commands.survey import survey
from hearth_agent.commands.targets import ConfigFile, DeviceId, Host, Port, ProfileName, Serial, Target, Unit, named
from hearth_agent.devices.errors import DeviceError
from hearth_core.errors import ConfigError


def record(
    device: DeviceId = None,
    config: ConfigFile = None,
    profile: ProfileName = "",
    host: Host = None,
    serial: Serial = None,
    port: Port = None,
    unit: Unit = None,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output when left out.")] = None,
) -> None:
    """Read a device completely and write its registers down, with serial numbers masked; the device is not written.

    The file serves the device again: hearth-sim serve --file FILE. Exit code 1 when the device does not answer.

    Example: hearth-agent record --config agent.yaml inverter --out my-inverter.yaml
    """
    logging.basicConfig(level=logging.ERROR)
    chosen = named(device, config, profile, host, serial, port, unit)
    if len(chosen) > 1:
        raise ConfigError("command line", "DEVICE", None, f"Name one of {', '.join(one.id for one in chosen)}.")
    try:
        text = asyncio.run(record_target(chosen[0]))
    except DeviceError as error:
        typer.echo(f"hearth-agent: {error}", err=True)
        raise typer.Exit(1) from error
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError("command line", "--out", str(out), f"It cannot be written: {error.strerror}.") from error
    typer.echo(f"{out}: written. Serve it with: hearth-sim serve --file {out}")


async def record_target(target: Target) -> str:
    """Return a device's recording as YAML.

    Raises:
        DeviceError: The device cannot be reached, or is not what its profile says.
    """
    async with target.opened() as link:
        found = await survey(link, target.documented, target.unit)
        await read_all(link, found)
        return recording(link, found)
