"""SQL of dead letters and declared gaps: what can never be stored, and what never came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hearth_core.messages import Gap
from hearth_hub.ingest.repository import Connection, Given
from hearth_hub.timing import instant

# 4,096 letters of at most 64 KiB are 256 MiB at the very worst
DEAD_LETTERS_KEPT = 4096
RAW_BYTES_KEPT = 64 * 1024
_EVENT_TEXT = "something it sent could not be stored; it is kept among the dead letters with the reason"
_TOLD = Given(agent="text", device="text")


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


@dataclass(frozen=True)
class KeptLetter:
    """A dead letter as it is kept."""

    id: int
    at: datetime
    letter: DeadLetter


_LETTER = "agent, what, reason, raw, epoch, seq, device, readings"


def list_letters(connection: Connection, home: str | None, most: int) -> list[KeptLetter]:
    """Return the newest dead letters, of one home or of all, the oldest of them first."""
    rows = connection.execute(
        f"select id, at, {_LETTER} from dead_letter where %(home)s::text is null or agent = %(home)s"  # noqa: S608
        " order by id desc limit %(most)s",
        {"home": home, "most": most},
    ).fetchall()
    return [KeptLetter(number, at, DeadLetter(*rest)) for number, at, *rest in reversed(rows)]


def take_letter(connection: Connection, number: int) -> DeadLetter | None:
    """Delete a letter and return it; None when it has gone meanwhile."""
    row = connection.execute(
        f"delete from dead_letter where id = %s returning {_LETTER}",  # noqa: S608
        [number],
    ).fetchone()
    return None if row is None else DeadLetter(*row)


def insert_letters(connection: Connection, at: datetime, letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters, the newest ones, and tell each home once an hour that there are some."""
    connection.execute(
        "insert into event (home_id, at, level, kind, device, text)"  # noqa: S608
        " select distinct h.id, date_trunc('hour', %s::timestamptz), 'warning', 'dead_letter', k.device, %s"
        f" from {_TOLD.table} join home h on h.agent = k.agent on conflict do nothing",
        [at, _EVENT_TEXT, _TOLD.text((one.agent, one.device) for one in letters)],
    )
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
