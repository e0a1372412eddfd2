"""What is missing, said in gaps (pure functions)."""

from __future__ import annotations

from collections.abc import Iterable

from hearth_agent.spool.records import Counts, SpoolRecord
from hearth_core.messages import Gap


def gaps_between(base: Counts, counts: Counts, reason: str, from_ms: int | None, until_ms: int | None) -> list[Gap]:
    """Declare what lies between two running counts; instants that contradict each other are left out."""
    if from_ms is not None and until_ms is not None and from_ms > until_ms:
        from_ms = until_ms = None  # the clock was set in between
    return [
        Gap(
            device=device,
            count=count - base.get(device, 0),
            produced=count,
            reason=reason,
            from_ms=from_ms,
            until_ms=until_ms,
        )
        for device, count in counts.items()
        if count > base.get(device, 0)
    ]


def cut_off(
    newest_first: Iterable[SpoolRecord], devices: Iterable[str], opened_ms: int, now_ms: int, reason: str
) -> list[Gap]:
    """Declare, for every device, what a run that was cut off may have measured and is not in the file.

    Args:
        newest_first: The newest records there are, newest first.
        devices: Of what a hole is declared, whether or not a record tells of it.
        opened_ms: When that run began: the start of the hole if there is no record at all.
        now_ms: When the next run begins: the end of the hole.
        reason: Why, for a person.
    """
    told: dict[str, int | None] = dict.fromkeys(devices)
    earliest_ms = opened_ms
    for record in newest_first:
        earliest_ms = record.at_ms
        for device in record.counts:
            if told.get(device) is None:
                told[device] = _ends_ms(record, device)
        if None not in told.values():
            break
    gaps = []
    for device, last_ms in told.items():
        from_ms = earliest_ms if last_ms is None else last_ms
        ordered = from_ms <= now_ms  # else the clock was set meanwhile
        times = (from_ms, now_ms) if ordered else (None, None)
        gaps.append(Gap(device=device, count=0, produced=0, reason=reason, from_ms=times[0], until_ms=times[1]))
    return gaps


def _ends_ms(record: SpoolRecord, device: str) -> int | None:
    """Return the last instant that a record tells of a device: a reading's, or the end of a gap."""
    columns = record.batches.get(device)
    told = list(columns.at_ms) if columns else []
    told += [gap.until_ms for gap in record.gaps if gap.device == device and gap.until_ms is not None]
    return max(told, default=None)


def starts_ms(record: SpoolRecord) -> int | None:
    """Return the first instant a record tells of."""
    told = [at for columns in record.batches.values() for at in columns.at_ms]
    told += [gap.from_ms for gap in record.gaps if gap.from_ms is not None]
    return min(told, default=None)
