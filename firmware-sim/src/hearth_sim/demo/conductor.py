"""Starts a whole home in the right order, lets its time run, and ends it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from hearth_core.clock import ClockConductor
from hearth_core.errors import HearthError
from hearth_core.messages import SEASONAL_NAIVE
from hearth_sim.demo.broker import Broker, start_broker
from hearth_sim.demo.home_files import HomeFolder, Progress
from hearth_sim.demo.hub_client import HubClient
from hearth_sim.demo.pace import Pace
from hearth_sim.demo.ports import HOST, answers, free_port
from hearth_sim.demo.processes import Child, Children, command, wait_until
from hearth_sim.demo.settings import AGENT, DEVICES, HISTORY_WEEKS, DemoSettings
from hearth_sim.recorded import prices_path

# A demo that was killed may have lived on for some seconds after it last wrote its progress: going on beyond that
# moment keeps time from running twice over the same readings.
_AFTER_A_KILL_S = 10.0


class Home:
    """A running home: simulated house, agent, broker and hub."""

    def __init__(
        self, settings: DemoSettings, folder: HomeFolder, children: Children, conductor: ClockConductor
    ) -> None:
        self.settings, self.folder, self.children, self.conductor = settings, folder, children, conductor
        self.clock = conductor.clock
        self.pace = Pace(conductor, settings.speed, settings.control_s)
        self.progress = folder.load() or Progress(settings.start_s, settings.start_s)
        http_port = free_port(settings.http_port)
        self.url = f"http://{HOST}:{http_port}"
        self.hub = HubClient(self.url, AGENT)
        self._http_port = http_port
        self._base_port = 0
        self._broker: Broker | None = None
        self.parts: dict[str, Child] = {}

    def start(self, console: Console) -> None:
        """Start every part, in order, saying what happens."""
        with _step(console, "message broker") as step:
            broker = self._broker = start_broker(self.children, self.folder.path, free_port(1883))
            wait_until(lambda: answers(_port(broker)), 15, "broker", self.children)
            step(broker.name)
        with _step(console, "hub: database, ingest, planner, web page") as step:
            self.start_hub()
            step(self.url)
        with _step(console, "the house and its devices (Modbus)") as step:
            self._start_house()
            step(f"ports {self._base_port}-{self._base_port + len(DEVICES) - 1}")
        self.conductor.set_speed(1.0)
        if not self.progress.history_loaded:
            with _step(console, f"{HISTORY_WEEKS} weeks of the home's past, through the ordinary ingest") as step:
                step(self._load_history(broker))
        with _step(console, "agent") as step:
            self.start_agent()
            wait_until(lambda: _is_live(self.hub.now()), 60, "first live values", self.children)
            step("reads its devices")
        with _step(console, "first forecast and plan") as step:
            wait_until(lambda: self.hub.forecast() and self.hub.plan(), 120, "first plan", self.children)
            step(_model_names(self.hub.forecast()))
        if self.settings.days is not None:
            # who watches sees the models arrive; what is measured begins with them
            with _step(console, "models trained on the home's own past") as step:
                wait_until(lambda: _is_learned(self.hub.forecast()), 180, "trained models", self.children)
                step(_model_names(self.hub.forecast()))

    def start_hub(self) -> None:
        """Start the hub; also after it was stopped."""
        broker = self._broker
        if broker is None:
            raise HearthError("start the home first")
        self.parts["hub"] = self.children.start(
            "hub",
            [command("hearth-hub"), "run"],
            {
                "HEARTH_HUB_DATA_DIR": str(self.folder.path / "hub"),
                "HEARTH_HUB_MQTT_URL": broker.url,
                "HEARTH_HUB_HOST": HOST,
                "HEARTH_HUB_PORT": str(self._http_port),
                "HEARTH_HUB_PRICES_FILE": str(prices_path()),
                "HEARTH_HUB_PRICES_ZONE": "NL",
            },
        )
        wait_until(self.hub.healthy, 90, "hub", self.children)

    def _start_house(self) -> None:
        base_port = self._base_port = free_port(5020, len(DEVICES))
        arguments = [
            command("hearth-sim"), "house",
            "--host", HOST, "--base-port", str(base_port),
            "--start", iso(self.progress.start_s),
            "--seed", str(self.settings.seed),
            "--report", str(self.folder.house_report),
        ]  # fmt: skip
        self.parts["house"] = self.children.start("house", arguments)
        wait_until(
            lambda: all(answers(port) for port in range(base_port, base_port + len(DEVICES))),
            60,
            "house",
            self.children,
        )

    def _load_history(self, broker: Broker) -> str:
        arguments = [
            command("hearth-sim"), "history",
            "--mqtt", broker.url, "--agent", AGENT,
            "--until", iso(self.progress.start_s),
            "--weeks", str(HISTORY_WEEKS), "--seed", str(self.settings.seed),
        ]  # fmt: skip
        began_s = time.monotonic()
        done = self.children.run("history", arguments, 180)
        if done.returncode:
            raise HearthError(f"history was not loaded: {(done.stdout + done.stderr).decode()[-2000:]}")
        self.progress.history_loaded = True
        self.save()
        return f"{time.monotonic() - began_s:.1f} s"

    def start_agent(self) -> None:
        """Start the agent; also after it was stopped or killed."""
        if self._broker is None:
            raise HearthError("start the home first")
        key = self.hub_command("key").strip()
        address = (self._broker.url, key, self._base_port)
        path = self.folder.write_agent_file(self.settings, *address, self._profile_hashes())
        arguments = [command("hearth-agent"), "supervise", "--config", str(path)]
        self.parts["agent"] = self.children.start("agent", arguments)

    def _profile_hashes(self) -> dict[str, str]:
        """Ask the agent what binds a proof to each profile."""
        names = [profile for _, profile, _ in DEVICES]
        done = self.children.run("agent", [command("hearth-agent"), "profile", "hash", *names], 60)
        if done.returncode:
            raise HearthError(f"hearth-agent profile hash: {done.stderr.decode()[-2000:]}")
        return dict(line.split() for line in done.stdout.decode().splitlines())

    def hub_command(self, *arguments: str, accept: tuple[int, ...] = (0,)) -> str:
        """Run a hub command against this home's hub and return what it printed.

        Raises:
            HearthError: It ended with a code that is not in ``accept``, or said nothing.
        """
        done = self.children.run("hub", [command("hearth-hub"), *arguments], 120)
        if done.returncode not in accept or not done.stdout:
            said = (done.stdout + done.stderr).decode()[-2000:]
            raise HearthError(f"hearth-hub {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout.decode()

    def look(self) -> dict[str, Any] | None:
        """Look after the parts, the pace and the progress file; return the home's present state."""
        self.children.check()
        now = self.hub.now()
        self.pace.adapt(now["lag_s"] if now else None)
        self.save()
        return now

    def save(self) -> None:
        """Write down the present instant."""
        self.progress.at_s = self.clock.time()
        self.folder.save(self.progress)

    def kill(self, part: str) -> None:
        """End a part and what it has started as a power cut would (kill -9)."""
        child = self.parts.pop(part)
        child.kill()
        self.children.finish(child)

    def stop_agent(self) -> None:
        """End the agent as its service manager would; it delivers what it has spooled first."""
        self.children.finish(self.parts.pop("agent"))

    def stop_hub(self) -> None:
        """End the hub with its database; broker, house and agent live on."""
        self.children.finish(self.parts.pop("hub"))

    def stop_house(self) -> None:
        """End the house; it writes its last report."""
        self.children.finish(self.parts.pop("house"))

    def truth(self) -> dict[str, Any]:
        """Return what the house last reported of itself, at most two real seconds ago."""
        truth: dict[str, Any] = json.loads(self.folder.house_report.read_text())
        return truth


