"""F-12, F-13, F-25: power cuts, damaged files, and cards that were swapped."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import powercut
from tests.faults.harm import alarms, flip_bytes, missing, skip
from tests.faults.home import Home
from tests.faults.processes import FaultsError, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.spoolfile import Committed, read_spool
from tests.faults.verdict import read_stored
from tests.faults.world import World

_ROOT = Path(__file__).parents[2]
_START_S = 30.0
_QUARANTINE = ("spool_quarantined", "spool_unreadable", "spool_cut_off")


@scenario(
    "F-12",
    "power cut (FUSE disk that drops or tears what was not flushed) while spool, plan and model are written",
    "0 committed lost, 0 unreadable files, exactly one valid plan and model; there is no release to swap yet",
    own_world=True,
)
def power_cut(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    if (reason := powercut.why_not()) is not None:
        return skip(outcome, f"F-12 {reason}")
    cuts = 20 if size.short else 200
    for kept in ("spool", "plan", "model"):
        found = _trials(kept, cuts, lent)
        outcome.kills += found["cuts"]
        outcome.verdict.committed += found["committed"]
        outcome.verdict.lost += found["lost"]
        outcome.figures[f"{kept}_committed"] = found["committed"]
        outcome.demand(found["lost"] == 0, f"{kept}: {found['lost']} committed and lost")
        outcome.demand(found["unreadable"] == 0, f"{kept}: {found['unreadable']} files unreadable")
    return outcome


@scenario(
    "P-03",
    "known-bad: spool with synchronous=NORMAL, plan without fsync, under power cuts",
    "the harness reports a loss of both",
    own_world=True,
    proof=True,
)
def careless_disk(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    if (reason := powercut.why_not()) is not None:
        return skip(outcome, f"P-03 {reason}")
    for kept in ("spool-normal", "plan-careless"):
        found = _trials(kept, 10 if size.short else 50, lent)
        outcome.kills += found["cuts"]
        outcome.figures[f"{kept}_lost"] = found["lost"]
        outcome.demand(found["lost"] > 0, f"the harness saw no loss with {kept}")
    return outcome


def _trials(kept: str, cuts: int, lent: World) -> dict[str, int]:
    seed = lent.random.randrange(2**31)
    command = [sys.executable, "-m", "tests.faults.powercut_trials", kept, "--cuts", str(cuts), "--seed", str(seed)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FaultsError(f"power cuts of {kept}, seed {seed}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, int] = json.loads(done.stdout)
    return found


Damage = Callable[[World, Home], None]


def _flip(count: int, *suffixes: str) -> Damage:
    def damage(world: World, home: Home) -> None:
        paths = [path for suffix in suffixes if (path := Path(f"{home.spool}{suffix}")).exists()]
        flip_bytes(paths, count, world.random)

    return damage


def _truncate(suffix: str) -> Damage:
    def damage(world: World, home: Home) -> None:
        path = Path(f"{home.spool}{suffix}")
        with path.open("r+b") as file:
            file.truncate(world.random.randrange(path.stat().st_size))

    return damage


def _delete_log(_: World, home: Home) -> None:
    Path(f"{home.spool}-wal").unlink()


def _damages(world: World, *, short: bool) -> dict[str, Damage]:
    damages = {"flip 4096": _flip(4096, "", "-wal"), "flip 16": _flip(16, ""), "truncate": _truncate("")}
    damages |= {"delete -wal": _delete_log, "flip 16 of -wal": _flip(16, "-wal")}
    if not short:
        counts = [1, 2, 4, 64, 256, 1024, *(world.random.randint(1, 4096) for _ in range(4))]
        damages |= {f"flip {count} ({i})": _flip(count, "", "-wal") for i, count in enumerate(counts)}
        damages |= {"truncate -wal": _truncate("-wal"), "truncate again": _truncate("")}
    return damages


@scenario(
    "F-13",
    "corrupt spool: 1 to 4,096 random bytes flipped, truncated, -wal deleted",
    "agent reads its devices <= 30 s; unsound file quarantined, new epoch, readable rows salvaged, what is missing in a"
    " declared gap, nothing invented or twice",
)
def corrupt_spool(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    damages = _damages(world, short=size.short)
    with world.homes("f13", len(damages), proxied=True, devices=2) as homes:
        world.until_fresh(homes)
        _gather(homes, size)
        readable: list[set[tuple[str, int]]] = []
        for home, damage in zip(homes, damages.values(), strict=True):
            home.kill()
            damage(world, home)
            readable.append(_readable(home.spool))
        started_s = time.time()
        for home in homes:
            home.start()
        outcome.recovery_s = wait_until(
            lambda: all(home.polls_since(started_s) for home in homes), 2 * _START_S, "polls after the damage"
        )
        outcome.demand(outcome.recovery_s <= _START_S, f"polls only after {outcome.recovery_s:.0f} s")
        for home in homes:
            _link(home, up=True)
        world.until_fresh(homes)
        world.settle(homes)
        for home, name, rows in zip(homes, damages, readable, strict=True):
            _judge_damage(world, home, name, rows, outcome)
    return outcome


def _link(home: Home, *, up: bool) -> None:
    assert home.proxy is not None
    home.proxy.weather.cut = not up


def _gather(homes: Sequence[Home], size: Size) -> None:
    """Let records pile up without a hub, some in the file (after an orderly restart), some in its log."""
    for home in homes:
        _link(home, up=False)
    time.sleep(size.hold_s / 2)
    with ThreadPoolExecutor(len(homes)) as together:  # without a hub each goodbye takes some seconds
        list(together.map(Home.finish, homes))
    started_s = time.time()
    for home in homes:
        home.start()
    wait_until(lambda: all(home.polls_since(started_s) for home in homes), 60.0, "polls after a restart")
    time.sleep(size.hold_s / 2)


def _readable(spool: Path) -> set[tuple[str, int]]:
    """Return (device, number) of what somebody who is not the agent can still read from a damaged file."""
    try:
        return _numbers(read_spool(spool))
    except sqlite3.DatabaseError:
        return set()


def _numbers(found: Committed) -> set[tuple[str, int]]:
    return {(device, number) for device, numbers in found.numbers.items() for number in numbers}


def _judge_damage(world: World, home: Home, name: str, readable: set[tuple[str, int]], outcome: Outcome) -> None:
    verdict = world.judge([home])
    with world.connect() as connection:
        stored = read_stored(connection, home.name)
    declared, undeclared = missing(home, stored)
    here = {(device, number) for device, numbers in stored.numbers.items() for number in numbers}
    committed = set().union(*(_numbers(one) for one in home.snapshots))
    given_up = (readable & committed) - here
    told = [text for _, _, text in alarms(world, home, _QUARANTINE)]
    outcome.figures[name] = f"{len(told)} alarms, {declared} declared, {undeclared} not"
    outcome.demand(undeclared == 0, f"{name}: {undeclared} readings are missing and in no gap")
    outcome.demand(verdict.dup == 0, f"{name}: {verdict.dup} twice or invented")
    outcome.demand(not given_up, f"{name}: {len(given_up)} readable readings were not salvaged")
    outcome.demand(verdict.reconciled, f"{name}: {'; '.join(verdict.notes[-1:])}")
    outcome.verdict.produced += verdict.produced
    outcome.verdict.committed += verdict.committed
    outcome.verdict.stored += verdict.stored
    outcome.verdict.dup += verdict.dup
    outcome.verdict.lost += undeclared
    outcome.values += home.values()


@scenario(
    "F-25",
    "SD card swapped: spool gone, an old copy of it, another home's copy",
    "new epoch, nothing twice or invented, old data intact, nothing measured afterwards lost",
)
def swapped_card(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    with world.homes("f25", 3, devices=2) as homes:
        world.until_fresh(homes)
        _swap(world, homes, size, outcome)
        outcome.recovery_s = world.until_fresh(homes)
        world.settle(homes)
        outcome.values = sum(home.values() for home in homes)
        outcome.verdict = world.judge(homes)
    verdict = outcome.verdict
    outcome.demand(verdict.lost == 0, f"{verdict.lost} lost")
    outcome.demand(verdict.dup == 0, f"{verdict.dup} twice or invented")
    outcome.demand(verdict.dead == 0, f"{verdict.dead} dead-lettered")
    outcome.demand(verdict.reconciled, "the hub's accounts do not reconcile")
    return outcome


def _swap(world: World, homes: Sequence[Home], size: Size, outcome: Outcome) -> None:
    """Take old copies, let all be stored, stop the agents and swap: gone, its own old copy, the neighbour's copy."""
    gone, rolled_back, foreign = homes
    for home in homes:
        home.finish()
        _keep(home.spool, home.folder / "old.sqlite")
        home.start()
    world.until_fresh(homes)
    time.sleep(size.hold_s / 2)
    for home in homes:
        home.rest()
    wait_until(lambda: all(world.drained(home) for home in homes), 60.0, "draining before the swap")
    before = {}
    for home in homes:
        home.finish()
        before[home.name] = read_spool(home.spool).epoch
        home.rest(resting=False)
    gone.spool.unlink()
    _keep(rolled_back.folder / "old.sqlite", rolled_back.spool)
    _keep(rolled_back.folder / "old.sqlite", foreign.spool)
    for home in homes:
        home.start()
    world.until_fresh(homes)
    time.sleep(size.hold_s / 2)
    for home in homes:
        with world.connect() as connection:
            row = connection.execute("select epoch from home where agent = %s", (home.name,)).fetchone()
        outcome.demand(row is not None and row[0] not in before.values(), f"{home.name} goes on in an old epoch")


def _keep(source: Path, target: Path) -> None:
    shutil.copy(source, target)
    Path(f"{target}-wal").unlink(missing_ok=True)
