"""Was anything lost or stored twice? Answered from three sources that do not know of each other.

The witnesses know which numbers the agent received, the spool file which ones it committed, the table which ones are
stored. The hub's own accounts are asked as well, but never instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.faults.asking import Gap, Stored, read_stored
from tests.faults.home import Home

__all__ = ["Stored", "Verdict", "judge", "read_stored"]

_TOLERANCE_S = 0.5
_COUNTS = ("produced", "committed", "stored", "spooled", "gaps", "dead", "dup", "lost", "undeclared", "holes")


@dataclass
class Verdict:
    """One home, or several added up."""

    produced: int = 0
    """Readings the agents have surely received: confirmed or committed."""
    committed: int = 0
    stored: int = 0
    spooled: int = 0
    """Not stored, and still about to be sent."""
    gaps: int = 0
    """Readings in gaps with a count."""
    dead: int = 0
    dup: int = 0
    lost: int = 0
    """Committed, not stored and not about to be sent; or received, not committed and not excused by a kill."""
    undeclared: int = 0
    """Excused by a kill, but in no declared gap."""
    holes: int = 0
    """Excused by a kill and declared."""
    worst_hole_s: float = 0.0
    """The most readings a kill cost a device, times the poll interval."""
    reconciled: bool = True
    notes: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        """Add another home."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst_hole_s = max(self.worst_hole_s, other.worst_hole_s)
        self.reconciled &= other.reconciled
        self.notes += other.notes

    @property
    def whole(self) -> bool:
        """Nothing lost, nothing twice, nothing left over, and the hub's accounts agree."""
        return self.lost == self.dup == self.spooled == self.dead == 0 and self.reconciled


def judge(home: Home, stored: Stored) -> Verdict:
    """Compare witnesses, spool snapshots and rows of one home."""
    verdict = Verdict(stored=stored.rows, dead=stored.dead)
    verdict.gaps = sum(gap[3] for gap in stored.gaps)
    outages = home.outages()
    if stored.unreadable:
        verdict.notes.append(f"{home.name}: {stored.unreadable} rows without a number")
    for device, witness in home.witnesses.items():
        here = stored.numbers.get(device, Counter())
        committed = set().union(*(one.numbers.get(device, set()) for one in home.snapshots))
        verdict.produced += len(witness.confirmed | committed)
        verdict.committed += len(committed)
        verdict.dup += sum(count - 1 for count in here.values())
        waiting = home.snapshots[-1].waiting.get(device, set()) - here.keys() if home.snapshots else set()
        verdict.spooled += len(waiting)
        lost = committed - here.keys() - waiting
        invented = here.keys() - set(range(1, witness.last + 1))
        if invented:
            verdict.notes.append(f"{home.name}/{device}: rows nobody measured: {_few(invented)}")
            verdict.dup += len(invented)
        gaps = [gap for gap in stored.gaps if gap[0] == device]
        cost: Counter[float] = Counter()
        for number in set(range(1, witness.last + 1)) - here.keys() - committed:
            at_s = witness.answered_s[number - 1]
            outage = next((one for one in outages if one[0] <= at_s <= one[1]), None)
            if outage is None:
                if number in witness.confirmed:
                    lost.add(number)
                continue
            cost[outage[0]] += 1
            if _declared(at_s, gaps):
                verdict.holes += 1
            else:
                verdict.undeclared += 1
        verdict.worst_hole_s = max([verdict.worst_hole_s, *(count * home.poll_s for count in cost.values())])
        if lost:
            verdict.notes.append(f"{home.name}/{device}: lost {_few(lost)}")
            verdict.lost += len(lost)
    return verdict


def _declared(at_s: float, gaps: Iterable[Gap]) -> bool:
    return any(
        (start is None or start.timestamp() - _TOLERANCE_S <= at_s)
        and (end is None or at_s <= end.timestamp() + _TOLERANCE_S)
        for _, start, end, _ in gaps
    )


def _few(numbers: Iterable[int]) -> str:
    first = sorted(numbers)
    more = f" and {len(first) - 8} more" if len(first) > 8 else ""
    return ", ".join(map(str, first[:8])) + more
