"""One batch of messages, one transaction: dropped replays, stored readings, dead letters, watermarks."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.types.json import Jsonb

from hearth_core import topics
from hearth_core.clock import Clock, now, now_ms
from hearth_core.errors import PoisonMessageError
from hearth_core.messages import Ack, Birth, DeviceBatch, Event, Forecast, Status, decode
from hearth_core.points import POINTS, Point, PointClass
from hearth_hub.ingest import repository
from hearth_hub.ingest.book import Book
from hearth_hub.ingest.records import Record, read_record
from hearth_hub.ingest.repository import Connection, DeadLetter, Row
from hearth_hub.timing import instant

logger = logging.getLogger(__name__)

# Clocks differ a little; a reading from next week would be the "latest" one for a week.
_EARLY_MS = 24 * 3600 * 1000
_KINDS: dict[str, type[Birth | Status | Forecast | Event]] = {
    topics.BIRTH: Birth,
    topics.STATUS: Status,
    topics.FORECAST: Forecast,
    topics.EVENT: Event,
}


@dataclass(frozen=True)
class Incoming:
    """A message as it came from the broker."""

    topic: str
    payload: bytes
    mid: int = 0
    connection: int = 0
    """Which of our connections it came over; a packet id means nothing on another one."""


@dataclass
class _Work:
    """What one transaction has to do."""

    records: list[Record] = field(default_factory=list)
    others: list[tuple[str, Birth | Status | Forecast | Event]] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)


class Ingest:
    """Stores messages over one database connection; holds nothing that the database does not hold."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._homes: dict[str, int] = {}
        self._devices: dict[int, dict[str, int]] = {}

    def store(self, messages: Sequence[Incoming]) -> dict[str, list[Ack]]:
        """Store messages in one transaction.

        A message that the database refuses for its content is dead-lettered; the others are stored.

        Returns:
            By agent, what may be acknowledged now that it is committed.

        Raises:
            psycopg.OperationalError: The database is gone; nothing of this is stored.
        """
        try:
            return self._store(messages)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            self._homes.clear()
            self._devices.clear()
            if len(messages) == 1:
                return self._refuse(messages[0], f"the database refuses it: {error}")
        acks: dict[str, list[Ack]] = defaultdict(list)
        for message in messages:
            for agent, more in self.store([message]).items():
                acks[agent] += more
        return acks

    def _store(self, messages: Sequence[Incoming]) -> dict[str, list[Ack]]:
        work = self._read(messages)
        touched: set[tuple[str, str]] = set()
        with self._connection.transaction():
            for agent, message in work.others:
                self._save(agent, message)
                if isinstance(message, Birth):
                    touched.add((agent, message.epoch))
            touched |= self._store_records(work)
            if work.letters:
                repository.insert_letters(self._connection, now(self._clock), work.letters)
            acks: dict[str, list[Ack]] = defaultdict(list)
            for agent, epoch in sorted(touched):
                upto = repository.watermark(self._connection, self._home(agent), epoch)
                acks[agent].append(Ack(epoch=epoch, upto=upto))
        return acks

    def _refuse(self, message: Incoming, reason: str) -> dict[str, list[Ack]]:
        """Dead-letter one message, and acknowledge its record when it can be told which one it was."""
        agent, what = topics.parse(message.topic) or ("", message.topic)
        work = _Work(letters=[DeadLetter(agent, what, reason, message.payload)])
        if what == topics.READINGS and agent:
            record = read_record(agent, message.payload, 0)
            record.batches, record.gaps, record.letters = [], [], []
            work.records.append(record)
        with self._connection.transaction():
            touched = self._store_records(work)
            repository.insert_letters(self._connection, now(self._clock), work.letters)
            return {
                name: [Ack(epoch=epoch, upto=repository.watermark(self._connection, self._home(name), epoch))]
                for name, epoch in touched
            }

    def _read(self, messages: Iterable[Incoming]) -> _Work:
        work = _Work()
        latest_ms = now_ms(self._clock) + _EARLY_MS
        for message in messages:
            parsed = topics.parse(message.topic)
            if parsed is None:
                work.letters.append(DeadLetter("", message.topic[:200], "no such topic", message.payload))
                continue
            agent, what = parsed
            try:
                if what == topics.READINGS:
                    work.records.append(read_record(agent, message.payload, latest_ms))
                else:
                    work.others.append((agent, decode(message.payload, _KINDS[what])))
            except (PoisonMessageError, KeyError) as error:
                logger.warning("dead letter from %s: %s", agent, error)
                work.letters.append(DeadLetter(agent, what[:200], str(error), message.payload))
        return work

    def _save(self, agent: str, message: Birth | Status | Forecast | Event) -> None:
        home = self._home(agent)
        if isinstance(message, Birth):
            repository.save_birth(self._connection, home, message)
        elif isinstance(message, Status):
            repository.save_status(self._connection, home, message)
        elif isinstance(message, Forecast):
            repository.save_forecast(self._connection, home, message)
        else:
            repository.save_event(self._connection, home, message)

    def _store_records(self, work: _Work) -> set[tuple[str, str]]:
        """Store what is new in the records.

        Returns:
            (agent, epoch) of every record, replays too: its sender waits for the acknowledgement that got lost.
        """
        by_epoch: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in work.records:
            by_epoch[record.agent, record.epoch].append(record)
        books: dict[tuple[str, str], tuple[Book, set[int]]] = {}
        news: list[Record] = []
        for key in sorted(by_epoch):  # always in this order, so that two processes never wait for each other
            book = repository.lock_book(self._connection, self._home(key[0]), key[1])
            books[key] = (book, set(book.pending))
            news += _without_replays(book, by_epoch[key])
        stored = self._insert(news, work.letters)
        for record, counts in zip(news, stored, strict=True):
            books[record.agent, record.epoch][0].enter(record.seq, record.through, record.counts(), counts)
        for (agent, epoch), (book, before) in books.items():
            home = self._home(agent)
            ids = {name: self._device(home, name) for name in book.accounts}
            repository.save_book(self._connection, home, epoch, book, before, ids)
        return set(by_epoch)

    def _insert(self, records: Sequence[Record], letters: list[DeadLetter]) -> list[dict[str, int]]:
        """Insert the readings of records.

        Returns:
            For each record how many of its readings are stored now, by device.
        """
        rows: list[Row] = []
        owners: list[tuple[int, str]] = []
        since: dict[int, int] = {}
        for place, record in enumerate(records):
            home = self._home(record.agent)
            for batch in record.batches:
                rows += _rows(self._device(home, batch.device), batch)
                owners += [(place, batch.device)] * len(batch.at_ms)
                since[home] = min(since.get(home, batch.at_ms[0]), *batch.at_ms)
            letters += [_letter(record, part.reason, part.device, part.readings) for part in record.letters]
        counts: list[dict[str, int]] = [defaultdict(int) for _ in records]
        if not rows:
            return counts
        conflicts: dict[tuple[int, str], int] = defaultdict(int)
        for owner, is_new in zip(owners, repository.insert_readings(self._connection, rows), strict=True):
            counts[owner[0]][owner[1]] += is_new
            if not is_new:
                conflicts[owner] += 1
        for (place, device), readings in conflicts.items():
            letters.append(
                _letter(records[place], "conflict: another reading of that instant exists", device, readings)
            )
        repository.upsert_latest(self._connection, _newest(rows))
        for home, earliest_ms in since.items():
            repository.mark_stale(self._connection, home, instant(earliest_ms))
        return counts

    def _home(self, agent: str) -> int:
        if agent not in self._homes:
            self._homes[agent] = repository.home_id(self._connection, agent)
        return self._homes[agent]

    def _device(self, home: int, device: str) -> int:
        known = self._devices.get(home)
        if known is None or device not in known:
            known = self._devices[home] = repository.device_ids(self._connection, home)
        if device not in known:
            known[device] = repository.create_device(self._connection, home, device)
        return known[device]


