"""``hearth-sim serve``: any recorded device on a port or a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from hearth_core.clock import clock_from_environment
from hearth_core.errors import ConfigError
from hearth_sim.framing import Framing
from hearth_sim.recorded_device import RecordedDevice, Written
from hearth_sim.recordings import load, names
from hearth_sim.serial_line import USUAL_LINE
from hearth_sim.serving_recordings import Served, devices_of, served, served_serially


class Transport(StrEnum):
    """How requests reach the device."""

    TCP = "tcp"
    RTU_OVER_TCP = "rtu_over_tcp"
    RTU = "rtu"
    ASCII = "ascii"


def serve(
    device: Annotated[str, typer.Option(help="A recording's name, or any part that only it has: sdm630.")] = "",
    file: Annotated[Path | None, typer.Option(help="A recording of your own (YAML) instead.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes any free one.")] = 5020,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    unit: Annotated[int | None, typer.Option(min=0, max=255, help="Another unit id than the recording's.")] = None,
    transport: Annotated[Transport, typer.Option(help="rtu and ascii speak on a serial line.")] = Transport.TCP,
    serial: Annotated[
        Path | None,
        typer.Option(help="Serial port; a new path becomes a link to a pseudo terminal, which is the default."),
    ] = None,
    line: Annotated[str, typer.Option(help="Speed, data bits, parity and stop bits of a serial port.")] = USUAL_LINE,
    log: Annotated[Path | None, typer.Option(help="Append every write to this file, one JSON line each.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Print the recordings that come with the simulator.")] = False,
) -> None:
    """Serve a recorded device: it answers with its registers, takes orders, and forgets them as the real one does.

    Prints where it listens, then "ready"; SIGTERM or Ctrl-C ends it.

    Example: hearth-sim serve --device sdm630 --port 5020
    then:    mbpoll -m tcp -p 5020 -a 1 -t 3:float -B -0 -r 52 -1 127.0.0.1     (grid power)
    """
    if list_:
        for name in names():
            typer.echo(f"{name:<28} {load(name).file.source}")
        return
    if (file is None) == (not device):
        raise ConfigError("command line", "device", device, "Give --device or --file; --list prints all devices.")
    with _write_log(log) as told:
        devices = devices_of(file or device, unit=unit, clock=clock_from_environment(), told=told)
        asyncio.run(_serve(_open(devices, transport, host, port, serial, line)))


def _open(
    devices: list[RecordedDevice], transport: Transport, host: str, port: int, serial: Path | None, line: str
) -> AbstractAsyncContextManager[Served]:
    if transport is Transport.TCP:
        return served(devices, host=host, port=port)
    if transport is Transport.RTU_OVER_TCP:
        return served(devices, host=host, port=port, framing=Framing.RTU)
    framing = Framing.ASCII if transport is Transport.ASCII else Framing.RTU
    return served_serially(devices, serial, line=line, framing=framing)


async def _serve(opened: AbstractAsyncContextManager[Served]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with opened as running:
        units = ", ".join(str(one.unit) for one in running.devices)
        where = running.path or f"{running.host}:{running.port}"
        typer.echo(f"{running.device.recording.device}, unit {units}, listening on {where}")
        typer.echo("ready")
        await stop.wait()


@contextlib.contextmanager
def _write_log(path: Path | None) -> Iterator[_WriteLog | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigError("command line", "log", str(path), f"It cannot be written: {error.strerror}.") from error
    with file:
        yield _WriteLog(file)


class _WriteLog:
    """One JSON line a write; function 0 is what the device took back by itself."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, written: Written) -> None:
        at = datetime.fromtimestamp(written.at_s, tz=UTC).isoformat(timespec="milliseconds")
        facts = {"at": at, "unit": written.unit, "function": written.function}
        self._file.write(json.dumps({**facts, "address": written.address, "values": written.values}) + "\n")
        self._file.flush()
