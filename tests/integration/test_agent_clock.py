"""A wall clock that jumps: the plan is left at once, devices go on being read, and it comes back with the time."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.plans import SLOT_S, steady_plan
from tests.proofs import prove
from tests.tasks import end

from hearth_agent.app import Agent
from hearth_agent.files import write_durably
from hearth_agent.settings import load_home
from hearth_core.clock import ManualClock
from hearth_core.messages import Mode
from hearth_core.signing import public_key_text, seal
from hearth_sim.recorded import parse_instant
from hearth_sim.testing import HouseOptions, RunningHouse, running_house

START_S = parse_instant("2016-04-04T01:00:00Z")
KEY = Ed25519PrivateKey.generate()
FORCED, OWN = 3, 0


class JumpyClock(ManualClock):
    """A wall clock that may jump beside the steady one."""

    jump_s = 0.0

    def time(self) -> float:
        return self.now_s + self.jump_s


def write_home(folder: Path, ports: dict[str, int]) -> Path:
    plan = steady_plan("anna", START_S - SLOT_S, Mode.CHARGE_FROM_GRID, 2_000.0)
    write_durably(folder / "data" / "plan.sealed", seal(plan, KEY))
    path = folder / "agent.yaml"
    path.write_text(
        textwrap.dedent(f"""
        agent: anna
        data_dir: data
        hub: {{mqtt_url: "mqtt://127.0.0.1:9", public_key: "{public_key_text(KEY)}"}}
        site:
          name: Anna
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
    )
    return path


async def live(agent: Agent, clock: JumpyClock, running: RunningHouse, seconds: int) -> int:
    """Read and step for a while; return the inverter's mode."""
    for _ in range(seconds // 5):
        clock.now_s += 5
        for poller in agent.pollers.values():
            assert await poller.poll()  # whatever the clock says
        agent.controller.tick()
        await asyncio.sleep(0.02)
    running.house.advance()
    return running.house.storage.mode


@pytest.mark.parametrize("jump_s", [7_200.0, -START_S])
async def test_no_plan_is_followed_while_the_time_is_in_doubt(tmp_path: Path, jump_s: float) -> None:
    clock = JumpyClock(START_S)
    async with running_house(clock, options=HouseOptions(soc_percent=50.0)) as running:
        agent = Agent(load_home(prove(write_home(tmp_path, running.ports))), clock)
        tasks = [asyncio.create_task(lease.run()) for lease in agent.controller.leases]
        try:
            assert await live(agent, clock, running, 100) == FORCED
            clock.jump_s = jump_s
            assert await live(agent, clock, running, 10) == OWN
            assert await live(agent, clock, running, 100) == OWN
            clock.jump_s = 0.0
            assert await live(agent, clock, running, 100) == FORCED
        finally:
            for task in tasks:
                await end(task)
            for device in agent.devices.values():
                device.close()
    kinds = []
    while (event := agent.events.first()) is not None:
        kinds.append(event.kind)
        agent.events.told(event)
    assert [kind for kind in kinds if "clock" in kind] == ["clock_not_trusted", "clock_trusted"]
