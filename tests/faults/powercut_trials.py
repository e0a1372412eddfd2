"""Cuts the power of what an agent writes, again and again, and counts what is gone afterwards.

    python -m tests.faults.powercut_trials spool --cuts 20 --seed 7

prints one JSON line. A trial is three processes: a disk, a writer on it, and this one, which opens what is left.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.bad.careless_files import CarelessPlanKeeper
from tests.faults.bad.spool_normal import NormalSpoolKeeper
from tests.faults.powercut import Cut, Disk, serve, unmount, why_not
from tests.faults.powercut_keepers import Judgement, Keeper, ModelKeeper, PlanKeeper, SpoolKeeper

KEEPERS: dict[str, Keeper] = {
    "spool": SpoolKeeper(),
    "plan": PlanKeeper(),
    "model": ModelKeeper(),
    "spool-normal": NormalSpoolKeeper(),
    "plan-careless": CarelessPlanKeeper(),
}
_TRIAL_S = 60.0
_DISK_FAILED = 3
_processes = multiprocessing.get_context("fork")


def trials(name: str, cuts: int, seed: int) -> dict[str, int | str]:
    """Cut the power ``cuts`` times, at moments that the seed chooses, and return the sums."""
    keeper, rng = KEEPERS[name], random.Random(f"{name} {seed}")
    said = lost = unreadable = 0
    for number in range(cuts):
        with tempfile.TemporaryDirectory(prefix="hearth-cut-") as folder:
            safe, judgement = trial(keeper, _moment(rng, keeper, number), Path(folder))
        said += safe
        lost += judgement.lost
        unreadable += judgement.unreadable
    return {"kept": name, "cuts": cuts, "seed": seed, "committed": said, "lost": lost, "unreadable": unreadable}


def _moment(rng: random.Random, keeper: Keeper, number: int) -> Cut:
    """Every second cut falls among changes of the main file, which for a spool means into a checkpoint."""
    seed = rng.getrandbits(32)
    if number % 2:
        return Cut(seed, rng.randint(1, 400), keeper.file)
    return Cut(seed, rng.randint(1, 3000 if isinstance(keeper, SpoolKeeper) else 400))


def trial(keeper: Keeper, cut: Cut, folder: Path) -> tuple[int, Judgement]:
    """Let one writer run into one cut; return how much it called safe, and what is left of it.

    Raises:
        RuntimeError: There was no cut, or the writer failed of something else.
    """
    mount_point, image = folder / "disk", folder / "image"
    mount_point.mkdir()
    reader, writer = os.pipe()
    disk = _processes.Process(target=_keep_disk, args=(mount_point, Disk(cut, image), writer))
    program = _processes.Process(target=_write, args=(keeper, mount_point, writer))
    disk.start()
    program.start()
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            said = [int(line) for line in pipe]
        program.join(_TRIAL_S)
    finally:
        unmount(mount_point)
        for process in (program, disk):
            process.join(1)
            if process.is_alive():
                process.kill()
                process.join()
    if program.exitcode not in (_DISK_FAILED, -7) or not image.exists():  # 7: a page of the dead disk was mapped
        raise RuntimeError(f"{cut}: the writer ended with {program.exitcode}, a cut {image.exists()}")
    return len(said), keeper.judge(image, said)


def _keep_disk(mount_point: Path, disk: Disk, pipe: int) -> None:
    os.close(pipe)  # the writer alone holds it, so that it ends with the writer
    serve(mount_point, disk)


def _write(keeper: Keeper, mount_point: Path, pipe: int) -> None:
    deadline_s = time.monotonic() + _TRIAL_S
    while not mount_point.is_mount() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    try:
        keeper.write(mount_point, lambda number: _say(pipe, number))
    except (OSError, sqlite3.DatabaseError):
        os._exit(_DISK_FAILED)  # nothing is closed: this is what a program does when the power is gone


def _say(pipe: int, number: int) -> None:
    os.write(pipe, f"{number}\n".encode())


def main(arguments: Sequence[str]) -> int:
    """Run the trials named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kept", choices=KEEPERS)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if (reason := why_not()) is not None:
        print(reason, file=sys.stderr)
        return 2
    print(json.dumps(trials(options.kept, options.cuts, options.seed)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
