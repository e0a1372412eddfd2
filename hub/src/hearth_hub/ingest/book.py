"""The book of one epoch: which records are safe, and where every produced reading went. Pure, no database.

The readings of a device are numbered from 1 in each epoch: a part of a record that says ``readings`` and ``produced``
holds the numbers ``produced - readings + 1 .. produced``. For each device
``produced = stored + gaps + dead_lettered + not yet here``. Records may come twice, out of order, merged otherwise than
the last time, and as a gap that overlaps what had been stored before its acknowledgement was lost; the numbers tell
what of them is new.
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


@dataclass
class Account:
    """Where the readings of one device and epoch went."""

    produced: int = 0
    settled: int = 0
    """Running count at the watermark: every number up to it has its place."""
    stored: int = 0
    gaps: int = 0
    dead_lettered: int = 0


@dataclass(frozen=True)
class Pending:
    """A record above the watermark."""

    seq: int
    through: int
    counts: Mapping[str, Count]


@dataclass(frozen=True)
class Position:
    """How far an epoch has come."""

    upto: int = 0
    """Every record up to it is safe."""
    ahead: int = 0
    """The highest record that was seen at all."""


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

    @property
    def position(self) -> Position:
        """How far the epoch has come."""
        return Position(self.upto, max([self.upto, *(item.through for item in self.pending.values())]))

    def spans(self) -> set[tuple[int, int]]:
        """Return first and last sequence number of every record above the watermark."""
        return {(item.seq, item.through) for item in self.pending.values()}

    def account(self, device: str) -> Account:
        """Return the account of a device, opened when it is new."""
        return self.accounts.setdefault(device, Account())

    def news(self, device: str, readings: int, produced: int) -> list[tuple[int, int]]:
        """Return which readings of a part are not here yet, as slices ``[start, end)`` of its rows in order."""
        first = produced - readings
        spans = [(max(first, self.account(device).settled), produced)]
        for item in self.pending.values():
            if count := item.counts.get(device):
                spans = _without(spans, count.produced - count.readings, count.produced)
        return [(start - first, end - first) for start, end in spans if start < end]

    def enter(self, seq: int, through: int, counts: Mapping[str, Count]) -> None:
        """Note that a record is here; its readings have been booked with `account`.

        Args:
            seq: Its first sequence number.
            through: Its last one.
            counts: What it says of each device.
        """
        for device, count in counts.items():
            account = self.account(device)
            account.produced = max(account.produced, count.produced)
        for start in [item.seq for item in self.pending.values() if seq <= item.seq and item.through <= through]:
            del self.pending[start]
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
            account = self.account(device)
            unseen = count.produced - count.readings - account.settled
            if unseen > 0:
                # they were in records so broken that nobody could count them; the running count tells now
                account.dead_lettered += unseen
            account.settled = max(account.settled, count.produced)


def _without(spans: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Cut ``(start, end]`` out of spans of numbers."""
    left: list[tuple[int, int]] = []
    for low, high in spans:
        if end <= low or high <= start:
            left.append((low, high))
            continue
        if low < start:
            left.append((low, start))
        if end < high:
            left.append((end, high))
    return left
