"""One batch of messages becomes two transactions: what agents are, then what they measured with its books."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import psycopg

from hearth_core import topics
from hearth_core.clock import Clock, now, now_ms
from hearth_core.errors import PoisonMessageError
from hearth_core.messages import Ack, Birth, Event, Forecast, Gap, Status, decode
from hearth_hub.ingest.book import Book, Position
from hearth_hub.ingest.columns import Gatherer, Rows, newest
from hearth_hub.ingest.records import Record, check_size, read_record
from hearth_hub.ingest.repository import Connection, books, homes, letters, readings
from hearth_hub.ingest.repository.books import Key
from hearth_hub.ingest.repository.letters import DeadLetter
from hearth_hub.ingest.repository.readings import Span

logger = logging.getLogger(__name__)

# Clocks differ a little; a reading from next week would be the "latest" one for a week.
_EARLY_MS = 24 * 3600 * 1000
# Spans of one home that are no further apart are taken in together.
_ONE_SPAN_MS = 3600 * 1000
CONFLICT = "conflict: another reading of that instant exists"

Other = Birth | Status | Forecast | Event
_KINDS: dict[str, type[Other]] = {
    topics.BIRTH: Birth,
    topics.STATUS: Status,
    topics.FORECAST: Forecast,
    topics.EVENT: Event,
}
Acks = dict[str, list[Ack]]
"""By agent, what it may forget."""


@dataclass(frozen=True)
class Incoming:
    """A message as it came from the broker."""

    topic: str
    payload: bytes
    mid: int = 0
    """Its packet id; 0 for QoS 0, which nobody waits for."""
    connection: int = 0
    """Which of our connections it came over; a packet id means nothing on another one."""


@dataclass(frozen=True)
class Opened:
    """A message that has been read; reading needs no database."""

    incoming: Incoming
    agent: str
    content: Record | Other | DeadLetter


def agent_of(topic: str) -> str:
    """Return who sent a message; empty when its topic is none of ours."""
    parsed = topics.parse(topic)
    return parsed[0] if parsed else ""


def open_message(incoming: Incoming, clock: Clock) -> Opened:
    """Read a message; one that cannot be read becomes a dead letter."""
    agent, what = topics.parse(incoming.topic) or ("", incoming.topic[:200])
    if not agent:
        return Opened(incoming, agent, DeadLetter("", what, "no such topic", incoming.payload))
    try:
        if what == topics.READINGS:
            return Opened(incoming, agent, read_record(agent, incoming.payload, now_ms(clock) + _EARLY_MS))
        check_size(incoming.payload)
        return Opened(incoming, agent, decode(incoming.payload, _KINDS[what]))
    except (PoisonMessageError, KeyError) as error:
        logger.info("dead letter from %s: %s", agent, error)
        return Opened(incoming, agent, DeadLetter(agent, what[:200], str(error), incoming.payload))


class Ingest:
    """Stores messages over one database connection; holds nothing that the database does not hold."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._homes: dict[str, int] = {}
        self._devices: dict[int, dict[str, int]] = {}

    def store(self, messages: Sequence[Opened]) -> Acks:
        """Store messages.

        A message that the database refuses for its content is dead-lettered; the others are stored.

        Returns:
            By agent, what may be acknowledged now that it is committed.

        Raises:
            psycopg.OperationalError: The database is gone; what is stored of this is known when it comes again.
        """
        try:
            return self._store(messages)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            self._homes.clear()
            self._devices.clear()
            if len(messages) == 1:
                return self._store([_refused(messages[0], f"the database refuses it: {error}")])
        middle = len(messages) // 2
        acks: Acks = defaultdict(list)
        for half in (messages[:middle], messages[middle:]):
            for agent, more in self.store(half).items():
                acks[agent] += more
        return acks

    def _store(self, messages: Sequence[Opened]) -> Acks:
        records = [one.content for one in messages if isinstance(one.content, Record)]
        others = [(one.agent, one.content) for one in messages if isinstance(one.content, Other)]
        refused = [one.content for one in messages if isinstance(one.content, DeadLetter)]
        self._know_homes({one.agent for one in messages if not isinstance(one.content, DeadLetter)})
        asked: set[Key] = set()
        positions: dict[Key, Position] = {}
        if others:
            with self._connection.transaction():
                asked = self._save_others(others)
                positions = books.positions(self._connection, sorted(asked))
        if records or refused:
            with self._connection.transaction():
                positions |= self._store_records(records, refused)
        acks: Acks = defaultdict(list)
        agents = {self._homes[one.agent]: one.agent for one in messages if one.agent in self._homes}
        for home, epoch in sorted(asked | positions.keys()):
            found = positions.get((home, epoch), Position())
            acks[agents[home]].append(Ack(epoch=epoch, upto=found.upto, ahead=found.ahead))
        return acks

    def _save_others(self, others: Sequence[tuple[str, Other]]) -> set[Key]:
        """Store what is no reading.

        Returns:
            The epochs that were announced: their agents wait for the acknowledgement they go on from.
        """
        births: dict[int, Birth] = {}
        statuses: dict[int, Status] = {}
        for agent, message in others:
            home = self._homes[agent]
            if isinstance(message, Birth):
                births[home] = message
            elif isinstance(message, Status):
                if home not in statuses or statuses[home].at_ms <= message.at_ms:
                    statuses[home] = message
            elif isinstance(message, Forecast):
                homes.save_forecast(self._connection, home, message)
            else:
                homes.save_event(self._connection, home, message)
        if births or statuses:
            homes.lock_homes(self._connection, births.keys() | statuses.keys())
        if births:
            homes.save_births(self._connection, births)
        if statuses:
            homes.save_statuses(self._connection, statuses)
        return {(home, birth.epoch) for home, birth in births.items()}

    def _store_records(self, records: Sequence[Record], refused: list[DeadLetter]) -> dict[Key, Position]:
        """Store what is new in the records, and the letters.

        Returns:
            How far every record's epoch has come, replays too: its sender waits for the acknowledgement that got lost.
        """
        self._know_devices(records)
        keys = {(self._homes[record.agent], record.epoch) for record in records}
        held: dict[Key, Book] = {}
        if keys:
            held = books.lock_books(self._connection, sorted(keys), self._devices)
        before = {key: book.spans() for key, book in held.items()}
        batch = _Batch(held, self._homes, self._devices, refused)
        batch.store(self._connection, records)
        with self._connection.pipeline():  # nothing below waits for an answer
            batch.tell(self._connection)
            if held:
                books.save_books(self._connection, held, before, self._devices)
            if batch.letters:
                letters.insert_letters(self._connection, now(self._clock), batch.letters)
        return {key: book.position for key, book in held.items()}

    def _know_homes(self, agents: set[str]) -> None:
        if unknown := agents - self._homes.keys():
            self._homes |= homes.home_ids(self._connection, unknown)

    def _know_devices(self, records: Sequence[Record]) -> None:
        """Know the id of every device that a record speaks of, and of every one its home's books may hold."""
        wanted = {(self._homes[record.agent], device) for record in records for device in record.counts()}
        present = {self._homes[record.agent] for record in records}
        unknown = {home for home in present if home not in self._devices}
        unknown |= {home for home, device in wanted if device not in self._devices.get(home, {})}
        if not unknown:
            return
        self._devices |= homes.device_ids(self._connection, unknown)
        if missing := [(home, device) for home, device in wanted if device not in self._devices[home]]:
            homes.create_devices(self._connection, missing)
            self._devices |= homes.device_ids(self._connection, {home for home, _ in missing})


