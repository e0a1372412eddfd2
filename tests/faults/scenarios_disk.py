"""F-10, F-11, F-14: disks that are full or fail, at the agent and at the hub."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

from tests.faults.ear import Ear
from tests.faults.harm import fill_up, longest_pause_s, missing, skip, small_disk, until_alarm
from tests.faults.home import AGENT, Home
from tests.faults.processes import FaultsError, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.scenarios_kill import conclude
from tests.faults.verdict import read_stored
from tests.faults.world import World

_ALARM_S = 60.0
_DROPPED = "were dropped and declared"
_NO_SPACE = "No space left on device"
_SPOOL_ALARMS = ("disk_full", "spool_failed", "spool_full", "spool_quarantined")


@scenario(
    "F-10",
    "agent disk full",
    "devices go on being read; alarm <= 60 s; with a hub 0/0, without one the oldest acknowledged rows go first, then"
    " declared gaps; recovers when space returns",
)
def agent_disk_full(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    if os.geteuid() != 0:
        return skip(outcome, "F-10 needs root to mount a small tmpfs")
    home = Home("f10-0", world.folder / "f10-0", world.background, world.broker_port, devices=5, seed=1)
    with small_disk(home.data, 24):  # the agent keeps a reserve where there is room for it
        try:
            home.start()
            world.until_fresh([home])
            _fill_agent(world, home, size, outcome)
            _fill_without_hub(world, home, outcome)
        finally:
            home.close()
    return outcome


def _fill_without_hub(world: World, home: Home, outcome: Outcome) -> None:
    """Fill the disk of an agent that reaches no hub until it has given readings up; each must be in a gap."""
    assert home.proxy is not None
    home.proxy.weather.cut = True
    cut_s = time.time()
    ballast = fill_up(home.data)
    dropped = wait_until(lambda: _DROPPED in home.agent.log.read_text(), 600.0, "readings are given up")
    outcome.figures["dropped_after_s"] = round(dropped, 1)
    pause_s = longest_pause_s(home, cut_s)
    outcome.demand(pause_s <= 3 * home.poll_s, f"a device was not read for {pause_s:.1f} s without hub and space")
    ballast.unlink()
    home.proxy.weather.cut = False
    world.until_fresh([home])
    outcome.figures["drain_s"] = round(world.settle([home]), 1)
    outcome.values = home.values()
    outcome.verdict = world.judge([home])
    with world.connect() as connection:
        declared, undeclared = missing(home, read_stored(connection, home.name))
    verdict = outcome.verdict
    outcome.figures["declared"] = declared
    outcome.demand(undeclared == 0, f"{undeclared} readings are missing and in no gap")
    outcome.demand(verdict.gaps >= declared > 0, f"{declared} readings are missing, gaps tell of {verdict.gaps}")
    outcome.demand(verdict.dup == 0, f"{verdict.dup} twice")
    outcome.demand(verdict.reconciled, "the hub's accounts do not reconcile")
    verdict.lost = undeclared
    verdict.notes.clear()  # they name what the gaps declare


def _fill_agent(world: World, home: Home, size: Size, outcome: Outcome) -> None:
    full_s = time.time()
    ballast = fill_up(home.data)
    try:
        took_s, text = until_alarm(world, home, _SPOOL_ALARMS, _ALARM_S + 5)
        outcome.figures |= {"alarm_s": round(took_s, 1), "alarm": text}
        outcome.demand(took_s <= _ALARM_S, f"alarm only after {took_s:.0f} s")
    except FaultsError as error:
        outcome.demand(holds=False, text=str(error))
    time.sleep(max(0.0, full_s + size.hold_s - time.time()))
    pause_s = longest_pause_s(home, full_s)
    outcome.figures["longest_pause_s"] = round(pause_s, 2)
    outcome.demand(pause_s <= 3 * home.poll_s, f"a device was not read for {pause_s:.1f} s")
    ballast.unlink()
    outcome.recovery_s = world.until_fresh([home])


@scenario(
    "F-11",
    "hub disk full",
    "no acknowledgement of anything uncommitted; agents send no more than before; 0/0 after space returns",
    own_world=True,
)
def hub_disk_full(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    if os.geteuid() != 0:
        return skip(outcome, "F-11 needs root to mount a small tmpfs")
    folder = lent.folder / "small"
    with small_disk(folder, 160):
        folder.chmod(0o755)
        with (
            World(lent.random.randrange(2**32), database_folder=folder / "postgres") as world,
            Ear(world.broker_port) as ear,
            world.homes("f11", 2) as homes,
        ):
            world.until_fresh(homes)
            _fill_hub(world, homes, folder, size, ear, outcome)
            conclude(world, homes, outcome)
    return outcome


def _fill_hub(world: World, homes: list[Home], folder: Path, size: Size, ear: Ear, outcome: Outcome) -> None:
    log = world.folder / "postgres.log"
    began_s = time.time()
    time.sleep(size.hold_s / 2)
    full_s = time.time()
    ballast = fill_up(folder)
    outcome.figures["refused_after_s"] = round(wait_until(lambda: _NO_SPACE in log.read_text(), 120.0, _NO_SPACE), 1)
    while time.time() < full_s + size.hold_s:
        time.sleep(0.5)
        fill_up(folder)  # what a failed statement gave back
    spoken_s = time.time()
    for part in world.ingests:
        part.freeze()
    ballast.unlink()
    if world.database.pid is None:
        outcome.figures["database_ended"] = True
        world.restart(world.database)
    wait_until(world.database.answers, 60.0, "the database answers again")
    ahead = _ahead_of_database(world, ear)
    for part in world.ingests:
        part.thaw()
    outcome.demand(not ahead, f"acknowledged and not in the database: {ahead}")
    before, during = ear.sent(began_s, full_s) / (full_s - began_s), ear.sent(full_s, spoken_s) / (spoken_s - full_s)
    outcome.figures |= {"messages_per_s_before": round(before, 1), "messages_per_s_full": round(during, 1)}
    outcome.demand(during <= 1.5 * before, f"agents sent {during:.1f} messages/s instead of {before:.1f}")
    outcome.recovery_s = world.until_fresh(homes)


def _ahead_of_database(world: World, ear: Ear) -> list[str]:
    with world.connect() as connection:
        rows = connection.execute("select h.agent, w.epoch, w.upto from watermark w join home h on h.id = w.home_id")
        stored = {(agent, epoch): upto for agent, epoch, upto in rows}
    return [
        f"{key[0]}: {upto} > {stored.get(key, 0)}" for key, upto in ear.acked().items() if upto > stored.get(key, 0)
    ]


@scenario(
    "F-14",
    "fsync returns EIO",
    "nothing counts as committed or is sent while it fails; alarm <= 60 s; goes on by itself when the disk does; 0/0",
)
def fsync_fails(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    tracer = shutil.which("strace")
    if tracer is None:
        return skip(outcome, "F-14 needs strace (apt install strace)")
    first = 10
    last = first + (8 if size.short else 120)
    log = world.folder / "f14.strace"
    inject = f"inject=fsync,fdatasync:error=EIO:when={first}..{last}"
    command = [tracer, "-D", "-f", "--seccomp-bpf", "-qq", "-ttt", "-e", "trace=fsync,fdatasync", "-e", inject]
    with Ear(world.broker_port) as ear, world.homes("f14", 1, agent=[*command, "-o", str(log), *AGENT]) as homes:
        wait_until(lambda: _injected(log), 120.0, "the first failing fsync")
        try:
            took_s, text = until_alarm(world, homes[0], _SPOOL_ALARMS, _ALARM_S + 5)
            outcome.figures |= {"alarm_s": round(took_s, 1), "alarm": text}
            outcome.demand(took_s <= _ALARM_S, f"alarm only after {took_s:.0f} s")
        except FaultsError as error:
            outcome.demand(holds=False, text=str(error))
        wait_until(lambda: len(_injected(log)) > last - first, 300.0, "the last failing fsync")
        began_s, ended_s = _injected(log)[0], _injected(log)[-1]
        outcome.figures["failed_for_s"] = round(ended_s - began_s, 1)
        outcome.recovery_s = world.until_fresh(homes, ended_s)
        before, after = (ear.newest_sent(homes[0].name, at_s) for at_s in (began_s, ended_s))
        outcome.demand(before == after, f"records {before + 1} to {after} were sent while nothing could be flushed")
        conclude(world, homes, outcome)
    return outcome


def _injected(log: Path) -> list[float]:
    """Return when each fsync was made to fail [s since 1970]."""
    text = log.read_text() if log.exists() else ""
    return [float(at_s) for at_s in re.findall(r"^\d* *(\d+\.\d+) .*\(INJECTED\)", text, re.MULTILINE)]
