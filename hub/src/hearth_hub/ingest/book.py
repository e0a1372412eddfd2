"""The book of one epoch: which records are safe, and where every produced reading went. Pure, no database.

For each device ``produced = stored + gaps + dead_lettered + not yet here``. Records may come twice, out of order,
and as a gap that overlaps what had been stored before its acknowledgement was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Count:
    """What one record says of one device."""

    readings: int
    produced: int
    """Running count of the device in this epoch, up to and including this record."""
    is_gap: bool = False


@dataclass
class Account:
    """Where the readings of one device and epoch went."""

    produced: int = 0
    settled: int = 0
    """Running count at the watermark."""
    stored: int = 0
    gaps: int = 0
    dead_lettered: int = 0


@dataclass(frozen=True)
class Pending:
    """A record above the watermark."""

    seq: int
    through: int
    counts: Mapping[str, Count]


@dataclass
class Book:
    """Watermark, records above it, and accounts of one home and epoch."""

    upto: int = 0
    pending: dict[int, Pending] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)

    def has(self, seq: int, through: int) -> bool:
        """Tell whether every record of ``seq..through`` is safe already."""
        return through <= self.upto or any(
            item.seq <= seq and through <= item.through for item in self.pending.values()
        )

    def enter(self, seq: int, through: int, counts: Mapping[str, Count], stored: Mapping[str, int]) -> None:
        """Note a record that is not here yet.

        Args:
            seq: Its first sequence number.
            through: Its last one.
            counts: What it says of each device.
            stored: How many of its readings became new rows, by device; the rest of a batch is dead-lettered.
        """
        inside = [item for item in self.pending.values() if seq <= item.seq and item.through <= through]
        for device, count in counts.items():
            account = self.accounts.setdefault(device, Account())
            account.produced = max(account.produced, count.produced)
            if count.is_gap:
                # records the agent dropped though we had them: they are no gap
                had = sum(item.counts[device].readings for item in inside if device in item.counts)
                account.gaps += max(0, count.readings - had)
            else:
                here = stored.get(device, 0)
                account.stored += here
                account.dead_lettered += count.readings - here
        for item in inside:
            del self.pending[item.seq]
        self.pending[seq] = Pending(seq, through, counts)
        self._advance()

    def _advance(self) -> None:
        """Move the watermark over every record that now follows without a hole."""
        while self.pending and (first := self.pending[min(self.pending)]).seq <= self.upto + 1:
            del self.pending[first.seq]
            if first.through > self.upto:
                self._settle(first.counts)
                self.upto = first.through

    def _settle(self, counts: Mapping[str, Count]) -> None:
        for device, count in counts.items():
            account = self.accounts.setdefault(device, Account())
            unseen = count.produced - count.readings - account.settled
            if unseen > 0:
                # they were in records so broken that nobody could count them; the running count tells now
                account.dead_lettered += unseen
            elif count.is_gap:
                account.gaps -= min(-unseen, account.gaps)  # the part below the watermark was stored before
            account.settled = max(account.settled, count.produced)
