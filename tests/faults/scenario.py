"""What a scenario is, and the list of all of them. A module of scenarios adds its own with the decorator."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.verdict import Verdict
from tests.faults.world import World


@dataclass(frozen=True)
class Size:
    """How much a run does."""

    values: int = 100_000
    """Values (readings times points) of the load."""
    kills: int = 20
    """At most, of each kind."""
    hold_s: float = 60.0
    """How long something is frozen."""
    cut_s: float = 600.0
    """How long a partition lasts."""
    short: bool = False

    @property
    def devices(self) -> int:
        """Devices of a home: 10 with 20 points each second make 200 values/s."""
        return 15 if self.short else 10


FULL = Size()
SHORT = Size(values=10_000, kills=2, hold_s=4.0, cut_s=6.0, short=True)


@dataclass
class Outcome:
    """What a scenario saw: becomes its JSON line and its row in the table."""

    verdict: Verdict = field(default_factory=Verdict)
    values: int = 0
    kills: int = 0
    recovery_s: float = 0.0
    """The longest time until readings flowed again."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The scenario's own figures."""
    failures: list[str] = field(default_factory=list)

    def demand(self, holds: bool, text: str) -> None:
        """Note a part of the acceptance that does not hold."""
        if not holds:
            self.failures.append(text)

    def demand_whole(self) -> None:
        """Demand 0 lost and 0 twice."""
        verdict = self.verdict
        self.demand(verdict.lost == 0, f"{verdict.lost} lost")
        self.demand(verdict.dup == 0, f"{verdict.dup} twice")
        self.demand(verdict.dead == 0, f"{verdict.dead} dead-lettered")
        self.demand(verdict.gaps == 0, f"{verdict.gaps} given up as gaps")
        self.demand(verdict.spooled == 0, f"{verdict.spooled} never arrived")
        self.demand(verdict.reconciled, "the hub's accounts do not reconcile")

    @property
    def passed(self) -> bool:
        """Whether the acceptance was met."""
        return not self.failures


Run = Callable[[World, Size], Outcome]


@dataclass(frozen=True)
class Scenario:
    """One fault."""

    id: str
    fault: str
    acceptance: str
    run: Run
    own_world: bool
    """It starts what it needs itself: the world it gets is not entered and only lends its seed and its choices."""
    short: bool
    """Part of the short run."""
    proof: bool = False
    """A known-bad variant: passed means that the harness has found it out."""
    short_s: float = 30.0
    """About how long the short run takes, by which scenarios are dealt out to lanes."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    id_: str,
    fault: str,
    acceptance: str,
    *,
    own_world: bool = False,
    short: bool = True,
    proof: bool = False,
    short_s: float = 30.0,
) -> Callable[[Run], Run]:
    """Add a scenario to the list.

    Example:
        >>> @scenario("F-99", "nothing happens", "0/0")
        ... def nothing(world: World, size: Size) -> Outcome: ...
    """

    def add(run: Run) -> Run:
        SCENARIOS[id_] = Scenario(id_, fault, acceptance, run, own_world, short, proof, short_s)
        return run

    return add


def line(one: Scenario, outcome: Outcome, seed: int, took_s: float) -> dict[str, Any]:
    """Return the scenario's JSON line."""
    verdict = outcome.verdict
    return {
        "id": one.id,
        "seed": seed,
        "produced": verdict.produced,
        "committed": verdict.committed,
        "stored": verdict.stored,
        "spooled": verdict.spooled,
        "gaps": verdict.gaps,
        "dead": verdict.dead,
        "dup": verdict.dup,
        "lost": verdict.lost,
        "values": outcome.values,
        "kills": outcome.kills,
        "recovery_s": round(outcome.recovery_s, 2),
        "passed": outcome.passed,
        **outcome.figures,
        "failures": outcome.failures,
        "notes": verdict.notes[:6],
        "took_s": round(took_s, 1),
        "at": int(time.time()),
    }
