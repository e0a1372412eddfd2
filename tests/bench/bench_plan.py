"""How long a plan takes: a whole home for two days in quarter hours, beside the small one with a battery only.

    python tests/bench/bench_plan.py [--problems 1000] [--emhass | --emhass-python PYTHON] [--emhass-homes 30]

Prints progress on stderr and one JSON line on stdout. Every problem is another home: its prices, sun, load, car, room
and appliances are drawn from a seed, so two runs ask the same questions. EMHASS is measured beside it when asked for:
in an environment that is made in the user's cache (--emhass), or in one that has it (--emhass-python).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hearth_models.planning.joint_answer import Answer, plan_home
from hearth_models.planning.problem import Problem, read_problem

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.bench_emhass import compare, emhass_python, table

STEPS, STEP_S = 192, 900.0


def small_home(rng: np.random.Generator) -> dict[str, Any]:
    """Return PV and a battery."""
    hour = (rng.uniform(0, 24) + np.arange(STEPS) * STEP_S / 3600) % 24
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None) * rng.uniform(1000, 9000)
    sun *= np.clip(rng.normal(0.8, 0.25, STEPS), 0.05, 1)
    load = np.clip(rng.gamma(2.0, 200, STEPS) + 600 * ((hour > 17) & (hour < 22)), 50, None)
    spot = 0.09 + 0.05 * np.cos((hour - 19) / 12 * np.pi) + rng.normal(0, 0.02, STEPS // 4).repeat(4)
    spot -= rng.choice([0.0, 0.15], p=[0.7, 0.3]) * (np.abs(hour - 13) < 2)
    feed_in = spot if rng.random() < 0.4 else np.full(STEPS, rng.choice([0.08, 0.12]))
    return {
        "start": "2026-01-15T18:00:00+01:00",
        "steps_s": [STEP_S] * STEPS,
        "import_eur_per_kwh": (spot + rng.choice([0.0, 0.16])).round(4).tolist(),
        "export_eur_per_kwh": feed_in.round(4).tolist(),
        "load_w": load.round(1).tolist(),
        "pv": [{"name": "roof", "power_w": sun.round(1).tolist()}],
        "batteries": [
            {
                "name": "store",
                "capacity_wh": float(rng.choice([5000, 10000, 15000])),
                "soc_percent": float(rng.integers(5, 100)),
                "max_charge_w": 5000.0,
                "max_discharge_w": 5000.0,
                "can_charge_from_grid": bool(rng.random() < 0.8),
                "can_discharge_to_grid": bool(rng.random() < 0.8),
            }
        ],
    }


def whole_home(rng: np.random.Generator) -> dict[str, Any]:
    """Return a home with PV, battery, car, heat pump and two appliances."""
    home = small_home(rng)
    arrives_s = float(rng.uniform(0, 20) * 3600)
    stored_wh = float(rng.uniform(5000, 40000))
    outdoor_c = rng.uniform(-8, 14) + 4 * np.sin(np.arange(STEPS) / 96 * 2 * np.pi)
    home["cars"] = [
        {
            "name": "car",
            "capacity_wh": 60_000.0,
            "stored_wh": stored_wh,
            "target_wh": float(rng.uniform(stored_wh, 60_000)),
            "arrives_s": arrives_s,
            "departs_s": arrives_s + float(rng.uniform(4, 20) * 3600),
            "mode": str(rng.choice(["cheapest", "cheapest", "pv_only", "now"])),
            "phases": int(rng.choice([1, 3])),
            "phase": 1,
        }
    ]
    home["heat"] = [
        {
            "name": "room",
            "capacity_wh_per_k": float(rng.uniform(4000, 12000)),
            "loss_w_per_k": float(rng.uniform(100, 250)),
            "now_c": float(rng.uniform(19, 22)),
            "low_c": 20.0,
            "high_c": 22.5,
            "surroundings_c": outdoor_c.round(2).tolist(),
            "source": {
                "max_w": 3000.0,
                "min_w": float(rng.choice([0.0, 800.0])),
                "cop": (3.2 + outdoor_c * 0.08).round(3).tolist(),
                "min_run_s": float(rng.choice([0.0, 1800.0])),
                "min_rest_s": float(rng.choice([0.0, 900.0])),
            },
        }
    ]
    home["appliances"] = [
        {"name": "dishes", "shape_w": [2000.0, 200.0, 1800.0, 100.0], "earliest_s": 3600.0, "ready_by_s": 36_000.0},
        {"name": "laundry", "shape_w": [2100.0, 300.0, 300.0, 500.0, 400.0], "earliest_s": 50_000.0},
    ]
    return home


def timed(problem: Problem) -> tuple[float, Answer]:
    """Return how long a plan took [ms], and the plan."""
    began_s = time.perf_counter()
    answer = plan_home(problem)
    return (time.perf_counter() - began_s) * 1000, answer


def measure(name: str, homes: list[dict[str, Any]]) -> dict[str, float]:
    """Plan every home and return the spread of the times."""
    times, unproven, broken = [], 0, 0
    for number, home in enumerate(homes):
        problem = read_problem(json.dumps(home).encode())
        took_ms, answer = timed(problem)
        times.append(took_ms)
        unproven += not answer.is_proven
        broken += bool(answer.broken)
        if (number + 1) % 100 == 0:
            print(f"{name}: {number + 1} of {len(homes)}, worst {max(times):.0f} ms", file=sys.stderr, flush=True)
    p50, p99 = np.percentile(times, [50, 99]).tolist()
    found = {
        "p50_ms": round(p50, 1),
        "p99_ms": round(p99, 1),
        "max_ms": round(max(times), 1),
        "homes_per_minute_and_core": round(60_000 / float(np.mean(times))),
        "not_proven": unproven,
        "with_broken_wishes": broken,
    }
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--emhass", action="store_true", help="install EMHASS into the user's cache and measure it")
    parser.add_argument("--emhass-python", type=Path, help="Python of an environment that has EMHASS")
    parser.add_argument("--emhass-homes", type=int, default=30)
    options = parser.parse_args()
    rng = np.random.default_rng(2026)
    line: dict[str, Any] = {
        "battery_only": measure("battery only", [small_home(rng) for _ in range(options.problems)]),
        "whole_home": measure("whole home", [whole_home(rng) for _ in range(options.problems)]),
    }
    line["emhass"] = beside_emhass(options)
    print(json.dumps(line))


def beside_emhass(options: argparse.Namespace) -> dict[str, Any]:
    """Compare with EMHASS if that was asked for, and say why not otherwise."""
    if not options.emhass and options.emhass_python is None:
        missing = "not measured; --emhass installs it into an environment of its own"
        print(f"EMHASS: {missing}", file=sys.stderr)
        return {"missing": missing}
    rng = np.random.default_rng(2026)
    python = options.emhass_python or emhass_python()
    found = compare(python, [small_home(rng) for _ in range(options.emhass_homes)])
    print(table(found), file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
