"""F-24 and F-28: a hub that was restored from a backup, and parts of it that ingest does not need."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.harm import stored_count, until_more
from tests.faults.home import Home
from tests.faults.lag import LagMeter
from tests.faults.processes import Part, free_port, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.scenarios_kill import conclude
from tests.faults.world import World

from hearth_core.clock import ClockConductor

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_POLL_S, _FLUSH_S = 30.0, 300.0
_LAG_S = 5.0


@scenario(
    "F-24",
    "hub restored from a backup 24 h old (a simulated day)",
    "agents send again from the restored watermark; after the drain 0/0 for the lost day",
    own_world=True,
)
def restored_hub(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    postgres, backup = lent.folder / "postgres", lent.folder / "backup"
    clock = lent.folder / "clock"
    conductor = ClockConductor(clock, time.time() - 2 * _DAY_S)
    speed = _DAY_S / (20.0 if size.short else 120.0)
    environment = {"HEARTH_CLOCK": f"file:{clock}"}
    seed = lent.random.randrange(2**32)
    with (
        World(seed, database_folder=postgres, environment=environment) as world,
        _home(world, size, speed, environment) as home,
    ):
        conductor.set_speed(speed)
        until_more(world, home)
        began_s = conductor.clock.time()
        _copy(world, postgres, backup)
        before = stored_count(world, home)
        wait_until(lambda: conductor.clock.time() - began_s > _DAY_S, 600.0, "a day passes")
        until_more(world, home)
        outcome.figures["readings_of_the_day"] = stored_count(world, home) - before
        _copy(world, backup, postgres)
        restored_s = time.monotonic()
        outcome.figures["after_restore"] = stored_count(world, home)
        wait_until(lambda: stored_count(world, home) > before + outcome.figures["readings_of_the_day"], 300.0, "refill")
        outcome.recovery_s = time.monotonic() - restored_s
        conclude(world, [home], outcome)
    lost_day = outcome.figures["readings_of_the_day"]
    outcome.demand(outcome.figures["after_restore"] < before + lost_day / 2, "the backup was not old")
    return outcome


@contextmanager
def _home(world: World, size: Size, speed: float, environment: dict[str, str]) -> Iterator[Home]:
    home = Home(
        "f24-0",
        world.folder / "f24-0",
        world.background,
        world.broker_port,
        devices=1 if size.short else 3,
        poll_s=_POLL_S,
        flush_s=_FLUSH_S,
        environment=environment,
    )
    home.flush_s, home.poll_s = _FLUSH_S / speed, _POLL_S / speed  # what the harness waits for runs on its own clock
    try:
        home.start()
        yield home
    finally:
        home.close()


def _copy(world: World, source: Path, target: Path) -> None:
    """Stop the database, put a copy of one folder in place of another, and start it again."""
    world.database.stop()
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", source, target], check=True)
    world.database.start()


@scenario(
    "F-28",
    "kill -9 of API and of worker (Redis, Airflow, Celery and Grafana are no part of the hub yet)",
    "others go on: readings stored with p99 lag < 5 s, agents connected, 0/0; the part is back by itself once started",
    short=False,  # nearly a minute of waiting for what the others cannot see
)
def parts_down(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    port = free_port()
    parts = [_part(world, name, port) for name in ("api", "worker")]
    with world.homes("f28", 2, devices=2) as homes, LagMeter(world.database.url, "f28") as meter:
        try:
            for part in parts:
                part.start()
            wait_until(lambda: _answers(port), 60.0, "the API answers")
            world.until_fresh(homes)
            began_s = time.time()
            for part in parts:
                for _ in range(size.kills):
                    part.kill()
                    outcome.kills += 1
                    time.sleep(world.random.uniform(1.0, 3.0))
                    part.start()
            ended_s = time.time()
            outcome.recovery_s = wait_until(lambda: _answers(port), 60.0, "the API answers again")
            outcome.demand(parts[1].pid is not None, "the worker did not come back")
        finally:
            for part in parts:
                part.stop()
        lag_s = meter.percentile_s(99, began_s, ended_s) - homes[0].flush_s - homes[0].poll_s
        outcome.figures["p99_lag_s"] = round(lag_s, 2)
        outcome.demand(lag_s < _LAG_S, f"p99 lag was {lag_s:.1f} s")
        conclude(world, homes, outcome)
    return outcome


def _part(world: World, name: str, port: int) -> Part:
    environment = {
        "HEARTH_HUB_DATABASE_URL": world.database.url,
        "HEARTH_HUB_MQTT_URL": world.broker_url,
        "HEARTH_HUB_DATA_DIR": str(world.folder / "hub"),
        "HEARTH_HUB_PORT": str(port),
    }
    return Part(name, [sys.executable, "-m", "hearth_hub.cli", name], world.folder / f"{name}.log", environment)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/homes", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
