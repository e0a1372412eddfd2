"""How long a device stays ordered after everything that could hold the order has failed, for every class of device.

    python tests/bench/time_to_safe.py [--table docs/safety.md]

Real processes and sockets, simulated devices (tests/bench/safe_homes.py), real time. Prints one JSON line and ends
with 1 when a figure is beyond its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.safe_homes import BenchHome, Kind, homes

BEGIN, END = "<!-- time-to-safe: begin -->", "<!-- time-to-safe: end -->"
_LIMIT_S, _SIGTERM_S = 60.0, 5.0
_SLACK_S = 2.0  # the device looks at its own clock, and this at the device
_PLAN_S = 90.0  # the controller orders nothing in the first minute
_PATIENCE_S = 120.0

Measure = Callable[[BenchHome], Awaitable[float | None]]


async def kill_alone(home: BenchHome) -> float:
    """The device itself ends the order; one that keeps it waits for the next start, which is measured then."""
    await home.start("run")
    os.kill(home.pid, signal.SIGKILL)
    await home.dead()
    if home.kind.ends_s:
        return await home.until_safe(_PATIENCE_S)
    await asyncio.sleep(1.0)
    started = asyncio.create_task(home.start("run", ordered=False))
    took_s = await home.until_safe(_PATIENCE_S)
    await started
    return took_s


async def kill_supervised(home: BenchHome) -> float:
    """The supervisor ends the order."""
    await home.start("supervise")
    os.kill(home.agent_pid, signal.SIGKILL)
    return await home.until_safe(_PATIENCE_S)


async def stop_supervised(home: BenchHome) -> float:
    """The supervisor ends an agent that stands still, and its order."""
    await home.start("supervise")
    os.kill(home.agent_pid, signal.SIGSTOP)
    return await home.until_safe(_PATIENCE_S)


async def kill_supervisor(home: BenchHome) -> float:
    """The agent ends its orders when its supervisor dies."""
    await home.start("supervise")
    os.kill(home.pid, signal.SIGKILL)
    return await home.until_safe(_PATIENCE_S)


async def sigterm(home: BenchHome) -> float:
    """Both end in order."""
    await home.start("supervise")
    os.kill(home.pid, signal.SIGTERM)
    return await home.until_safe(_PATIENCE_S)


async def plan_ends(home: BenchHome) -> float | None:
    """The hub is gone (it never was there), and the last plan comes to its end."""
    if not home.kind.planned:
        return None
    ends_s = time.monotonic() + _PLAN_S
    await home.start("supervise", _PLAN_S)
    await home.until_safe(_PATIENCE_S)
    return time.monotonic() - ends_s


@dataclass(frozen=True)
class Cause:
    """What is done to the agent."""

    name: str
    measure: Measure
    limit_s: float = _LIMIT_S
    device_alone: bool = False
    """Nothing but the device's own time-out is left."""


CAUSES = (
    Cause("`kill -9` of an agent without a supervisor", kill_alone, device_alone=True),
    Cause("`kill -9` of the agent under its supervisor", kill_supervised),
    Cause("the agent stands still (SIGSTOP) under its supervisor", stop_supervised),
    Cause("`kill -9` of the supervisor", kill_supervisor),
    Cause("SIGTERM to the supervisor", sigterm, _SIGTERM_S),
    Cause("hub and broker gone, from the end of the last plan", plan_ends),
)


async def measure(folder: Path) -> tuple[list[Kind], dict[str, list[float | None]]]:
    """Measure every cause on all homes at once, one cause after the other; seconds by cause, in the order of kinds."""
    results: dict[str, list[float | None]] = {}
    async with homes(folder) as all_homes:
        for cause in CAUSES:
            print(cause.name, file=sys.stderr, flush=True)
            results[cause.name] = await asyncio.gather(*(_trial(cause, home) for home in all_homes))
        return [home.kind for home in all_homes], results


async def _trial(cause: Cause, home: BenchHome) -> float | None:
    took_s = await cause.measure(home)
    await home.end()
    return None if took_s is None else round(max(0.0, took_s), 2)


def limit_s(cause: Cause, kind: Kind) -> float:
    """Return how long it may take [s]."""
    own_s = kind.ends_s or 0.0 if cause.device_alone else 0.0
    return max(cause.limit_s, own_s + _SLACK_S)


def failures(kinds: Sequence[Kind], results: dict[str, list[float | None]]) -> list[str]:
    """Return what took too long."""
    return [
        f"{cause.name}, {kind.name}: {took_s} s"
        for cause in CAUSES
        for kind, took_s in zip(kinds, results[cause.name], strict=True)
        if took_s is not None and took_s > limit_s(cause, kind)
    ]


def table(kinds: Sequence[Kind], results: dict[str, list[float | None]]) -> str:
    """Return a Markdown table, a row a cause."""
    head = f"| what happens | limit | {' | '.join(kind.name for kind in kinds)} |"
    rows = []
    for cause in CAUSES:
        pairs = zip(kinds, results[cause.name], strict=True)
        cells = " | ".join(_cell(cause, kind, took_s) for kind, took_s in pairs)
        limit = f"{cause.limit_s:g} s{', or its own time' if cause.device_alone else ''}"
        rows.append(f"| {cause.name} | {limit} | {cells} |")
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return "\n".join([f"Measured {when}.", "", head, "|---" * (len(kinds) + 2) + "|", *rows])


def _cell(cause: Cause, kind: Kind, took_s: float | None) -> str:
    if took_s is None:
        return "-"
    kept = "kept, next start " if cause.device_alone and kind.ends_s is None else ""
    return f"{kept}{took_s:.1f} s"


def write_table(path: Path, text: str) -> None:
    """Put the table between the page's markers."""
    page = path.read_text()
    before, rest = page.split(BEGIN, 1)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}")


async def run(page: Path | None) -> int:
    """Measure, print, and write the table; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="hearth-safe-") as folder:
        kinds, results = await measure(Path(folder))
    broken = failures(kinds, results)
    print(json.dumps({"kinds": [kind.name for kind in kinds], "seconds": results, "failures": broken}))
    print(table(kinds, results), file=sys.stderr)
    if page is not None:
        write_table(page, table(kinds, results))
    return int(bool(broken))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="the page whose table is written anew")
    sys.exit(asyncio.run(run(parser.parse_args().table)))


if __name__ == "__main__":
    main()
