"""From single readings to the columnar record of one flush."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hearth_agent.devices.snapshot import Measured
from hearth_core.messages import DeviceBatch, Gap, Readings

_DECIMALS = 3
_MOST_READINGS = 2000


class Columns(NamedTuple):
    """Readings of one device: instants, and one column a point."""

    at_ms: list[int]
    points: dict[str, list[float | None]]


class Collector:
    """Gathers readings between two flushes; bounded, and what it has to drop is counted."""

    def __init__(self) -> None:
        self._readings: dict[str, list[tuple[int, Mapping[str, float]]]] = {}
        self._dropped: dict[str, int] = {}

    def add(self, device: str, at_ms: int, measured: Measured) -> None:
        """Take one reading. The same instant twice would be one row for the hub, so the second moves by 1 ms."""
        readings = self._readings.setdefault(device, [])
        if readings and at_ms <= readings[-1][0] and readings[-1][0] - at_ms < 1000:
            at_ms = readings[-1][0] + 1
        readings.append((max(0, at_ms), measured.values))
        if len(readings) > _MOST_READINGS:
            del readings[0]
            self._dropped[device] = self._dropped.get(device, 0) + 1

    def take(self) -> tuple[dict[str, Columns], dict[str, int]]:
        """Return everything gathered and what was dropped, and start anew."""
        readings, self._readings = self._readings, {}
        dropped, self._dropped = self._dropped, {}
        return {device: _columns(rows) for device, rows in readings.items()}, dropped

    def put_back(self, columns: Mapping[str, Columns], dropped: Mapping[str, int]) -> None:
        """Take back what could not be written to the disk, before what came meanwhile."""
        for device, count in dropped.items():
            self._dropped[device] = self._dropped.get(device, 0) + count
        for device, (at_ms, points) in columns.items():
            old = [
                (at, {name: value for name, column in points.items() if (value := column[i]) is not None})
                for i, at in enumerate(at_ms)
            ]
            rows: list[tuple[int, Mapping[str, float]]] = [*old, *self._readings.get(device, [])]
            excess = max(0, len(rows) - _MOST_READINGS)
            self._readings[device] = rows[excess:]
            if excess:
                self._dropped[device] = self._dropped.get(device, 0) + excess


def _columns(rows: list[tuple[int, Mapping[str, float]]]) -> Columns:
    names = dict.fromkeys(name for _, values in rows for name in values)
    points = {name: [_rounded(values.get(name)) for _, values in rows] for name in names}
    return Columns([at_ms for at_ms, _ in rows], points)


def _rounded(value: float | None) -> float | None:
    # a float32 register carries 7 digits: more decimals would only be noise on the wire
    return None if value is None else round(value, _DECIMALS)


def build_record(
    epoch: str, seq: int, columns: Mapping[str, Columns], dropped: Mapping[str, int], produced: Mapping[str, int]
) -> tuple[Readings, dict[str, int]]:
    """Make the record of one flush.

    Args:
        epoch: The spool's epoch.
        seq: The record's sequence number.
        columns: Readings by device.
        dropped: Readings by device that were lost before they could be written.
        produced: Running count by device before this record.

    Returns:
        The record, and the running counts after it.
    """
    counts = dict(produced)
    gaps = []
    for device, count in dropped.items():
        counts[device] = counts.get(device, 0) + count
        gaps.append(Gap(device=device, count=count, produced=counts[device], reason="the spool could not be written"))
    batches = []
    for device, (at_ms, points) in columns.items():
        counts[device] = counts.get(device, 0) + len(at_ms)
        batches.append(DeviceBatch(device=device, at_ms=at_ms, points=points, produced=counts[device]))
    return Readings(epoch=epoch, seq=seq, batches=batches, gaps=gaps), counts
