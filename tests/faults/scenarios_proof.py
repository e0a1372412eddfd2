"""Does the harness see what it is there for? Known-bad variants of hub and agent, which it must find out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.home import Home
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.world import INGEST, World

_BAD = Path(__file__).parent / "bad"
_FORGETFUL = (sys.executable, str(_BAD / "agent_without_history.py"))
_TRUSTING = (sys.executable, str(_BAD / "agent_deletes_on_puback.py"))
_EARLY = (sys.executable, str(_BAD / "hub_acknowledges_early.py"), "ingest")
_TRIES = 4
_SETTLE_S = 40.0
"""An agent sends again what was not acknowledged for 30 s."""


def _lose(world: World, homes: Sequence[Home], outcome: Outcome, rounds: int) -> None:
    """Kill the ingest like F-02, let it come back, and judge."""
    world.until_fresh(homes)
    for _ in range(rounds):
        time.sleep(world.random.uniform(1.0, 3.0))
        world.ingests[0].kill()
        outcome.kills += 1
        time.sleep(world.random.uniform(1.0, 3.0))
        world.restart(world.ingests[0])
        time.sleep(2.0)
    world.settle(homes, _SETTLE_S)
    outcome.values += sum(home.values() for home in homes)
    outcome.verdict.add(world.judge(homes))


def _find_out(world: World, agent: Sequence[str], outcome: Outcome, size: Size) -> None:
    """Try until the harness reports a loss."""
    for number in range(_TRIES):
        with world.homes(f"proof{number}", 2, agent=agent) as homes:
            _lose(world, homes, outcome, 1 if size.short else 3)
        if outcome.verdict.lost:
            outcome.figures["tries"] = number + 1
            break
    outcome.demand(outcome.verdict.lost > 0, f"the harness saw no loss in {_TRIES} tries")


@scenario(
    "P-01",
    "known-bad: hub acknowledges before it commits (agents without local history, which would repair it)",
    "the harness reports a loss; none with the real hub and the same agents",
    own_world=True,
    proof=True,
    short_s=30,
)
def hub_acknowledges_early(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    with World(lent.seed, ingest=_EARLY) as world:
        _find_out(world, _FORGETFUL, outcome, size)
    if not size.short:
        control = Outcome()
        with World(lent.seed, ingest=INGEST) as world, world.homes("control", 2, agent=_FORGETFUL) as homes:
            _lose(world, homes, control, 5)
        outcome.figures["lost_by_the_real_hub"] = control.verdict.lost
        outcome.demand(control.verdict.lost == 0, f"the real hub lost {control.verdict.lost} as well")
    return outcome


@scenario(
    "P-02",
    "known-bad: agent deletes a record on the broker's PUBACK",
    "the harness reports a loss",
    own_world=True,
    proof=True,
    short_s=65,
)
def agent_deletes_on_puback(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    with World(lent.seed) as world:
        _find_out(world, _TRUSTING, outcome, size)
    return outcome
