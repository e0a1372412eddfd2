"""What goes when the file is large or old: acknowledged records first, others only behind a declared gap."""

from __future__ import annotations

from itertools import islice, takewhile

from hearth_agent.spool.gaps import gaps_between, starts_ms
from hearth_agent.spool.records import SpoolRecord
from hearth_agent.spool.table import Head, RecordTable

_PRUNE_ROWS = 720
_ROOM_AFTER = 0.95


def prune(table: RecordTable, acked: int, old_ms: int) -> None:
    """Let go of acknowledged records that were flushed before ``old_ms``."""
    heads = islice(table.heads(), _PRUNE_ROWS)
    old = list(takewhile(lambda head: head.through <= acked and head.at_ms < old_ms, heads))
    if old:
        table.delete_through(old[-1].seq)


def make_room(table: RecordTable, acked: int, cap_bytes: int, at_ms: int) -> int:
    """Bring a file that is over its cap a little below it; the newest record always stays.

    Returns:
        Unacknowledged readings that were dropped and declared.
    """
    dropped = 0
    if table.used_bytes() <= cap_bytes:
        return dropped
    target = int(cap_bytes * _ROOM_AFTER)
    while (used := table.used_bytes()) > target:
        count = table.count()
        wanted = max(2, int(count * (1 - target / used)) + 1)
        if wanted >= count:
            break
        heads = list(islice(table.heads(), wanted))
        done = [head.seq for head in heads if head.through <= acked]
        if done:
            table.delete_through(done[-1])
        else:
            dropped += _replace_by_gap(table, heads, acked, at_ms)
    return dropped


def _replace_by_gap(table: RecordTable, heads: list[Head], acked: int, at_ms: int) -> int:
    first, last = heads[0], heads[-1]
    oldest = next(table.read(first.seq, 1))
    base, counts = table.counts_at(max(first.seq - 1, acked)), table.counts_at(last.seq)
    table.delete_through(last.seq)
    table.drop_mark(last.through)
    gaps = gaps_between(base, counts, "the spool reached its size cap", starts_ms(oldest), last.at_ms + 1)
    start = max(first.seq, acked + 1)
    table.insert(SpoolRecord(start, last.through, at_ms, counts, {}, gaps), acked)
    return sum(gap.count for gap in gaps) - sum(gap.count for gap in oldest.gaps)
