"""The 22 invariants of a safe controller, under faults and hostile plans."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.invariants.life import run


def test_ten_thousand_seeded_steps_hold_every_invariant(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    run(2026, 10_000, tmp_path, counts)
    print(counts)
