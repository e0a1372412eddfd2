"""EMHASS beside Hearth: the same homes, planned in turn on the same machine, valued by one referee.

EMHASS lives in an environment of its own, which is made when asked for and is no part of the project.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench.emhass_homes import STEP_S, Home, Schedule, judge

from hearth_models.arrays import FloatArray
from hearth_models.planning.joint_answer import Answer, plan_home
from hearth_models.planning.problem import read_problem

VERSION = "0.18.7"
_SIDE = Path(__file__).with_name("emhass_side.py")
_CENT = 0.01
# EMHASS's default tariff and grid limit (its config_defaults.json): dear from 02:54 and from 17:24, by whole steps.
_PEAK, _OFF_PEAK, _LIMIT_W = 0.1907, 0.1419, 9000.0
_DEAR_HOURS = ((3.0, 15.5), (17.5, 20.5))
_ROOMY_LIMIT_W = 15_000.0


def emhass_python() -> Path:
    """Return the Python of an environment with EMHASS in the user's cache; it is made the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "hearth" / f"emhass-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing EMHASS {VERSION} into {folder} (some minutes)", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"emhass=={VERSION}"], check=True)
        (folder / "ready").touch()
    return python


def default_home(given: dict[str, Any]) -> Home:
    """Return a day of EMHASS's default configuration with PV: two tariffs, 3 kW to be moved, no battery."""
    n_steps = 86_400 // STEP_S
    hour = np.arange(n_steps) * STEP_S / 3600
    is_dear = np.any([(first <= hour) & (hour < last) for first, last in _DEAR_HOURS], axis=0)
    buy = np.where(is_dear, _PEAK, _OFF_PEAK)
    load_w, pv_w = halved(given["load_w"])[:n_steps], halved(given["pv"][0]["power_w"])[:n_steps]
    return Home("2026-01-15T00:00:00", load_w, pv_w, buy, np.full(n_steps, _OFF_PEAK), _LIMIT_W, has_steady_load=True)


def battery_home(given: dict[str, Any], *, has_loads: bool = False, efficiency: float = 0.95) -> Home:
    """Return the small home of the other benchmark in half hours, with what can be moved or without."""
    return Home(
        "2026-01-15T18:00:00",
        halved(given["load_w"]),
        halved(given["pv"][0]["power_w"]),
        halved(given["import_eur_per_kwh"]),
        halved(given["export_eur_per_kwh"]),
        _ROOMY_LIMIT_W,
        has_steady_load=has_loads,
        has_sequences=has_loads,
        capacity_wh=given["batteries"][0]["capacity_wh"],
        soc_percent=given["batteries"][0]["soc_percent"],
        efficiency=efficiency,
    )


def halved(quarters: list[float]) -> FloatArray:
    """Return means of two quarter hours."""
    means: FloatArray = np.array(quarters, np.float64).reshape(-1, 2).mean(axis=1).round(6)
    return means


SETS: dict[str, Callable[[dict[str, Any]], Home]] = {
    "emhass_default": default_home,
    "pv_battery": battery_home,
    "pv_battery_lossless": lambda given: battery_home(given, efficiency=1.0),
    "pv_battery_loads": lambda given: battery_home(given, has_loads=True),
}


