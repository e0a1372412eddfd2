"""From single readings to the columnar record of one flush."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from hearth_agent.devices.snapshot import Measured
from hearth_core.messages import Gap

Counts = dict[str, int]

_DECIMALS = 3
_MOST_READINGS = 2000
MOST_ROWS = 200
"""Readings in one record: a record travels whole, and a message should stay below 64 KiB."""


class Columns(NamedTuple):
    """Readings of one device: instants, and one column a point."""

    at_ms: list[int]
    points: dict[str, list[float | None]]


class Lost(NamedTuple):
    """Readings of one device that had to go before they could be written, from the first to the last instant."""

    readings: int
    from_ms: int | None = None
    until_ms: int | None = None
    reason: str = "the spool could not be written"

    def and_then(self, later: Lost) -> Lost:
        """Return both losses as one."""
        return Lost(
            self.readings + later.readings,
            self.from_ms if self.from_ms is not None else later.from_ms,
            later.until_ms if later.until_ms is not None else self.until_ms,
            later.reason,
        )


class SpoolRecord(NamedTuple):
    """One record of the spool; it covers ``seq..through``."""

    seq: int
    through: int
    at_ms: int
    """When it was flushed."""
    counts: Counts
    """Running count by device, this record included."""
    batches: dict[str, Columns]
    gaps: list[Gap]

    @property
    def rows(self) -> int:
        """How many readings it holds."""
        return sum(len(columns.at_ms) for columns in self.batches.values())

    @property
    def own(self) -> Counts:
        """What it adds to the running counts."""
        own = {device: len(columns.at_ms) for device, columns in self.batches.items()}
        for gap in self.gaps:
            own[gap.device] = own.get(gap.device, 0) + gap.count
        return own

    @property
    def base(self) -> Counts:
        """Running count by device before it."""
        own = self.own
        return {device: count - own.get(device, 0) for device, count in self.counts.items()}


class Collector:
    """Gathers readings between two flushes; bounded, and what it has to drop is counted."""

    def __init__(self) -> None:
        self._readings: dict[str, list[tuple[int, Mapping[str, float]]]] = {}
        self._lost: dict[str, Lost] = {}

    def add(self, device: str, at_ms: int, measured: Measured) -> None:
        """Take one reading. The same instant twice would be one row for the hub, so the second moves by 1 ms."""
        readings = self._readings.setdefault(device, [])
        if readings and at_ms <= readings[-1][0] and readings[-1][0] - at_ms < 1000:
            at_ms = readings[-1][0] + 1
        readings.append((max(0, at_ms), measured.values))
        self._bound(device)

    def _bound(self, device: str) -> None:
        readings = self._readings[device]
        excess = len(readings) - _MOST_READINGS
        if excess > 0:
            lost = Lost(excess, readings[0][0], readings[excess - 1][0] + 1)
            self._lost[device] = self._lost.get(device, Lost(0)).and_then(lost)
            del readings[:excess]

    def take(self) -> tuple[dict[str, Columns], dict[str, Lost]]:
        """Return the oldest readings, as many as one record may hold, and everything that was dropped."""
        share = max(1, MOST_ROWS // max(1, len(self._readings)))
        taken = {device: rows[:share] for device, rows in self._readings.items()}
        self._readings = {device: rest for device, rows in self._readings.items() if (rest := rows[share:])}
        lost, self._lost = self._lost, {}
        return {device: _columns(rows) for device, rows in taken.items()}, lost

    def put_back(self, columns: Mapping[str, Columns], lost: Mapping[str, Lost]) -> None:
        """Take back what could not be written to the disk, before what came meanwhile."""
        for device, loss in lost.items():
            self._lost[device] = loss.and_then(self._lost.get(device, Lost(0)))
        for device, (at_ms, points) in columns.items():
            old: list[tuple[int, Mapping[str, float]]] = [
                (at, {name: value for name, column in points.items() if (value := column[i]) is not None})
                for i, at in enumerate(at_ms)
            ]
            self._readings[device] = [*old, *self._readings.get(device, [])]
            self._bound(device)

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._readings or self._lost)


def _columns(rows: list[tuple[int, Mapping[str, float]]]) -> Columns:
    names = dict.fromkeys(name for _, values in rows for name in values)
    points = {name: [_rounded(values.get(name)) for _, values in rows] for name in names}
    return Columns([at_ms for at_ms, _ in rows], points)


def _rounded(value: float | None) -> float | None:
    # a float32 register carries 7 digits: more decimals would only be noise on the wire
    return None if value is None else round(value, _DECIMALS)


def build_record(
    seq: int,
    at_ms: int,
    columns: Mapping[str, Columns],
    lost: Mapping[str, Lost],
    holes: Sequence[Gap],
    produced: Mapping[str, int],
) -> SpoolRecord:
    """Make the record of one flush.

    Args:
        seq: The record's sequence number.
        at_ms: The instant of the flush.
        columns: Readings by device.
        lost: Readings by device that were lost before they could be written.
        holes: Gaps that were found before this flush; they count nothing.
        produced: Running count by device before this record.
    """
    counts = dict(produced)
    gaps = [msgspec.structs.replace(hole, produced=counts.get(hole.device, 0)) for hole in holes]
    for device, (count, from_ms, until_ms, reason) in lost.items():
        counts[device] = counts.get(device, 0) + count
        gaps.append(
            Gap(
                device=device,
                count=count,
                produced=counts[device],
                reason=reason,
                from_ms=from_ms,
                until_ms=until_ms,
            )
        )
    for device, (instants, _) in columns.items():
        counts[device] = counts.get(device, 0) + len(instants)
    return SpoolRecord(seq, seq, at_ms, counts, dict(columns), gaps)
