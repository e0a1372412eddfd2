"""F-15: clocks that jump, under libfaketime: wall time moves, sleeps and intervals stay right."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from tests.faults.harm import longest_pause_s, skip, until_more
from tests.faults.home import Home
from tests.faults.processes import FaultsError, wait_until
from tests.faults.scenario import Outcome, Size, scenario
from tests.faults.steered import steered_home
from tests.faults.world import World

from hearth_agent.spool.table import RecordTable

_LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"
_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
_QUARTER_S = 900
_NUMBER = "import_energy_wh"
_ALL = 2**53

Offset = Callable[[], float]
"""What is added to the clock, asked for at the moment it is set [s]."""


def _by(seconds: float) -> Offset:
    return lambda: seconds


def _to(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> Offset:
    return lambda: datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() - time.time()


def _before_a_quarter() -> float:
    """Return how far to jump to two seconds before the next quarter-hour."""
    return _QUARTER_S - time.time() % _QUARTER_S - 2.0


# name: the clock at the start, and what it jumps to
_JUMPS: dict[str, tuple[Offset, Offset]] = {
    "+2 h": (_by(0), _by(2 * _HOUR_S)),
    "-3 d": (_by(0), _by(-3 * _DAY_S)),
    "to 1970": (_by(0), _to(1970, 1, 1, 0, 1)),
    "-20 s across a slot edge": (_before_a_quarter, lambda: _before_a_quarter() - _QUARTER_S - 20.0),
    "into summer time": (_to(2026, 3, 29, 0, 59, 40), _to(2026, 3, 29, 1, 0, 5)),
    "out of summer time": (_to(2026, 10, 25, 0, 59, 40), _to(2026, 10, 25, 1, 0, 5)),
}
_SHORT = ("+2 h", "to 1970", "-20 s across a slot edge")
_PAUSE_S = (
    15.0  # a busy machine delays by seconds, a clock that is believed by at least the twenty of the smallest jump
)


def library() -> Path | None:
    """Return the library that fakes time, when its package is installed."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / _LIBRARY
    return path if path.exists() else None


class FakeClock:
    """The wall clock of one home, moved while it runs."""

    def __init__(self, preload: Path, file: Path, offset_s: float) -> None:
        self._file = file
        self.set(offset_s)
        self.environment = {
            "LD_PRELOAD": str(preload),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: float) -> None:
        """Let it go so many seconds ahead of the machine's."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{offset_s:+.3f}\n")
        beside.replace(self._file)  # the library reads it with every call


@scenario(
    "F-15",
    "agent's clock jumps +2 h, -3 d, to 1970, back across a slot edge; days that begin and end summer time",
    "0/0, nothing dropped (what the hub refuses is in its dead letters); readings in the order of their records;"
    " devices go on being read through every jump; no plan is followed until the time is trusted (full run)",
)
def clock_jumps(world: World, size: Size) -> Outcome:
    outcome = Outcome()
    preload = library()
    if preload is None:
        return skip(outcome, "F-15 needs the Python package libfaketime")
    jumps = {name: jump for name, jump in _JUMPS.items() if name in _SHORT or not size.short}
    with _homes(world, preload, jumps) as homes:
        for home, _ in homes.values():
            until_more(world, home)
        for name, (_, clock) in homes.items():
            clock.set(jumps[name][1]())
        jumped_s = time.time()
        time.sleep(size.hold_s)
        for name, (home, _) in homes.items():
            _demand_pace(home, jumped_s, name, outcome)
            until_more(world, home)
        back_s = time.time()
        for _, clock in homes.values():
            clock.set(0.0)
        for home, _ in homes.values():
            until_more(world, home)
        time.sleep(size.hold_s / 2)
        for name, (home, _) in homes.items():
            _demand_pace(home, back_s, f"{name} and back", outcome)
        _conclude(world, {name: home for name, (home, _) in homes.items()}, outcome)
    if not size.short:
        _demand_fallback(world, preload, outcome)
    return outcome


def _demand_fallback(world: World, preload: Path, outcome: Outcome) -> None:
    """Jump within the plan and out of it: the inverter is its own master until the clock has come back."""
    folder = world.folder / "f15-steered"
    folder.mkdir()
    clock = FakeClock(preload, folder / "wall", 0.0)
    with steered_home(folder, world.background, clock.environment) as steered:
        try:
            wait_until(steered.forced, 120.0, "the inverter follows the plan")
            for name in ("+2 h", "to 1970"):
                clock.set(_JUMPS[name][1]())
                took_s = wait_until(steered.in_own_mode, 15.0, f"{name}: the plan is left")
                outcome.figures[f"{name}: plan left after"] = f"{took_s:.1f} s"
                clock.set(0.0)
                wait_until(steered.forced, 120.0, f"{name} and back: the plan is followed again")
        except FaultsError as error:
            outcome.demand(holds=False, text=str(error))


@contextlib.contextmanager
def _homes(
    world: World, preload: Path, jumps: Mapping[str, tuple[Offset, Offset]]
) -> Iterator[dict[str, tuple[Home, FakeClock]]]:
    with contextlib.ExitStack() as stack:
        homes: dict[str, tuple[Home, FakeClock]] = {}
        for number, (name, (start, _)) in enumerate(jumps.items()):
            folder = world.folder / f"f15-{number}"
            folder.mkdir()
            clock = FakeClock(preload, folder / "clock", start())
            home = Home(
                f"f15-{number}", folder, world.background, world.broker_port, devices=2, environment=clock.environment
            )
            stack.callback(home.close)
            homes[name] = (home, clock)
        for home, _ in homes.values():
            home.start()
        yield homes


def _demand_pace(home: Home, since_s: float, name: str, outcome: Outcome) -> None:
    pause_s = longest_pause_s(home, since_s)
    outcome.demand(pause_s <= _PAUSE_S, f"{name}: a device was not read for {pause_s:.1f} s")
    for witness in home.witnesses.values():
        polls, span_s = sum(at_s >= since_s for at_s in witness.answered_s), time.time() - since_s
        outcome.demand(polls <= span_s / home.poll_s + 2, f"{name}: read {polls} times in {span_s:.0f} s")


def _conclude(world: World, homes: Mapping[str, Home], outcome: Outcome) -> None:
    world.settle(list(homes.values()))
    for name, home in homes.items():
        verdict = world.judge([home])
        outcome.values += home.values()
        outcome.verdict.add(verdict)
        outcome.demand(_in_order(home.spool), f"{name}: numbers do not rise with the records")
        outcome.demand(verdict.lost == 0, f"{name}: {verdict.lost} lost")
        outcome.demand(verdict.dup == 0, f"{name}: {verdict.dup} twice")
        outcome.demand(verdict.gaps == 0, f"{name}: {verdict.gaps} given up as gaps")
        outcome.demand(verdict.reconciled, f"{name}: the hub's accounts do not reconcile")
        if verdict.dead:
            outcome.figures[f"{name}: dead letters"] = verdict.dead


def _in_order(spool: Path) -> bool:
    """Tell whether each device's numbers rise from record to record and within each."""
    numbers: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="hearth-spool-") as folder:
        copy = shutil.copy(spool, folder)
        with contextlib.closing(sqlite3.connect(copy)) as db:
            for record in RecordTable(db).read(1, _ALL):
                for device, columns in record.batches.items():
                    told = numbers.setdefault(device, [])
                    told += [value for value in columns.points.get(_NUMBER, []) if value is not None]
    return bool(numbers) and all(before < after for told in numbers.values() for before, after in pairwise(told))
