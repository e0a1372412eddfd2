"""An account holds when nothing is unexplained, although the agent's word may be a minute old."""

from __future__ import annotations

import pytest

from hearth_hub.accounts.repository import AccountRow
from hearth_hub.accounts.service import balance


@pytest.mark.parametrize(
    ("produced", "stored", "gaps", "dead", "told_produced", "told_spooled", "spooled", "missing"),
    [
        (100, 100, 0, 0, 100, 0, 0, 0),
        (100, 80, 15, 5, 100, 0, 0, 0),
        (90, 90, 0, 0, 100, 10, 10, 0),  # ten wait in the spool
        (95, 95, 0, 0, 100, 10, 5, 0),  # five of them have arrived since, their acknowledgement has not
        (120, 120, 0, 0, 100, 10, 0, 0),  # the agent's word is old
        (120, 110, 0, 0, 100, 0, 10, 0),  # records overtook each other; they were produced after its word
        (100, 99, 0, 0, 100, 0, 0, 1),  # one is lost
        (100, 80, 0, 0, 100, 10, 10, 10),
        (100, 100, 5, 0, 100, 0, 0, -5),  # counted twice
        (100, 99, 0, 0, 0, 0, 0, 1),  # an epoch nobody told anything of has nothing in a spool
    ],
)
def test_balance(
    produced: int,
    stored: int,
    gaps: int,
    dead: int,
    told_produced: int,
    told_spooled: int,
    spooled: int,
    missing: int,
) -> None:
    line = balance(AccountRow("anna", "grid", "e", produced, stored, gaps, dead, told_produced, told_spooled))
    assert (line.spooled, line.missing, line.holds) == (spooled, missing, missing == 0)
    assert line.produced == line.stored + line.spooled + line.gaps + line.dead_lettered + line.missing
