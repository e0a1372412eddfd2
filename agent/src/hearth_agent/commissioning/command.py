"""The command ``hearth-agent commission``."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID
from rich.table import Table

from hearth_agent.app import make_devices
from hearth_agent.commissioning.course import Course, Options, provable
from hearth_agent.commissioning.findings import Finding, Result
from hearth_agent.commissioning.orders import StuckError
from hearth_agent.commissioning.questions import Asker
from hearth_agent.devices.device import Device
from hearth_agent.events import EventLog
from hearth_agent.settings import Home, load_home
from hearth_core.clock import clock_from_environment
from hearth_core.errors import ConfigError

_COLOURS = {Result.PASSED: "green", Result.FAILED: "red", Result.INCONCLUSIVE: "yellow"}


class Terminal:
    """Shows the course on a terminal, or as plain lines where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def say(self, text: str) -> None:
        """See `Screen.say`."""
        self._console.print(escape(text))

    def watch(self, share: float) -> None:
        """See `Screen.watch`."""
        if not self._console.is_terminal:
            return
        if self._progress is None:
            self._progress = Progress(console=self._console, transient=True)
            self._task = self._progress.add_task("watching", total=1.0)
            self._progress.start()
        if self._task is not None:
            self._progress.update(self._task, completed=share)
        if share >= 1.0:
            self.close()

    def close(self) -> None:
        """Give the terminal back its cursor."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._task = None

    def show(self, findings: Sequence[Finding]) -> None:
        """See `Screen.show`."""
        table = Table("device", "check", "result", "what was seen")
        for one in findings:
            seen = f"{one.text}\n{one.remedy}" if one.remedy else one.text
            table.add_row(one.device, one.check, f"[{_COLOURS[one.result]}]{one.result}[/]", escape(seen))
        if findings:
            self._console.print(table)


def commission(
    config: Path, devices: list[str], yes_to: list[str], by: str | None, watch_s: float, power_w: float | None
) -> bool:
    """Commission devices of a home; see `hearth_agent.cli.commission`."""
    home = load_home(config)
    chosen = devices or provable(home)
    _check_names(home, config, devices, yes_to)
    _check_alone(home)
    if not os.access(config.resolve().parent, os.W_OK):
        raise ConfigError(str(config), "the file", str(config), "Its folder must be writable for the proof.")
    logging.basicConfig(level=logging.ERROR)
    clock = clock_from_environment()
    prompt = _confirm if sys.stdin.isatty() else None
    who = by or getpass.getuser()
    asker = Asker(who, clock, frozenset(yes_to), prompt)
    options = Options(devices=tuple(chosen), by=who, watch_s=watch_s, power_w=power_w)
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    events = EventLog(clock)
    made = make_devices(home, clock, events)
    terminal = Terminal(console)
    course = Course(home, made, asker, terminal, options, clock, events)
    try:
        return asyncio.run(_run(course, made, config, terminal))
    except StuckError as error:
        console.print(f"[red]{escape(str(error))}[/]")
        return False
    except (asyncio.CancelledError, KeyboardInterrupt, typer.Abort):
        console.print("Ended before it was done: no proof was written, and every device is in its own mode.")
        return False


def _confirm(question: str) -> bool:
    """Ask a person; Ctrl-C and SIGTERM end it at once (nothing is moved while a question waits).

    The event loop stands still meanwhile, and its own handlers would wait for the answer.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        return typer.confirm(question)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


async def _run(course: Course, devices: Mapping[str, Device], config: Path, terminal: Terminal) -> bool:
    """Run the course; SIGTERM ends it as Ctrl-C does, with every device back in its own mode."""
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await course.run(config)
    finally:
        terminal.close()
        for device in devices.values():
            device.close()


def _check_names(home: Home, config: Path, devices: Sequence[str], yes_to: Sequence[str]) -> None:
    known = provable(home)
    for device in devices:
        if device not in known:
            raise ConfigError(str(config), "--device", device, f"Devices with a control: {', '.join(known) or 'none'}.")
    for answer in yes_to:
        device, _, topic = answer.partition(":")
        if answer != "all" and (device not in known or topic not in ("", "ramp", "control", "keeps-orders")):
            remedy = f"Use all, or one of {', '.join(known)}, alone or with :ramp, :control or :keeps-orders."
            raise ConfigError(str(config), "--yes-to", answer, remedy)


def _check_alone(home: Home) -> None:
    """Two masters would fight over the devices: a running agent holds its spool file."""
    spool = home.data_dir / "spool.sqlite"
    if not spool.exists():
        return
    with closing(sqlite3.connect(spool, timeout=0.0)) as probe:
        try:
            probe.execute("select count(*) from sqlite_master")
        except sqlite3.OperationalError as error:
            remedy = "The agent of this home runs and would fight over the devices; stop it first."
            raise ConfigError(str(spool), "the agent", "running", remedy) from error
