"""A home whose inverter an agent steers by force, for what happens to the device when the agent stands still.

The house is simulated (its Modbus servers live in the harness) on a clock that runs ten times as fast: the inverter's
watchdog of 60 s has then fired after 6 s; or on the machine's clock, which may be faked for the agent. No hub hears of
this home.
"""

from __future__ import annotations

import contextlib
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.background import Background
from tests.faults.home import AGENT, KEY
from tests.faults.processes import Part
from tests.plans import SLOT_S, steady_plan
from tests.proofs import prove

from hearth_agent.files import write_durably
from hearth_core.clock import Clock, ClockConductor, RealClock
from hearth_core.messages import Mode
from hearth_core.signing import public_key_text, seal
from hearth_sim.recorded import parse_instant
from hearth_sim.sunspec_inverter import SunSpecInverter
from hearth_sim.testing import HouseOptions, RunningHouse, running_house

SPEED = 10.0
_START_S = parse_instant("2016-04-04T01:00:00Z")
_FORCED, _OWN = 3, 0
_STORAGE, _MODE, _WRITE_MANY = 124, 5, 16
_NAME = "steered"


class Ignored(NamedTuple):
    """A write that the deaf inverter confirmed."""

    at_s: float
    forces: bool
    """It asks the battery to follow orders."""


class SteeredHome:
    """The agent and what its inverter does."""

    def __init__(self, agent: Part, house: RunningHouse, background: Background) -> None:
        self.agent = agent
        self._house, self._background = house, background
        self.ignored: list[Ignored] = []

    def forced(self) -> bool:
        """Tell whether the inverter follows orders now."""
        return self._background.run(self._mode()) == _FORCED

    def in_own_mode(self) -> bool:
        """Tell whether the inverter is on its own now."""
        return self._background.run(self._mode()) == _OWN

    def reversions(self) -> int:
        """Return how often the inverter's watchdog fired."""
        return self._house.house.storage.reversions

    async def _mode(self) -> int:
        self._house.house.advance()
        return self._house.house.storage.mode

    def deafen(self) -> None:
        """Let the inverter fall back into its own mode, and confirm orders from now on without following them."""
        self._background.run(self._deafen())

    async def _deafen(self) -> None:
        inverter = self._house.servers["inverter"].devices[0]
        assert isinstance(inverter, SunSpecInverter)
        mode_at = inverter.model_at[_STORAGE] + _MODE
        inverter.write(_WRITE_MANY, mode_at, [_OWN])

        def ignore(function: int, address: int, values: Sequence[int]) -> bool:
            forces = address <= mode_at < address + len(values) and values[mode_at - address] == _FORCED
            self.ignored.append(Ignored(time.monotonic(), forces))
            return False

        vars(inverter)["write"] = ignore

    def hear(self) -> None:
        """Follow orders again."""
        self._background.run(self._hear())

    async def _hear(self) -> None:
        del vars(self._house.servers["inverter"].devices[0])["write"]

    def alarms(self, kind: str) -> int:
        """Return how often the agent has told of something."""
        return self.agent.log.read_text(errors="replace").count(f" {kind} [")


@contextlib.contextmanager
def steered_home(
    folder: Path, background: Background, environment: Mapping[str, str] | None = None
) -> Iterator[SteeredHome]:
    """Run it while the block lasts; its agent charges the battery from the grid.

    Args:
        folder: Gets its configuration, data and log.
        background: Where the house lives.
        environment: Fakes the machine's clock for the agent; the fast clock is not used then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    conductor = ClockConductor(folder / "clock", _START_S) if environment is None else None
    with _house(background, conductor.clock if conductor else RealClock()) as house:
        start_s = _START_S if conductor else time.time() - SLOT_S
        write_durably(
            folder / "data" / "plan.sealed", seal(steady_plan(_NAME, start_s, Mode.CHARGE_FROM_GRID, 2_000.0), KEY)
        )
        config = folder / "agent.yaml"
        config.write_text(_config(house.ports))
        prove(config)
        own = {"HEARTH_CLOCK": f"file:{folder / 'clock'}"} if environment is None else dict(environment)
        agent = Part(_NAME, [*AGENT, "run", "--config", str(config)], folder / "agent.log", own)
        if conductor:
            conductor.set_speed(SPEED)
        agent.start()
        try:
            yield SteeredHome(agent, house, background)
        finally:
            agent.stop()


@contextlib.contextmanager
def _house(background: Background, clock: Clock) -> Iterator[RunningHouse]:
    block = running_house(clock, options=HouseOptions(soc_percent=50.0))
    house = background.run(block.__aenter__())
    try:
        yield house
    finally:
        background.run(block.__aexit__(None, None, None))


def _config(ports: dict[str, int]) -> str:
    return textwrap.dedent(f"""
        agent: {_NAME}
        data_dir: data
        poll_s: 5
        control_s: 5
        hub: {{mqtt_url: "mqtt://127.0.0.1:9", public_key: "{public_key_text(KEY)}"}}
        site:
          name: {_NAME}
          timezone: Europe/Berlin
          latitude: 47.7
          longitude: 9.2
          price_zone: DE-LU
          limits: {{main_fuse_a: 35}}
          tariff: {{}}
          battery: {{capacity_wh: 10000, max_charge_w: 5000, max_discharge_w: 5000}}
        devices:
          - {{id: grid, profile: eastron-sdm630, host: 127.0.0.1, port: {ports["grid"]}}}
          - {{id: inverter, profile: sunspec-hybrid, host: 127.0.0.1, port: {ports["inverter"]}, controlled: true}}
        """)
