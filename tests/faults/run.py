"""Run the fault scenarios: `python tests/faults/run.py [--only F-01,F-02] [--short] [--seed N] [--table FILE]`.

Progress goes to stderr, one JSON line a scenario to stdout. With --table the results are written into a Markdown file
between two marker comments. Exit code 1 when an acceptance is not met, or a known-bad variant is not found out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import queue
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.faults.processes import FaultsError, end_with_parent  # noqa: E402  only now can it be found
from tests.faults.scenario import FULL, SCENARIOS, SHORT, Outcome, Scenario, Size, line  # noqa: E402
from tests.faults.table import write_table  # noqa: E402
from tests.faults.world import World  # noqa: E402

logger = logging.getLogger("faults")


def load_scenarios() -> None:
    """Import every module of scenarios; each adds its own to the list."""
    for path in sorted(Path(__file__).parent.glob("scenarios_*.py")):
        importlib.import_module(f"tests.faults.{path.stem}")


def main() -> int:
    """Run what was asked for and return the exit code."""
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(130))
    load_scenarios()
    chosen = _chosen(arguments)
    if arguments.list:
        for one in chosen:
            print(f"{one.id}  {one.fault}: {one.acceptance}")
        return 0
    say(f"seed {arguments.seed}, {len(chosen)} scenarios")
    results = []
    try:
        for result in _results(chosen, arguments):
            print(json.dumps(result), flush=True)
            results.append(result)
    except FaultsError as error:
        say(str(error))
    results.sort(key=lambda result: str(result["id"]))
    if arguments.table:
        length = "Short run" if arguments.short else "Run"
        write_table(arguments.table, chosen, results, f"{length} with seed {arguments.seed}")
    passed = {result["id"] for result in results if result["passed"]}
    failed = [one.id for one in chosen if one.id not in passed]
    say(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="ids, separated by commas")
    parser.add_argument("--short", action="store_true", help="10,000 values, few kills, short outages")
    parser.add_argument("--size", type=int, help="values of each load instead")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="of every choice; default: a new one")
    parser.add_argument("--table", type=Path, help="Markdown file that gets the results")
    parser.add_argument("--lanes", type=int, default=1, help="how many runs side by side, each in a world of its own")
    parser.add_argument("--list", action="store_true", help="only name the scenarios")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Scenario]:
    every = [SCENARIOS[id_] for id_ in sorted(SCENARIOS)]
    if arguments.only:
        wanted = arguments.only.split(",")
        unknown = [id_ for id_ in wanted if id_ not in SCENARIOS]
        if unknown:
            sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(sorted(SCENARIOS))}")
        return [SCENARIOS[id_] for id_ in wanted]
    return [one for one in every if one.short or not arguments.short]


def _results(chosen: Sequence[Scenario], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if arguments.lanes > 1:
        yield from _in_lanes(chosen, arguments)
        return
    size = SHORT if arguments.short else FULL
    if arguments.size:
        size = Size(arguments.size, size.kills, size.hold_s, size.cut_s, size.short)
    yield from run_all(chosen, size, arguments.seed)


def run_all(chosen: Sequence[Scenario], size: Size, seed: int) -> Iterator[dict[str, Any]]:
    """Run scenarios one after the other; those that share a world share one until something goes wrong in it."""
    shared: World | None = None
    try:
        for one in chosen:
            began_s = time.monotonic()
            say(f"{one.id} {one.fault}")
            # its choices do not depend on which scenarios ran before it
            choices = f"{seed} {one.id}"
            if one.own_world:
                outcome = _run_alone(one, size, choices)
            else:
                if shared is None:
                    shared = World(choices).__enter__()
                shared.reseed(choices)
                outcome = attempt(one, shared, size)
                if not outcome.passed:
                    shared.__exit__()
                    shared = None
            result = line(one, outcome, seed, time.monotonic() - began_s)
            say(f"{one.id} {'passed' if outcome.passed else 'FAILED: ' + '; '.join(outcome.failures)}")
            yield result
    finally:
        if shared is not None:
            shared.__exit__()


def _run_alone(one: Scenario, size: Size, choices: str) -> Outcome:
    lent = World(choices)
    try:
        return attempt(one, lent, size)
    finally:
        shutil.rmtree(lent.folder, ignore_errors=True)


def attempt(one: Scenario, world: World, size: Size) -> Outcome:
    """Run one scenario; what the harness could not do counts against it."""
    try:
        return one.run(world, size)
    except Exception as error:  # the process's one supervisor: the other scenarios shall run
        logger.exception("%s", one.id)
        outcome = Outcome()
        outcome.demand(holds=False, text=f"{type(error).__name__}: {error}")
        return outcome


def _in_lanes(chosen: Sequence[Scenario], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Deal the scenarios out to runs of their own and pass their lines on as they come."""
    lines: queue.Queue[str | None] = queue.Queue()
    runs = [_start_lane(lane, arguments) for lane in deal(chosen, arguments.lanes)]
    readers = [threading.Thread(target=_read, args=(run, lines), daemon=True) for run in runs]
    for reader in readers:
        reader.start()
    try:
        still = len(runs)
        while still:
            text = lines.get()
            if text is None:
                still -= 1
            else:
                yield json.loads(text)
    finally:
        for run in runs:
            run.terminate()
        for run in runs:
            run.wait()


def deal(chosen: Sequence[Scenario], lanes: int) -> list[list[Scenario]]:
    """Deal scenarios out so that the lanes end at about the same time."""
    dealt: list[list[Scenario]] = [[] for _ in range(lanes)]
    for one in sorted(chosen, key=lambda one: -one.short_s):
        min(dealt, key=lambda lane: sum(other.short_s for other in lane)).append(one)
    return [lane for lane in dealt if lane]


def _start_lane(lane: Sequence[Scenario], arguments: argparse.Namespace) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--only", ",".join(one.id for one in lane), "--seed", str(arguments.seed)]
    command += ["--short"] * arguments.short + (["--size", str(arguments.size)] if arguments.size else [])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)


def _read(run: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert run.stdout is not None
    for text in run.stdout:
        lines.put(text)
    lines.put(None)


def say(text: str) -> None:
    """Tell a person how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
