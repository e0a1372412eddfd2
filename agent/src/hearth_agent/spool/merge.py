"""Records become messages: one alone, or several that follow each other as one (pure functions).

The hub numbers the rows of a message by the running count: row i of a batch with n rows is reading
``produced - n + 1 + i`` of its device. That holds for any cut as long as nothing is missing inside a message, hence
a record with gaps travels alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hearth_agent.spool.records import Columns, SpoolRecord
from hearth_core.messages import DeviceBatch, Readings, encode

MAX_BYTES = 64 * 1024
MAX_ROWS = 500


class Record(NamedTuple):
    """A message as it goes on the wire; it covers ``seq..through``."""

    seq: int
    through: int
    payload: bytes


def message(epoch: str, records: Sequence[SpoolRecord], max_bytes: int = MAX_BYTES) -> Record:
    """Make one message of as many leading records as ``max_bytes`` allows; one alone may be larger."""
    count = len(records)
    while True:
        readings = make(epoch, records[:count])
        payload = encode(readings)
        if len(payload) <= max_bytes or count == 1:
            return Record(readings.seq, readings.last_seq, payload)
        count = max(1, min(count - 1, int(count * 0.95 * max_bytes / len(payload))))


def mergeable(records: Iterable[SpoolRecord]) -> list[SpoolRecord]:
    """Return the leading records that may share a message: at least one, and nothing beside a gap."""
    chosen: list[SpoolRecord] = []
    rows = 0
    for record in records:
        rows += record.rows
        if chosen and (rows > MAX_ROWS or record.gaps):
            break
        chosen.append(record)
        if record.gaps:
            break
    return chosen


def make(epoch: str, records: Sequence[SpoolRecord]) -> Readings:
    """Make the message of consecutive records."""
    first, last = records[0], records[-1]
    batches = [
        DeviceBatch(device=device, at_ms=at_ms, points=points, produced=last.counts[device])
        for device, (at_ms, points) in _merged(records).items()
    ]
    through = last.through if last.through > first.seq else None
    return Readings(epoch=epoch, seq=first.seq, through=through, batches=batches, gaps=first.gaps)


def _merged(records: Sequence[SpoolRecord]) -> dict[str, Columns]:
    if len(records) == 1:
        return records[0].batches
    whole: dict[str, Columns] = {}
    for record in records:
        for device, (at_ms, points) in record.batches.items():
            instants, columns = whole.setdefault(device, Columns([], {}))
            for name, values in points.items():
                columns.setdefault(name, [None] * len(instants)).extend(values)
            instants.extend(at_ms)
            for name in columns.keys() - points.keys():
                columns[name].extend([None] * len(at_ms))
    return whole
