"""One home for each class of device: a real agent in front of simulated devices that are ordered all the time.

The inverter is ordered by a plan (charge from the grid); the chargers' meter is gone, so their cars get 6 A.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.plans import SLOT_S, steady_plan
from tests.proofs import prove

from hearth_agent.files import write_durably
from hearth_core.clock import RealClock
from hearth_core.messages import Mode, Plan
from hearth_core.signing import public_key_text, seal
from hearth_sim.recorded_device import RecordedDevice
from hearth_sim.recordings import parse
from hearth_sim.serving_recordings import served
from hearth_sim.testing import HouseOptions, RunningHouse, running_house

KEY = Ed25519PrivateKey.generate()
PLAN_S = 86_400
_ORDERED_A, _OWN_A = 6, 16
_NOBODY = 9
_FORCED = 3

_CHARGER = """
profile: bench-charger
kind: ev_charger
manufacturer: Bench
model: Charger
source: the bench
points: {current_l1_a: {fc: 4, address: 30}}
controls:
  ev_current:
    class: %s
    order: [{address: 1, value: current_a}%s]
    safe: [{address: 1, value: 16}]
    %s
"""
_BANK = """
device: bench-charger
source: the bench
origin: facts
units: {1: [{address: 1, u16: [16, 0]}, {fc: 4, address: 30, u16: 0}]}
writable: [{address: 1, count: 2}]
%s
"""
_WATCHDOG = "reverts: {after: {address: 2}, fed_by: writes, then: [{address: 1, u16: 16}]}"


@dataclass
class Kind:
    """A class of device, and how it is seen from outside."""

    name: str
    ends_s: float | None
    """The device's own time-out [s]; None where it keeps an order for ever."""
    device: str
    """Its lines in agent.yaml."""
    ordered: Callable[[], bool]
    safe: Callable[[], bool]
    planned: bool = False
    """The order comes from a plan."""


class BenchHome:
    """One kind of device with an agent that can be started, killed and stopped."""

    def __init__(self, kind: Kind, folder: Path, grid_port: int) -> None:
        self.kind, self.folder = kind, folder
        self._grid_port = grid_port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id of what was started."""
        assert self._process is not None
        return self._process.pid

    @property
    def agent_pid(self) -> int:
        """Process id of the supervisor's agent."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    async def start(self, command: str, plan_s: float = PLAN_S, *, ordered: bool = True) -> None:
        """Start ``run`` or ``supervise`` and wait until the device is ordered, unless that is not of interest."""
        if self.kind.planned:
            write_durably(self.folder / "data" / "plan.sealed", seal(_plan(plan_s), KEY))
        config = self.folder / "agent.yaml"
        config.write_text(_config(self._grid_port if self.kind.planned else _NOBODY, self.kind.device))
        prove(config)
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "hearth_agent", command, "--config", str(config)), stderr=log
            )
        if ordered:
            await _until(self.kind.ordered, 120.0, f"{self.kind.name} is ordered")

    async def end(self) -> None:
        """End whatever still runs; the device is in its own mode afterwards."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            with contextlib.suppress(IndexError, FileNotFoundError):
                os.kill(self.agent_pid, signal.SIGCONT)
            self._process.terminate()
        await self._process.wait()
        await _until(self.kind.safe, 90.0, f"{self.kind.name} is safe")

    async def dead(self) -> None:
        """Wait for the end of what was killed."""
        assert self._process is not None
        await self._process.wait()

    async def until_safe(self, limit_s: float) -> float:
        """Return how long it takes from now until the device is in its own mode [s]."""
        return await _until(self.kind.safe, limit_s, f"{self.kind.name} is safe")


async def _until(condition: Callable[[], bool], limit_s: float, what: str) -> float:
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() - began_s > limit_s:
            raise SystemExit(f"{what}: not within {limit_s:g} s")
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


@contextlib.asynccontextmanager
async def homes(folder: Path) -> AsyncIterator[list[BenchHome]]:
    """Serve the devices of all homes while the block lasts."""
    async with contextlib.AsyncExitStack() as stack:
        house = await stack.enter_async_context(running_house(RealClock(), options=HouseOptions(soc_percent=50.0)))
        kinds = [_inverter(house), _goe(house)]
        for name, class_, ends_s in (("T, charger with a watchdog of 20 s", "T", 20.0), ("F, charger", "F", None)):
            reverts = _WATCHDOG if ends_s else ""
            bank = RecordedDevice(parse(_BANK % reverts, "bench"))
            server = await stack.enter_async_context(served([bank]))
            kinds.append(_bank(name, class_, ends_s, bank, server.port, folder))
        found = []
        for number, kind in enumerate(kinds):
            own = folder / f"home{number}"
            own.mkdir()
            found.append(BenchHome(kind, own, house.ports["grid"]))
        try:
            yield found
        finally:
            for home in found:
                await home.end()


def _inverter(house: RunningHouse) -> Kind:
    def mode() -> int:
        house.house.advance()
        return house.house.storage.mode

    line = f"id: inverter, profile: sunspec-hybrid, host: 127.0.0.1, port: {house.ports['inverter']}, controlled: true"
    return Kind("T, SunSpec hybrid inverter, 60 s", 60.0, line, lambda: mode() == _FORCED, lambda: mode() == 0, True)


def _goe(house: RunningHouse) -> Kind:
    charger = house.house.charger
    line = _owned("go-e", house.ports["charger"])
    return Kind("S, go-e charger", None, line, lambda: charger.limit_a == _ORDERED_A, lambda: charger.limit_a == _OWN_A)


def _bank(name: str, class_: str, ends_s: float | None, bank: RecordedDevice, port: int, folder: Path) -> Kind:
    lease = (", {address: 2, value: lease_s}", f"lease_s: {ends_s:g}") if ends_s else ("", "writes_per_day: 1000")
    profile = folder / f"charger-{class_}.yaml"
    profile.write_text(_CHARGER % (class_, *lease))
    line = _owned(str(profile), port)
    return Kind(name, ends_s, line, lambda: bank.holds(1) == _ORDERED_A, lambda: bank.holds(1) == _OWN_A)


def _owned(profile: str, port: int) -> str:
    return f"id: charger, profile: {profile}, host: 127.0.0.1, port: {port}, controlled: true, keeps_orders_ok: true"


def _config(grid_port: int, device: str) -> str:
    return textwrap.dedent(f"""
        agent: bench
        data_dir: data
        poll_s: 1
        hub: {{mqtt_url: "mqtt://127.0.0.1:9", public_key: "{public_key_text(KEY)}"}}
        site:
          name: Bench
          timezone: Europe/Berlin
          latitude: 47.7
          longitude: 9.2
          price_zone: DE-LU
          limits: {{main_fuse_a: 63}}
          tariff: {{}}
          battery: {{capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 5000}}
        devices:
          - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1, port: {grid_port}}}
          - {{{device}}}
        """)


def _plan(lasts_s: float) -> Plan:
    """Charge from the grid, from the slot before now until some seconds from now."""
    slots = int(lasts_s // SLOT_S) + 2
    start_s = time.time() + lasts_s - slots * SLOT_S
    return steady_plan("bench", start_s, Mode.CHARGE_FROM_GRID, 2_000.0, slots=slots, version=int(time.time()))
