"""F-01 to F-05: processes that are killed while three homes are measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tests.faults.home import Home
from tests.faults.processes import Part, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.world import World


def fill(homes: Sequence[Home], values: int) -> None:
    """Wait until the homes have produced so many values."""
    limit_s = 60.0 + values / 50
    wait_until(lambda: sum(home.values() for home in homes) >= values, limit_s, f"{values} values")


def conclude(world: World, homes: Sequence[Home], outcome: Outcome) -> Outcome:
    """Let everything arrive and judge it."""
    outcome.figures["drain_s"] = round(world.settle(homes), 1)
    outcome.values = sum(home.values() for home in homes)
    outcome.verdict = world.judge(homes)
    outcome.demand_whole()
    return outcome


def _kill_part(world: World, homes: Sequence[Home], part: Part) -> float:
    """Kill, start again, and return how long it took until readings taken after the kill are stored [s]."""
    part.kill()
    world.restart(part)
    return world.until_fresh(homes, time.time())


def _rounds(world: World, homes: Sequence[Home], size: Size, outcome: Outcome, kill: Callable[[], float]) -> None:
    """Kill every 1 to 3 s after things work again, until the load is done and there were enough kills."""
    while outcome.kills < size.kills:
        time.sleep(world.random.uniform(1.0, 3.0))
        outcome.recovery_s = max(outcome.recovery_s, kill())
        outcome.kills += 1
    fill(homes, size.values)


@scenario(
    "F-01", "kill -9 agent", "0/0 of committed; a kill costs <= 10 s, in a declared gap; back <= 15 s", short_s=18
)
def kill_agent(world: World, size: Size) -> Outcome:
    outcome = Outcome()

    with world.homes("f01", flush_s=2.0 if size.short else 10.0, devices=size.devices) as homes:
        world.until_fresh(homes)

        def kill() -> float:
            home = world.random.choice(homes)
            home.kill()
            started_s = time.time()
            home.start()
            return wait_until(lambda: home.polls_since(started_s), 60.0, f"{home.name} polls again")

        _rounds(world, homes, size, outcome, kill)
        conclude(world, homes, outcome)
    verdict = outcome.verdict
    outcome.figures |= {"holes": verdict.holes, "worst_hole_s": verdict.worst_hole_s}
    outcome.demand(verdict.undeclared == 0, f"{verdict.undeclared} readings in no declared gap")
    outcome.demand(verdict.worst_hole_s <= 10.0, f"a kill cost {verdict.worst_hole_s:.0f} s of readings")
    outcome.demand(outcome.recovery_s <= 15.0, f"polled again only after {outcome.recovery_s:.1f} s")
    return outcome


@scenario("F-02", "kill -9 hub's ingest", "0/0; ingest back <= 30 s", short_s=40)
def kill_hub(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f02", devices=size.devices) as homes:
        world.until_fresh(homes)
        _rounds(world, homes, size, outcome, lambda: _kill_part(world, homes, world.random.choice(world.ingests)))
        conclude(world, homes, outcome)
    outcome.demand(outcome.recovery_s <= 30.0, f"back only after {outcome.recovery_s:.1f} s")
    return outcome


@scenario("F-03", "kill -9 broker, persistence off", "0/0; back <= 30 s", short_s=45)
def kill_broker(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f03", devices=size.devices) as homes:
        world.until_fresh(homes)
        _rounds(world, homes, size, outcome, lambda: _kill_part(world, homes, world.broker))
        conclude(world, homes, outcome)
    outcome.demand(outcome.recovery_s <= 30.0, f"back only after {outcome.recovery_s:.1f} s")
    return outcome


@scenario(
    "F-04",
    "kill -9 PostgreSQL's postmaster",
    "0/0; the same hub goes on <= 30 s after the database is up",
    short_s=16,
)
def kill_database(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f04", devices=size.devices) as homes:
        world.until_fresh(homes)
        hub = [part.pid for part in world.ingests]
        _rounds(world, homes, size, outcome, lambda: _kill_part(world, homes, world.database))
        outcome.demand([part.pid for part in world.ingests] == hub, "the hub was not the same process afterwards")
        conclude(world, homes, outcome)
    outcome.demand(outcome.recovery_s <= 30.0, f"back only after {outcome.recovery_s:.1f} s")
    return outcome


@scenario("F-05", "agent, hub, broker, PostgreSQL killed in any order, 20 kills", "0/0", short_s=42)
def kill_everything(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    kinds = ["agent", "hub", "broker", "database"]
    deck: list[str] = []
    with world.homes("f05", devices=size.devices) as homes:
        world.until_fresh(homes)
        while outcome.kills < (4 if size.short else 20):
            if not deck:  # every kind as often as the others
                deck = world.random.sample(kinds, len(kinds))
            time.sleep(world.random.uniform(1.2, 2.5))
            _kill_kind(world, homes, deck.pop())
            outcome.kills += 1
        outcome.recovery_s = world.until_fresh(homes)
        fill(homes, size.values)
        conclude(world, homes, outcome)
    return outcome


def _kill_kind(world: World, homes: Sequence[Home], kind: str) -> None:
    pause_s = world.random.uniform(0.0, 1.0)
    if kind == "agent":
        home = world.random.choice(homes)
        home.kill()
        time.sleep(pause_s)
        home.start()
        return
    parts: dict[str, Part] = {"hub": world.random.choice(world.ingests), "broker": world.broker}
    part = parts.get(kind, world.database)
    part.kill()
    time.sleep(pause_s)
    world.restart(part)
