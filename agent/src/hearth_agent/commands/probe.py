"""``hearth-agent probe``: live values with units, and the raw registers they were made from."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Annotated

import typer

from hearth_agent.commands.survey import Survey, survey_target
from hearth_agent.commands.targets import ConfigFile, DeviceId, Host, Port, ProfileName, Serial, Target, Unit, named
from hearth_agent.devices.errors import DeviceError
from hearth_agent.devices.profile import Profile
from hearth_core.points import POINTS

_WATCH_S = 2.0
_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def probe(
    device: DeviceId = None,
    config: ConfigFile = None,
    profile: ProfileName = "",
    host: Host = None,
    serial: Serial = None,
    port: Port = None,
    unit: Unit = None,
    watch: Annotated[bool, typer.Option("--watch", help="Read again every 2 s until Ctrl-C.")] = False,
) -> None:
    """Read devices once and print their values with units and raw registers; nothing is written.

    All devices of the file are read when none is named. Exit code 1 when a device does not answer.

    Example: hearth-agent probe --config agent.yaml inverter
             hearth-agent probe --profile eastron-sdm630 --host 192.168.1.20 --watch
    """
    logging.basicConfig(level=logging.ERROR)
    chosen = named(device, config, profile, host, serial, port, unit)
    try:
        if not asyncio.run(_probe(chosen, watch=watch)):
            raise typer.Exit(1)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _probe(chosen: list[Target], *, watch: bool) -> bool:
    while True:
        results = await asyncio.gather(*(_try(one) for one in chosen))
        if watch and sys.stdout.isatty():
            typer.echo(_HOME_AND_CLEAR, nl=False)
        for target, result in zip(chosen, results, strict=True):
            typer.echo("\n".join(describe(target, result)))
        if not watch:
            return all(isinstance(result, Survey) for result in results)
        await asyncio.sleep(_WATCH_S)


async def _try(target: Target) -> Survey | DeviceError:
    try:
        return await survey_target(target)
    except DeviceError as error:
        return error


def describe(target: Target, result: Survey | DeviceError) -> list[str]:
    """Return the lines about one device."""
    if isinstance(result, DeviceError):
        return [f"{target.id} ({target.place}): {result}"]
    lines = [f"{target.id} ({result.name}) at {target.place}"]
    placed = {point.name: point for point in result.points}
    for name in result.profile.points:
        value = f"{result.values[name]:14.3f}" if name in result.values else f"{'missing':>14}"
        raw = raw_registers(result, name) if name in placed else "not on this device"
        lines.append(f"  {name:<30} {value} {unit_of(result.profile, name):<5} {raw}".rstrip())
    return lines


def raw_registers(result: Survey, name: str) -> str:
    """Return a point's registers as ``function:address hex hex``."""
    point = next(one for one in result.points if one.name == name)
    parts = []
    for span, words in result.sources(point):
        told = " ".join("----" if word is None else f"{word:04X}" for word in words)
        parts.append(f"{span.fc}:{span.address} {told}")
    return "  ".join(parts)


def unit_of(profile: Profile, name: str) -> str:
    """Return a point's unit."""
    return POINTS[name].unit if name in POINTS else profile.points[name].unit or ""
