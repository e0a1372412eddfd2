"""Harm done to disks and files, and what is heard of it afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import FileIO
from itertools import pairwise
from pathlib import Path

from tests.faults.home import Home
from tests.faults.processes import FaultsError, wait_until
from tests.faults.scenario import Outcome
from tests.faults.verdict import Stored
from tests.faults.world import World

_BLOCK = 64 * 1024
_TOLERANCE_S = 0.5


def skip(outcome: Outcome, reason: str) -> Outcome:
    """Note in one line that this machine cannot do it; where CI is set it must, and then it is a failure."""
    outcome.figures["skipped"] = reason
    outcome.demand(os.environ.get("CI") != "true", f"skipped in CI: {reason}")
    return outcome


@contextlib.contextmanager
def small_disk(folder: Path, size_mb: float) -> Iterator[None]:
    """Mount a file system of this size on a folder (root only)."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={int(size_mb * 1024)}k"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "hearth-small", folder], check=False)
    if made.returncode != 0:
        raise FaultsError(f"no tmpfs can be mounted on {folder}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill_up(folder: Path) -> Path:
    """Write a file until there is no space left, and return it; removing it gives the space back."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for block in (_BLOCK, 4096, 1):
            _write_until_full(file, block)
    return ballast


def _write_until_full(file: FileIO, block: int) -> None:
    try:
        while True:
            file.write(bytes(block))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def alarms(world: World, home: Home, kinds: Sequence[str]) -> list[tuple[float, str, str]]:
    """Return (instant [s since 1970], kind, text) of a home's warnings and errors that the hub was told."""
    with world.connect() as connection:
        rows = connection.execute(
            "select extract(epoch from e.at)::float8, e.kind, e.text from event e join home h on h.id = e.home_id"
            " where h.agent = %s and e.level <> 'info' and e.kind = any(%s) order by e.at",
            (home.name, list(kinds)),
        ).fetchall()
    return [(float(at_s), str(kind), str(text)) for at_s, kind, text in rows]


def until_alarm(world: World, home: Home, kinds: Sequence[str], limit_s: float) -> tuple[float, str]:
    """Wait for an alarm at the hub; return how long it took [s] and its text."""
    took_s = wait_until(lambda: alarms(world, home, kinds), limit_s, f"an alarm of {home.name} ({', '.join(kinds)})")
    return took_s, alarms(world, home, kinds)[0][2]


def longest_pause_s(home: Home, since_s: float, until_s: float | None = None) -> float:
    """Return the longest time between two polls of any device of a home in a span [s]."""
    end_s = time.time() if until_s is None else until_s
    longest = 0.0
    for witness in home.witnesses.values():
        inside = [at_s for at_s in witness.answered_s if since_s <= at_s <= end_s]
        edges = [since_s, *inside, end_s]
        longest = max(longest, *(after - before for before, after in pairwise(edges)))
    return longest


def flip_bytes(paths: Sequence[Path], count: int, choice: random.Random) -> None:
    """Change so many random bytes of files, taken as one long one; each gets another value than it had."""
    contents = [bytearray(path.read_bytes()) for path in paths]
    total = sum(map(len, contents))
    for place in choice.sample(range(total), min(count, total)):
        offset = place
        for content in contents:
            if offset < len(content):
                content[offset] ^= choice.randint(1, 255)
                break
            offset -= len(content)
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)


def missing(home: Home, stored: Stored) -> tuple[int, int]:
    """Count the readings of a home that were measured and are not stored: in a declared gap, and in none."""
    declared = undeclared = 0
    for device, witness in home.witnesses.items():
        known = witness.confirmed.union(*(one.numbers.get(device, set()) for one in home.snapshots))
        gaps = [(start, end) for name, start, end, _ in stored.gaps if name == device]
        for number in known - stored.numbers.get(device, Counter()).keys():
            at_s = witness.answered_s[number - 1]
            if any(_covers(start, end, at_s) for start, end in gaps):
                declared += 1
            else:
                undeclared += 1
    return declared, undeclared


def _covers(start: datetime | None, end: datetime | None, at_s: float) -> bool:
    after_start = start is None or start.timestamp() - _TOLERANCE_S <= at_s
    return after_start and (end is None or at_s <= end.timestamp() + _TOLERANCE_S)


def stored_count(world: World, home: Home) -> int:
    """Return how many readings of a home the hub has taken in, dead letters included, whatever instants they bear."""
    with world.connect() as connection:
        row = connection.execute(
            "select coalesce(sum(a.stored + a.dead_lettered), 0) from account a join home h on h.id = a.home_id"
            " where h.agent = %s",
            (home.name,),
        ).fetchone()
    return int(row[0]) if row else 0


def until_more(world: World, home: Home, count: int = 4, limit_s: float = 60.0) -> None:
    """Wait until the hub has so many more readings of a home than now."""
    now = stored_count(world, home)
    wait_until(lambda: stored_count(world, home) >= now + count, limit_s, f"{count} more readings of {home.name}")
