"""What is missing, said in gaps (pure functions)."""

from __future__ import annotations

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


def cut_off(last: SpoolRecord, opened_ms: int, now_ms: int, flush_ms: int, *, log_lost: bool) -> list[Gap]:
    """Declare, for every device, what a run that was cut off may have measured and not written.

    Args:
        last: The last record of that run.
        opened_ms: When it began.
        now_ms: When the next run began.
        flush_ms: The longest time between two flushes: it was cut off at most two of them after the last one.
        log_lost: The write-ahead log is gone, so nobody knows how many flushes went with it.
    """
    begun_ms = max(last.at_ms, opened_ms)
    end_ms = begun_ms + 2 * flush_ms
    until_ms = now_ms if log_lost or begun_ms <= now_ms < end_ms else end_ms
    reason = "the agent was cut off; what it measured after its last flush was not written"
    if log_lost:
        reason = "the agent was cut off and the spool's write-ahead log is gone"
    gaps = []
    for device, count in last.counts.items():
        stored = last.batches.get(device)
        from_ms = max(stored.at_ms) if stored and opened_ms <= last.at_ms else begun_ms
        ordered = from_ms <= until_ms  # else the clock was set meanwhile
        gaps.append(
            Gap(
                device=device,
                count=0,
                produced=count,
                reason=reason,
                from_ms=from_ms if ordered else None,
                until_ms=until_ms if ordered else None,
            )
        )
    return gaps


def starts_ms(record: SpoolRecord) -> int | None:
    """Return the first instant a record tells of."""
    told = [at for columns in record.batches.values() for at in columns.at_ms]
    told += [gap.from_ms for gap in record.gaps if gap.from_ms is not None]
    return min(told, default=None)
