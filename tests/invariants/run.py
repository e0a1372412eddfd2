"""`make invariants`: a million steps of hostile life from one seed, and the table of docs/safety.md."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.invariants.life import run
from tests.invariants.moment import BreachError
from tests.invariants.table import write_table

_CHUNK = 20_000


def main() -> int:
    """Live, say how far it is, write the table; 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--table", type=Path, help="page with the marker comments")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of refused plans are no news
    counts: Counter[str] = Counter()
    begun_s, done, homes = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        while done < chosen.steps:
            count = min(_CHUNK, chosen.steps - done)
            try:
                homes += run(chosen.seed + done // _CHUNK, count, Path(folder), counts)
            except BreachError as error:
                print(f"\nBROKEN {error}\n{' '.join(error.__notes__)}")
                return 1
            done += count
            took_s = time.monotonic() - begun_s
            print(f"{done:,} steps, {homes} homes, {took_s:.0f} s, {took_s / done * 1e6:.0f} us a step", flush=True)
    title = f"Run with seed {chosen.seed}: {done:,} steps in {homes:,} homes, no invariant broken"
    for name in sorted(counts, key=lambda one: int(one[2:])):
        print(f"{name:5} {counts[name]:>10,}")
    if chosen.table:
        write_table(chosen.table, counts, title)
    return 0


if __name__ == "__main__":
    sys.exit(main())
