"""Dead letters, tried again after what made them so was mended: a newer vocabulary, a clock, a device renamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg

from hearth_core.clock import Clock
from hearth_core.errors import PoisonMessageError
from hearth_hub.ingest.book import Account
from hearth_hub.ingest.columns import Gatherer, newest
from hearth_hub.ingest.records import Record
from hearth_hub.ingest.repository import Connection, books, homes, letters, readings
from hearth_hub.ingest.repository.letters import RAW_BYTES_KEPT, DeadLetter
from hearth_hub.ingest.service import Incoming, Ingest, Opened, open_message


class _StillDeadError(Exception):
    """The letter stays what it was."""


@dataclass(frozen=True)
class Outcome:
    """What became of one letter."""

    id: int
    stored: int
    """Readings that are rows now."""
    trouble: str | None
    """Why it stays a dead letter; None when it is one no longer."""


def replay(connection: Connection, clock: Clock, numbers: Iterable[int]) -> Iterator[Outcome]:
    """Try dead letters again, each in a transaction of its own, and tell what became of it.

    Args:
        connection: Database, in autocommit.
        clock: For what is from the future.
        numbers: Their ids.
    """
    for number in numbers:
        try:
            with connection.transaction():
                stored = _again(connection, clock, number)
        except (_StillDeadError, PoisonMessageError) as why:
            yield Outcome(number, 0, str(why))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            yield Outcome(number, 0, f"the database refuses it: {error}")
        else:
            yield Outcome(number, stored, None)


def _again(connection: Connection, clock: Clock, number: int) -> int:
    letter = letters.take_letter(connection, number)
    if letter is None:
        raise _StillDeadError("there is no such letter")
    opened = open_message(Incoming(f"hearth/{letter.agent}/{letter.what}", letter.raw), clock)
    if isinstance(opened.content, DeadLetter):
        cut = f" (only its first {RAW_BYTES_KEPT} bytes were kept)" if len(letter.raw) == RAW_BYTES_KEPT else ""
        raise _StillDeadError(opened.content.reason + cut)
    if isinstance(opened.content, Record) and letter.seq is not None:
        return _store_part(connection, letter, opened.content)
    return _store_whole(connection, clock, opened)


def _store_whole(connection: Connection, clock: Clock, opened: Opened) -> int:
    """Store a message nobody could read before as if it came just now; its sender may have sent it again since."""
    before = _rows_of(connection, opened.agent)
    Ingest(connection, clock).store([opened])
    return _rows_of(connection, opened.agent) - before


def _rows_of(connection: Connection, agent: str) -> int:
    """Return how many readings of a home the books call stored."""
    row = connection.execute(
        "select coalesce(sum(a.stored), 0) from account a join home h on h.id = a.home_id where h.agent = %s", [agent]
    ).fetchone()
    return int(row[0]) if row else 0


def _store_part(connection: Connection, letter: DeadLetter, record: Record) -> int:
    """Store the readings of a letter whose record is in the books already; they move from dead-lettered to stored."""
    batches = [one for one in record.batches if letter.device in (None, one.device)]
    if not batches:
        reasons = [part.reason for part in record.letters if letter.device in (None, part.device)]
        raise _StillDeadError(reasons[0] if reasons else "it holds no readings")
    home = homes.home_ids(connection, [record.agent])[record.agent]
    known = homes.device_ids(connection, [home])
    key = (home, record.epoch)
    book = books.lock_books(connection, [key], known)[key]
    if record.through > book.upto:
        raise _StillDeadError("its stream has not come that far yet; try again when the home has caught up")
    homes.create_devices(connection, [(home, one.device) for one in batches if one.device not in known[home]])
    known = homes.device_ids(connection, [home])
    gatherer = Gatherer()
    for place, one in enumerate(batches):
        gatherer.add(place, known[home][one.device], one.columns, 0, len(one.columns))
    found = readings.insert_readings(connection, gatherer.last_pieces(), gatherer)
    if found is None:
        raise _StillDeadError("it holds no readings")
    rows, is_new = found
    stored = 0
    for place, one in enumerate(batches):
        count = int(is_new[rows.owners == place].sum())
        _move(book.account(one.device), count)
        stored += count
    if stored == 0 or (letter.readings and stored != letter.readings):
        raise _StillDeadError(f"{letter.readings - stored} of its instants are taken by other readings")
    readings.keep_latest(connection, newest(rows))
    instants = rows.at_ms.tolist()
    readings.mark_stale(connection, [(home, min(instants), max(instants))])
    books.save_books(connection, {key: book}, {key: book.spans()}, known)
    return stored


def _move(account: Account, count: int) -> None:
    if count > account.dead_lettered:
        raise _StillDeadError("its readings were stored before, and have outlived their retention")
    account.dead_lettered -= count
    account.stored += count
