"""Living a demo: on the screen until Ctrl-C, or a number of days with a table at the end."""

from __future__ import annotations

import json
import signal
import time
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hearth_sim.demo.conductor import Home, iso, open_home
from hearth_sim.demo.screen import Screen
from hearth_sim.demo.settings import AGENT, DemoSettings
from hearth_sim.demo.summary import as_json, failures, print_table, since, summarise
from hearth_sim.home import demo_site

_LOOK_EVERY_S = 1.0
_DRAIN_S = 20.0
_SETTLE_S = 2.0
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def run_demo(settings: DemoSettings, console: Console) -> int:
    """Live a demo and return its exit code."""
    for number in _ENDINGS:
        signal.signal(number, _interrupt)
    try:
        with open_home(settings) as home:
            console.print(f"[bold]Hearth[/]: a recorded home in Konstanz comes to life in {home.folder.path}")
            home.start(console)
            home.pace.go()
            if settings.days is None:
                _live(home, settings, console)
                return 0
            return _measure(home, settings, console)
    except KeyboardInterrupt:
        console.print("\nended; `make demo` goes on from here")
        return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # once is enough: a second Ctrl-C in the middle of ending the parts would leave some of them running
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _live(home: Home, settings: DemoSettings, console: Console) -> None:
    screen = Screen(home, demo_site().timezone)
    with Live(console=console, auto_refresh=False, screen=False) as live:
        while True:
            now = home.look()
            if not settings.headless:
                live.update(screen.draw(now), refresh=True)
            time.sleep(_LOOK_EVERY_S)


def _measure(home: Home, settings: DemoSettings, console: Console) -> int:
    days = settings.days or 0.0
    before = home.truth()
    start_s, began_s = home.clock.time(), time.monotonic()
    _pass_time(home, start_s, start_s + days * 86400, console)
    real_s = time.monotonic() - began_s
    lived_days = (home.clock.time() - start_s) / 86400
    home.stop_agent()
    reconciliation = drain(home)
    report = json.loads(
        home.hub_command(
            "report", "--home", AGENT, "--json",
            "--from", iso(start_s), "--to", iso(home.clock.time()),
        )
    )  # fmt: skip
    home.stop_house()
    summary = summarise(report, reconciliation, since(before, home.truth()), round(lived_days, 3), real_s)
    print_table(console, summary)
    if settings.json_path:
        settings.json_path.write_text(as_json(summary))
        console.print(f"written: {settings.json_path}")
    wrong = failures(summary)
    for line in wrong:
        console.print(f"[red]✗[/] {line}")
    return 1 if wrong else 0


def _pass_time(home: Home, start_s: float, end_s: float, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("living", total=end_s - start_s)
        while (left_s := end_s - home.clock.time()) > 0:
            time.sleep(min(_LOOK_EVERY_S, left_s / max(home.clock.speed, 1.0)))
            now = home.look()
            reason = str((now or {}).get("reason") or "")[:48]
            bar.update(
                task, completed=min(home.clock.time(), end_s) - start_s, description=f"{home.clock.speed:.0f}x {reason}"
            )
    home.conductor.hold_at(end_s)
    # time stands, so nothing new is measured: what is under way arrives before the agent is asked to go
    time.sleep(_SETTLE_S)


def drain(home: Home) -> dict[str, Any]:
    """Wait until the hub has everything the agent left behind, then compare both ends."""
    deadline_s = time.monotonic() + _DRAIN_S
    while True:
        result: dict[str, Any] = json.loads(home.hub_command("reconcile", "--home", AGENT, "--json", accept=(0, 1)))
        if (result["reconciled"] and not result["totals"]["spooled"]) or time.monotonic() > deadline_s:
            return result
        time.sleep(0.5)
