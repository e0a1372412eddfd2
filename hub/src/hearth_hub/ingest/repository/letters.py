"""SQL of dead letters and declared gaps: what can never be stored, and what never came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hearth_core.messages import Gap
from hearth_hub.ingest.repository import Connection
from hearth_hub.timing import instant

# 4,096 letters of at most 64 KiB are 256 MiB at the very worst
DEAD_LETTERS_KEPT = 4096
RAW_BYTES_KEPT = 64 * 1024


@dataclass(frozen=True)
class DeadLetter:
    """What is kept of a message, or a part of one, that can never be stored."""

    agent: str
    what: str
    reason: str
    raw: bytes
    epoch: str | None = None
    seq: int | None = None
    device: str | None = None
    readings: int = 0


def insert_letters(connection: Connection, at: datetime, letters: Iterable[DeadLetter]) -> None:
    """Keep dead letters, the newest ones."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into dead_letter (at, agent, what, epoch, seq, device, readings, reason, raw)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    at,
                    one.agent,
                    one.what,
                    one.epoch,
                    one.seq,
                    one.device,
                    one.readings,
                    one.reason[:500].replace("\0", ""),
                    one.raw[:RAW_BYTES_KEPT],
                )
                for one in letters
            ],
        )
    connection.execute(
        "delete from dead_letter where id <= (select max(id) from dead_letter) - %s", [DEAD_LETTERS_KEPT]
    )


def insert_gaps(connection: Connection, gaps: Sequence[tuple[int, str, int, int, Gap]]) -> None:
    """Keep declared gaps.

    Args:
        connection: The open transaction.
        gaps: Home, epoch, first record, device id and the gap, whose count is what of it was not here before.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into gap (home_id, epoch, seq, device_id, readings, from_at, until_at, reason)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    home,
                    epoch,
                    seq,
                    device,
                    gap.count,
                    None if gap.from_ms is None else instant(gap.from_ms),
                    None if gap.until_ms is None else instant(gap.until_ms),
                    gap.reason[:500].replace("\0", ""),
                )
                for home, epoch, seq, device, gap in gaps
            ],
        )
