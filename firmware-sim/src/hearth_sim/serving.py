"""A house on the network: its devices behind Modbus TCP ports, a tick that keeps it alive, and its report."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hearth_core.clock import Clock
from hearth_core.errors import ConfigError
from hearth_core.site import BatteryFacts
from hearth_models.battery import Battery
from hearth_sim import memory
from hearth_sim.goe_charger import GoeCharger
from hearth_sim.home import CHARGER, DEVICE_IDS, FUSE_A, GRID, HEAT_PUMP, INVERTER, demo_battery
from hearth_sim.house import House
from hearth_sim.limits import LimitWatch
from hearth_sim.modbus_server import Device, ModbusServer, WriteCount
from hearth_sim.nibe_heat_pump import NibeHeatPump
from hearth_sim.report import truth, write_atomically
from hearth_sim.sdm630 import Sdm630
from hearth_sim.sunspec_inverter import SunSpecInverter
from hearth_sim.variation import konstanz_variation

# Ticks are real time: at 720x one of them lives three minutes in one go, which is cheaper than waking for each step.
TICK_S = 0.25
REPORT_EVERY_S = 2.0

_DEVICES: dict[str, Callable[[House], Device]] = {
    GRID: Sdm630,
    INVERTER: SunSpecInverter,
    CHARGER: GoeCharger,
    HEAT_PUMP: NibeHeatPump,
}


@dataclass(frozen=True)
class HouseOptions:
    """What may be chosen about the house."""

    seed: int = 1
    battery: BatteryFacts = demo_battery()  # noqa: RUF009  frozen
    soc_percent: float = 50.0
    fuse_a: float = FUSE_A
    export_limit_w: float | None = None


def build_house(clock: Clock, start_s: float, options: HouseOptions) -> House:
    """Build the recorded house as it stands at ``start_s``.

    Raises:
        ConfigError: The battery's start charge lies outside its band.
    """
    battery = Battery.from_facts(options.battery)
    if not battery.min_soc_percent <= options.soc_percent <= battery.max_soc_percent:
        remedy = f"Use {battery.min_soc_percent:g}..{battery.max_soc_percent:g}."
        raise ConfigError("command line", "soc", options.soc_percent, remedy)
    return House(
        clock,
        konstanz_variation(options.seed),
        battery,
        start_s=start_s,
        soc_percent=options.soc_percent,
        watch=LimitWatch(options.fuse_a, options.export_limit_w, (battery.min_soc_percent, battery.max_soc_percent)),
    )


class HouseServer:
    """The house with one Modbus TCP server for each of its devices."""

    def __init__(self, house: House, devices: Iterable[str] = DEVICE_IDS) -> None:
        self.house = house
        self.servers = {name: ModbusServer([_DEVICES[name](house)]) for name in devices}
        self.ports: dict[str, int] = {}
        self._tick: asyncio.Task[None] | None = None

    async def start(self, host: str, ports: dict[str, int]) -> None:
        """Listen on all ports (0 = any free one), or on none.

        Raises:
            ConfigError: A port cannot be listened on.
        """
        try:
            for name, server in self.servers.items():
                self.ports[name] = await server.start(host, ports.get(name, 0))
        except ConfigError:
            await self.stop()
            raise
        self._tick = asyncio.create_task(self._keep_alive())

    async def stop(self) -> None:
        """Stop the tick and all servers."""
        if self._tick is not None:
            self._tick.cancel()
            await asyncio.gather(self._tick, return_exceptions=True)
            self._tick = None
        for server in self.servers.values():
            await server.stop()

    @property
    def written(self) -> dict[str, WriteCount]:
        """Writes carried out by each device."""
        return {name: server.written for name, server in self.servers.items()}

    def go_on_from(self, path: Path) -> bool:
        """Continue the earlier life of this house that the file remembers; tell whether there was one.

        Raises:
            ConfigError: The file is no memory of a house.
        """
        earlier = memory.load(path)
        if earlier is None or not earlier.belongs_to(self.house):
            return False
        memory.recall(earlier, self.house, self.written)
        return True

    def write_report(self, path: Path) -> None:
        """Write the truth up to now, and beside it what a restarted process needs to go on."""
        self.house.advance()
        write_atomically(path, truth(self.house, self.written))
        write_atomically(memory_path(path), memory.remember(self.house, self.written))

    async def run(self, until: asyncio.Event, report: Path | None) -> None:
        """Serve until the event, rewriting the report every 2 s (real time) and at the end."""
        while not until.is_set():
            if report is not None:
                self.write_report(report)
            await _first_of(until, REPORT_EVERY_S if report is not None else math.inf)
        if report is not None:
            self.write_report(report)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.house.advance()


def memory_path(report: Path) -> Path:
    """Return where the state of the house lies: beside its report."""
    return report.with_name(report.stem + ".state.json")


async def _first_of(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s if math.isfinite(timeout_s) else None)
    except TimeoutError:
        return