@contextmanager
def open_home(settings: DemoSettings) -> Iterator[Home]:
    """Prepare a home's folder, clock and processes; on leaving, every process has ended."""
    folder = HomeFolder(settings)
    earlier = folder.load()
    at_s = settings.start_s if earlier is None else earlier.at_s + _AFTER_A_KILL_S * settings.speed
    conductor = ClockConductor(folder.clock, at_s)
    environment = {
        "HEARTH_CLOCK": f"file:{folder.clock}",
        "HEARTH_HUB_DATA_DIR": str(folder.path / "hub"),
        # several small numeric jobs share two cores: more threads would only fight
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        with Children(folder.path / "logs", environment) as children:
            home = Home(settings, folder, children, conductor)
            try:
                yield home
            finally:
                home.save()
                conductor.hold_at(home.clock.time())
                conductor.set_speed(1.0)
    finally:
        folder.release()


@contextmanager
def _step(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """Show one step while it runs, and how it ended."""
    began_s = time.monotonic()
    notes: list[str] = []
    with console.status(f"{what} ..."):
        yield notes.append
    console.print(f"  [green]✓[/] {what} [dim]{' '.join(notes)} ({time.monotonic() - began_s:.1f} s)[/]")


def iso(at_s: float) -> str:
    """Return an instant as commands take it."""
    return datetime.fromtimestamp(at_s, tz=UTC).isoformat().replace("+00:00", "Z")


def _port(broker: Broker) -> int:
    return int(broker.url.split(":")[2].split("?")[0])


def _is_live(now: dict[str, Any] | None) -> bool:
    flows = now.get("flows") if now else None
    return isinstance(flows, dict) and flows.get("grid_w") is not None and flows.get("load_w") is not None


def _models(forecast: dict[str, Any] | None) -> dict[str, str]:
    return {entry["target"]: entry["model"] for entry in forecast["series"]} if forecast else {}


def _is_learned(forecast: dict[str, Any] | None) -> bool:
    models = _models(forecast)
    return bool(models) and SEASONAL_NAIVE not in models.values()


def _model_names(forecast: dict[str, Any] | None) -> str:
    return ", ".join(f"{target} by {model}" for target, model in _models(forecast).items())