def _without_replays(book: Book, records: Iterable[Record]) -> Iterator[Record]:
    seen: set[int] = set()
    for record in records:
        if record.seq not in seen and not book.has(record.seq, record.through):
            seen.add(record.seq)
            yield record


def _letter(record: Record, reason: str, device: str | None, readings: int) -> DeadLetter:
    return DeadLetter(record.agent, topics.READINGS, reason, record.raw, record.epoch, record.seq, device, readings)


def _rows(device: int, batch: DeviceBatch) -> list[Row]:
    """Turn the columns of a batch into rows of the table; a value outside its range is missing, never 0."""
    nothing: list[None] = [None] * len(batch.at_ms)
    columns = [
        _usable(batch.points[name], point) if name in batch.points else nothing for name, point in POINTS.items()
    ]
    named_extra = {name: values for name, values in batch.points.items() if name not in POINTS}
    extra: list[Jsonb | None] = list(nothing)
    if named_extra:
        extra = [
            Jsonb({name: values[place] for name, values in named_extra.items()}) for place in range(len(batch.at_ms))
        ]
    times = [instant(at_ms) for at_ms in batch.at_ms]
    return list(zip(times, [device] * len(times), *columns, extra, strict=True))


def _usable(values: list[float | None], point: Point) -> list[float | None]:
    low, high = point.low, point.high
    kept = [value if value is not None and low <= value <= high else None for value in values]
    if point.point_class is PointClass.STATE:
        return [None if value is None else int(value) for value in kept]
    return kept


def _newest(rows: Iterable[Row]) -> list[Row]:
    newest: dict[int, Row] = {}
    for row in rows:
        at: datetime = row[0]
        if row[1] not in newest or newest[row[1]][0] < at:
            newest[row[1]] = row
    return list(newest.values())