@dataclass
class Tally:
    """What one set of homes has shown so far."""

    hearth_ms: list[float] = field(default_factory=list)
    cold_ms: list[float] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)
    hearth_eur: list[float] = field(default_factory=list)
    emhass_eur: list[float] = field(default_factory=list)
    hearth_unproven: int = 0
    hearth_faults: int = 0
    emhass_faults: int = 0
    emhass_failed: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it for a program; costs are of the homes that both have planned without a fault."""
        ours, theirs = np.array(self.hearth_eur), np.array(self.emhass_eur)
        dearer = ours - theirs
        return {
            "homes": len(self.hearth_ms),
            "hearth": {
                **spread(self.hearth_ms),
                "not_proven": self.hearth_unproven,
                "faults": self.hearth_faults,
                "eur": mean(ours),
            },
            "emhass_cold": spread(self.cold_ms),
            "emhass_warm": spread(self.warm_ms),
            "emhass": {"faults": self.emhass_faults, "failed": self.emhass_failed, "eur": mean(theirs)},
            "hearth_minus_emhass_eur": {
                "homes": len(ours),
                "mean": mean(dearer),
                "least": round(float(dearer.min()), 4) if len(ours) else None,
                "most": round(float(dearer.max()), 4) if len(ours) else None,
                "hearth_cheaper_by_a_cent": int((dearer < -_CENT).sum()),
                "emhass_cheaper_by_a_cent": int((dearer > _CENT).sum()),
            },
        }


def spread(times_ms: list[float]) -> dict[str, float]:
    """Return median, p90 and the worst [ms]."""
    p50, p90 = np.percentile(times_ms, [50, 90]).tolist()
    return {"p50_ms": round(p50, 1), "p90_ms": round(p90, 1), "max_ms": round(max(times_ms), 1)}


def mean(values: FloatArray) -> float | None:
    """Return the mean, None of nothing."""
    return round(float(values.mean()), 4) if len(values) else None


class Emhass:
    """The process that plans with EMHASS."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self.versions: dict[str, str] = self._read()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return its answer to one problem."""
        if self._child.stdin is None:
            raise AssertionError("it is a pipe")
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._child.stdout.readline() if self._child.stdout else ""
        if not line:
            raise RuntimeError("the process with EMHASS has ended; what it said stands above")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def running_emhass(python: Path) -> Iterator[Emhass]:
    """Start it, single-threaded like the other side."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), str(_SIDE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        yield Emhass(child)


def compare(python: Path, homes: list[dict[str, Any]]) -> dict[str, Any]:
    """Plan every home of every set with both, in turn.

    Args:
        python: Of an environment with EMHASS.
        homes: Small homes in quarter hours, as `bench_plan.small_home` draws them.
    """
    with running_emhass(python) as emhass:
        found: dict[str, Any] = {
            "versions": emhass.versions | {"hearth_highspy": importlib.metadata.version("highspy")}
        }
        for name, make in SETS.items():
            made = [make(given) for given in homes]
            meet(made[0], emhass, Tally())  # the first of a kind loads code
            tally = Tally()
            for home in made:
                meet(home, emhass, tally)
            found[name] = tally.as_json()
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    return found


def meet(home: Home, emhass: Emhass, tally: Tally) -> None:
    """Plan one home with both and note what came of it."""
    problem = read_problem(json.dumps(home.for_hearth()).encode())
    began_s = time.perf_counter()
    plan = plan_home(problem)
    tally.hearth_ms.append((time.perf_counter() - began_s) * 1000)
    ours = judge(home, of_hearth(home, plan))
    answer = emhass.ask(home.for_emhass(ours.end_wh))
    tally.cold_ms.append(answer["cold_ms"])
    tally.warm_ms.append(answer["warm_ms"])
    tally.hearth_unproven += not plan.is_proven
    tally.hearth_faults += bool(ours.faults)
    if answer["status"] not in {"Optimal", "Optimal_Inaccurate", "Optimal (Incumbent)"}:
        tally.emhass_failed += 1
        return
    theirs = judge(home, of_emhass(answer))
    tally.emhass_faults += bool(theirs.faults)
    if not ours.faults and not theirs.faults:
        # the little by which both ends differ is worth the mean price
        left_eur = (ours.end_wh - theirs.end_wh) / 1000 * float(home.import_eur_per_kwh.mean())
        tally.hearth_eur.append(ours.eur - left_eur)
        tally.emhass_eur.append(theirs.eur)


def of_hearth(home: Home, plan: Answer) -> Schedule:
    """Return the schedule of one of our plans."""
    powers = {asset.name: np.array(asset.power_w) for asset in plan.assets}
    nothing = np.zeros(home.n_steps)
    names = (["steady"] if home.has_steady_load else []) + [name for name, *_ in home.sequences]
    return Schedule(-powers.get("battery", nothing), np.array(plan.spilled_pv_w), [powers[name] for name in names])


def of_emhass(answer: dict[str, Any]) -> Schedule:
    """Return the schedule of one of EMHASS's answers."""
    loads = [np.array(power_w) for power_w in answer["loads_w"]]
    return Schedule(np.array(answer["battery_w"]), np.array(answer["curtailed_w"]), loads)


def table(found: dict[str, Any]) -> str:
    """Return the comparison as a table for people."""
    lines = ["| homes | planner | p50 | p90 | max | cost | faults, failed |", "|---|---|---|---|---|---|---|"]
    for name in SETS:
        one = found[name]
        theirs = one["emhass"]
        for planner, times, cost, failed in (
            ("Hearth", one["hearth"], one["hearth"]["eur"], f"{one['hearth']['faults']}, 0"),
            ("EMHASS, first plan", one["emhass_cold"], theirs["eur"], f"{theirs['faults']}, {theirs['failed']}"),
            ("EMHASS, every later one", one["emhass_warm"], None, ""),
        ):
            spent = " | ".join(f"{times[key]:.0f} ms" for key in ("p50_ms", "p90_ms", "max_ms"))
            money = "" if cost is None else f"{cost:.4f} EUR"
            lines.append(f"| {one['homes']} {name} | {planner} | {spent} | {money} | {failed} |")
    return "\n".join(lines)
