"""F-22 and F-27: one home that floods the hub, and a thousand that come back at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults import flood
from tests.faults.home import Home
from tests.faults.lag import LagMeter, peak_memory_mb
from tests.faults.processes import FaultsError, program, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.scenarios_kill import conclude
from tests.faults.world import World

_ROOT = Path(__file__).parents[2]
_LAG_S = 5.0
_MEMORY_MB = 500.0
_LIVE_LAG_S = 60.0
_INTERVAL_S = 10.0
_FLOOD_S = 30.0
_SHORT_FLOOD_S = 8.0  # longer than the lag that is allowed, or it could not be seen


@scenario(
    "F-22",
    "flood from one home: 10,000 messages/s, 1 MB payloads, 1,000 connects/s, 100,000 topics",
    "other homes' p99 ingest lag < 5 s; memory of broker and ingest < 500 MB each; 0/0 for the others",
    own_world=True,
    short=False,  # the flood needs the machine to itself, or it is the flooder that is measured
)
def one_home_floods(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    with World(lent.random.randrange(2**32)) as world, world.homes("f22", 2, devices=2) as homes:
        world.until_fresh(homes)
        with LagMeter(world.database.url, "f22") as meter:
            for kind in flood.KINDS:
                _flood(world, homes, kind, _SHORT_FLOOD_S if size.short else _FLOOD_S, meter, outcome)
        outcome.figures["offender_dead_letters"] = _dead_letters(world)
        conclude(world, homes, outcome)
    return outcome


def _flood(world: World, homes: Sequence[Home], kind: str, seconds: float, meter: LagMeter, outcome: Outcome) -> None:
    """Flood in one way, wait until the others are served again, and note how long they had to wait meanwhile."""
    began_s = time.time()
    port = str(world.broker_port)
    command = [sys.executable, "-m", "tests.faults.flood", "--port", port, "--kind", kind, "--seconds", f"{seconds}"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FaultsError(f"the flood of {kind} failed: {done.stderr.strip().splitlines()[-1:]}")
    world.until_fresh(homes)
    own_s = homes[0].flush_s + homes[0].poll_s
    lag_s = meter.percentile_s(99, began_s, time.time()) - own_s
    outcome.figures[f"{kind}_sent"] = json.loads(done.stdout)["sent"]
    outcome.figures[f"{kind}_p99_s"] = round(lag_s, 2)
    outcome.demand(lag_s < _LAG_S, f"{kind}: the others' p99 was {lag_s:.1f} s")
    for part in (world.broker, *world.ingests):
        if part.pid is None:
            raise FaultsError(f"{kind}: {part.name} ended:\n{part.log_tail()}")
        memory_mb = peak_memory_mb(part.pid)
        outcome.figures[f"{part.name}_mb"] = round(memory_mb)
        outcome.demand(memory_mb < _MEMORY_MB, f"{kind}: {part.name} has used {memory_mb:.0f} MB")


def _dead_letters(world: World) -> int:
    with world.connect() as connection:
        row = connection.execute("select count(*) from dead_letter where agent = %s", (flood.HOME,)).fetchone()
    return int(row[0]) if row else 0


@scenario(
    "F-27",
    "1,000 agents reconnect at once after an outage of 24 h (100 agents after 1 h in the short run)",
    "hub memory < 500 MB; live data lag < 60 s while draining; every reading acknowledged; reconciled",
    own_world=True,
)
def everybody_comes_back(lent: World, size: Size) -> Outcome:
    outcome = Outcome()
    homes, backlog = (100, "1h") if size.short else (1000, "24h")
    with World(lent.random.randrange(2**32)) as world, LagMeter(world.database.url, "fleet") as meter:
        result, ready_s, ended_s = _run_fleet(world, homes, backlog)
        outcome.values = int(result["produced_values"])
        verdict = outcome.verdict
        verdict.produced = int(result["produced_readings"])
        _demand_whole(world, outcome, result)
        lag_s = meter.percentile_s(100, ready_s + 2 * _INTERVAL_S, ended_s) - _INTERVAL_S
        memory_mb = sum(peak_memory_mb(part.pid) for part in world.ingests if part.pid is not None)
    names = ("homes", "drain_s", "live_lag_max_ms", "resent_readings", "connections_lost", "values_acknowledged_per_s")
    outcome.figures |= {name: result[name] for name in names}
    outcome.figures |= {"stored_live_lag_s": round(lag_s, 1), "ingest_mb": round(memory_mb)}
    outcome.demand(memory_mb < _MEMORY_MB, f"ingest has used {memory_mb:.0f} MB")
    outcome.demand(lag_s < _LIVE_LAG_S, f"live readings were {lag_s:.0f} s late")
    return outcome


def _run_fleet(world: World, homes: int, backlog: str) -> tuple[dict[str, float], float, float]:
    """Return the fleet's figures, and when every home was connected and when it ended [s since 1970]."""
    command = [program("hearth-sim"), "fleet", "--homes", str(homes), "--backlog", backlog, "--until-acked", "--json"]
    command += ["--interval", f"{_INTERVAL_S:g}s", "--duration", "30s", "--limit", "20m", "--mqtt", world.broker_url]
    log = world.folder / "fleet.log"
    with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process:
        try:
            wait_until(lambda: b"ready" in log.read_bytes() or process.poll() is not None, 300.0, "the fleet connects")
            ready_s = time.time()
            assert process.stdout is not None
            text = process.stdout.read()
        finally:
            process.kill()
    if not text:
        raise FaultsError(f"the fleet failed: {log.read_text()[-500:]}")
    figures: dict[str, float] = json.loads(text)
    return figures, ready_s, time.time()


def _demand_whole(world: World, outcome: Outcome, result: dict[str, float]) -> None:
    accounts = world.reconcile()
    totals = accounts.totals()
    verdict = outcome.verdict
    with world.connect() as connection:
        row = connection.execute("select count(*) from reading").fetchone()
    verdict.stored, verdict.spooled, verdict.dead = (
        int(row[0]) if row else 0,
        totals["spooled"],
        totals["dead_lettered"],
    )
    verdict.gaps, verdict.reconciled = totals["gaps"], accounts.reconciled
    verdict.committed = int(result["acknowledged_readings"])
    verdict.lost = max(0, verdict.committed - verdict.stored)
    verdict.dup = max(0, verdict.stored - int(result["produced_readings"]))
    outcome.demand(result["unacknowledged_readings"] == 0, f"{result['unacknowledged_readings']} never acknowledged")
    outcome.demand_whole()