class _Batch:
    """What the records of one transaction bring: each reading that is not here yet, once."""

    def __init__(
        self,
        held: dict[Key, Book],
        home_ids: dict[str, int],
        device_ids: dict[int, dict[str, int]],
        refused: list[DeadLetter],
    ) -> None:
        self._books, self._homes, self._devices = held, home_ids, device_ids
        self.letters = refused
        self._gaps: list[tuple[int, str, int, int, Gap]] = []
        self._gatherer = Gatherer()
        self._sources: list[tuple[Record, str]] = []
        self._newest: list[tuple[int, int]] = []
        self._spans: list[Span] = []

    def store(self, connection: Connection, records: Iterable[Record]) -> None:
        """Book records and write what of them is new; a reading whose instant is taken becomes a dead letter."""
        found = readings.insert_readings(connection, self._pieces(records), self._gatherer)
        if found is not None and not found[1].all():
            self._refuse_conflicts(*found)

    def tell(self, connection: Connection) -> None:
        """Note gaps, the newest readings, and what the roll-up has to take in."""
        if self._gaps:
            letters.insert_gaps(connection, self._gaps)
        if self._spans:
            readings.keep_latest(connection, self._newest)
            readings.mark_stale(connection, self._spans)

    def _pieces(self, records: Iterable[Record]) -> Iterator[bytes]:
        """Book one record after the other, and yield rows as soon as there are enough of them."""
        for record in records:
            self._enter(record)
            yield from self._gatherer.full_pieces()
        yield from self._gatherer.last_pieces()
        if self._sources:  # while the database takes in the last piece
            rows = self._gatherer.rows()
            self._newest, self._spans = newest(rows), self._spans_of(rows)

    def _enter(self, record: Record) -> None:
        """Book a record; what of it is new will be stored."""
        home = self._homes[record.agent]
        book = self._books[home, record.epoch]
        if book.has(record.seq, record.through):
            return
        for batch in record.batches:
            news = book.news(batch.device, len(batch.columns), batch.produced)
            for start, end in news:
                self._gatherer.add(len(self._sources), self._devices[home][batch.device], batch.columns, start, end)
                book.account(batch.device).stored += end - start
            if news:
                self._sources.append((record, batch.device))
        for gap in record.gaps:
            new = sum(end - start for start, end in book.news(gap.device, gap.count, gap.produced))
            book.account(gap.device).gaps += new
            if new or gap.count == 0:
                declared = msgspec.structs.replace(gap, count=new)
                self._gaps.append((home, record.epoch, record.seq, self._devices[home][gap.device], declared))
        for part in record.letters:
            new = 0
            if part.device and part.produced:
                new = sum(end - start for start, end in book.news(part.device, part.readings, part.produced))
                book.account(part.device).dead_lettered += new
            self.letters.append(_letter(record, part.reason, part.device, new))
        book.enter(record.seq, record.through, record.counts())

    def _refuse_conflicts(self, rows: Rows, is_new: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        sources, counts = np.unique(rows.owners[~is_new], return_counts=True)
        for source, count in zip(sources.tolist(), counts.tolist(), strict=True):
            record, device = self._sources[source]
            account = self._books[self._homes[record.agent], record.epoch].account(device)
            account.stored -= count
            account.dead_lettered += count
            self.letters.append(_letter(record, CONFLICT, device, count))

    def _spans_of(self, rows: Rows) -> list[Span]:
        """Return from when until when each home has new readings; what is far apart stays apart."""
        home_of = np.array([self._homes[record.agent] for record, _ in self._sources])[rows.owners]
        order = np.lexsort((rows.at_ms, home_of))
        home_of, at_ms = home_of[order], rows.at_ms[order]
        begins = np.append(True, (home_of[1:] != home_of[:-1]) | (at_ms[1:] - at_ms[:-1] > _ONE_SPAN_MS))
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(order)) - 1
        return list(zip(home_of[first].tolist(), at_ms[first].tolist(), at_ms[last].tolist(), strict=True))


def _refused(message: Opened, reason: str) -> Opened:
    """Return a message of which nothing can be stored, but whose record, if it is one, counts as here."""
    if isinstance(message.content, Record):
        message.content.refuse(reason)
        return message
    what = message.incoming.topic.rpartition("/")[2][:200]
    return Opened(message.incoming, message.agent, DeadLetter(message.agent, what, reason, message.incoming.payload))


def _letter(record: Record, reason: str, device: str | None, count: int) -> DeadLetter:
    return DeadLetter(record.agent, topics.READINGS, reason, record.raw, record.epoch, record.seq, device, count)
