"""F-06: processes that stand still for a while, and then go on as if nothing had been."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.faults.home import Home
from tests.faults.processes import FaultsError, Part, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.scenarios_kill import conclude, fill
from tests.faults.steered import SteeredHome, steered_home
from tests.faults.world import World


@scenario(
    "F-06",
    "SIGSTOP hub, an agent, broker, 60 s each",
    "0/0; agents' memory grows <= 20 MB; the inverter's watchdog fires while its agent stands still",
    short_s=50,
)
def freeze(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    homes_block = world.homes("f06", devices=size.devices)
    with homes_block as homes, steered_home(world.folder / "f06-steered", world.background) as steered:
        world.until_fresh(homes)
        memory = _Memory(homes)
        wait_until(steered.forced, 60.0, "the inverter follows its agent")
        steered.agent.freeze()
        for parts in (world.ingests, [homes[0].agent], [world.broker]):
            _freeze(parts, size.hold_s, memory)
            outcome.recovery_s = max(outcome.recovery_s, world.until_fresh(homes))
        _judge_watchdog(steered, outcome)
        fill(homes, size.values)
        memory.look()
        conclude(world, homes, outcome)
    outcome.figures["memory_growth_mb"] = round(memory.growth_mb, 1)
    outcome.demand(memory.growth_mb <= 20.0, f"an agent grew by {memory.growth_mb:.0f} MB")
    return outcome


class _Memory:
    """How much the agents have grown at most."""

    def __init__(self, homes: Sequence[Home]) -> None:
        self._before = {home.agent: home.agent.memory_mb() for home in homes}
        self.growth_mb = 0.0

    def look(self) -> None:
        grown = (part.memory_mb() - before_mb for part, before_mb in self._before.items())
        self.growth_mb = max(self.growth_mb, *grown)


def _freeze(parts: Sequence[Part], hold_s: float, memory: _Memory) -> None:
    for part in parts:
        part.freeze()
    deadline_s = time.monotonic() + hold_s
    while time.monotonic() < deadline_s:
        memory.look()
        time.sleep(0.5)
    for part in parts:
        part.thaw()


def _judge_watchdog(steered: SteeredHome, outcome: Outcome) -> None:
    """Judge what the inverter did while its agent was frozen for longer than the watchdog waits, and wake the agent."""
    outcome.demand(steered.in_own_mode(), "the inverter still followed a frozen agent")
    outcome.figures["watchdog_fired"] = steered.reversions()
    outcome.demand(steered.reversions() >= 1, "the inverter's watchdog did not fire")
    steered.agent.thaw()
    try:
        wait_until(steered.forced, 60.0, "the inverter follows its thawed agent")
    except FaultsError as error:
        outcome.demand(holds=False, text=str(error))
