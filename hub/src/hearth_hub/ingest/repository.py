"""Ingest's SQL; every function runs inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from hearth_core.messages import Birth, Event, Forecast, Status, encode
from hearth_core.points import POINTS, PointClass
from hearth_hub.ingest.book import Account, Book, Count, Pending
from hearth_hub.timing import instant

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]
"""at, device id, the points in the order of the vocabulary, extra (Jsonb or None)."""

# 4,096 letters of at most 64 KiB are 256 MiB at the very worst
DEAD_LETTERS_KEPT = 4096
RAW_BYTES_KEPT = 64 * 1024

_PG_TYPES = {PointClass.GAUGE: "float4", PointClass.COUNTER: "float8", PointClass.STATE: "int2"}
_TYPES = ["timestamptz", "int4", *(_PG_TYPES[point.point_class] for point in POINTS.values()), "jsonb"]
_COLUMNS = ", ".join(["at", "device_id", *POINTS, "extra"])
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in ("at", *POINTS, "extra"))
_MARKS = ", ".join(f"%s::{name}" for name in _TYPES)


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


def home_id(connection: Connection, agent: str) -> int:
    """Return the home of an agent; it is created when it is new."""
    connection.execute("insert into home (agent) values (%s) on conflict do nothing", [agent])
    return _one_int(connection, "select id from home where agent = %s", [agent])


def device_ids(connection: Connection, home: int) -> dict[str, int]:
    """Return the devices of a home by name."""
    return dict(connection.execute("select device, id from device where home_id = %s", [home]).fetchall())


def create_device(connection: Connection, home: int, device: str) -> int:
    """Create a device on first sight; its birth certificate completes it."""
    connection.execute("insert into device (home_id, device) values (%s, %s) on conflict do nothing", [home, device])
    return _one_int(connection, "select id from device where home_id = %s and device = %s", [home, device])


def lock_book(connection: Connection, home: int, epoch: str) -> Book:
    """Read the book of an epoch, and keep every other ingest process out of it until the transaction ends."""
    connection.execute("insert into watermark (home_id, epoch) values (%s, %s) on conflict do nothing", [home, epoch])
    key = [home, epoch]
    book = Book(_one_int(connection, "select upto from watermark where home_id = %s and epoch = %s for update", key))
    for seq, through, counts in connection.execute(
        "select seq, through, counts from pending where home_id = %s and epoch = %s", key
    ):
        book.pending[seq] = Pending(seq, through, {name: Count(*count) for name, count in counts.items()})
    for name, *numbers in connection.execute(
        "select d.device, a.produced, a.settled, a.stored, a.gaps, a.dead_lettered from account a"
        " join device d on d.id = a.device_id where a.home_id = %s and a.epoch = %s",
        key,
    ):
        book.accounts[name] = Account(*numbers)
    return book


def save_book(connection: Connection, home: int, epoch: str, book: Book, before: set[int], ids: dict[str, int]) -> None:
    """Write the book back.

    Args:
        connection: The open transaction.
        home: Home.
        epoch: Epoch.
        book: As it is now.
        before: Sequence numbers that were pending when it was read.
        ids: Device ids by name.
    """
    connection.execute("update watermark set upto = %s where home_id = %s and epoch = %s", [book.upto, home, epoch])
    if gone := before - book.pending.keys():
        connection.execute(
            "delete from pending where home_id = %s and epoch = %s and seq = any(%s)", [home, epoch, list(gone)]
        )
    with connection.cursor() as cursor:
        for item in (book.pending[seq] for seq in book.pending.keys() - before):
            counts = {name: [count.readings, count.produced, count.is_gap] for name, count in item.counts.items()}
            cursor.execute(
                "insert into pending (home_id, epoch, seq, through, counts) values (%s, %s, %s, %s, %s)",
                [home, epoch, item.seq, item.through, json.dumps(counts)],
            )
        cursor.executemany(
            "insert into account (home_id, epoch, device_id, produced, settled, stored, gaps, dead_lettered)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (home_id, epoch, device_id) do update set"
            " produced = excluded.produced, settled = excluded.settled, stored = excluded.stored,"
            " gaps = excluded.gaps, dead_lettered = excluded.dead_lettered",
            [
                (home, epoch, ids[name], one.produced, one.settled, one.stored, one.gaps, one.dead_lettered)
                for name, one in book.accounts.items()
            ],
        )


def watermark(connection: Connection, home: int, epoch: str) -> int:
    """Return up to which record an epoch is safe; 0 for one that never was here."""
    row = connection.execute("select upto from watermark where home_id = %s and epoch = %s", [home, epoch]).fetchone()
    return int(row[0]) if row else 0


def insert_readings(connection: Connection, rows: Sequence[Row]) -> list[bool]:
    """Store readings.

    Returns:
        For each row whether it is stored now; False where its device already had another reading of that instant.
    """
    try:
        with connection.transaction():
            _copy(connection, "reading", rows)
    except psycopg.errors.UniqueViolation:
        return _insert_new_only(connection, rows)
    return [True] * len(rows)


def _copy(connection: Connection, table: str, rows: Iterable[Row]) -> None:
    statement = f"copy {table} ({_COLUMNS}) from stdin (format binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row)


def _insert_new_only(connection: Connection, rows: Sequence[Row]) -> list[bool]:
    connection.execute(
        "create temporary table if not exists fresh (like reading, place integer generated always as identity)"
        " on commit delete rows"
    )
    connection.execute("truncate fresh restart identity")
    _copy(connection, "fresh", rows)
    new = connection.execute(
        f"insert into reading ({_COLUMNS}) select {_COLUMNS} from fresh order by place"  # noqa: S608  own names
        " on conflict do nothing returning at, device_id"
    ).fetchall()
    left = set(new)
    is_new = []
    for at, device, *_ in rows:
        is_new.append((at, device) in left)
        left.discard((at, device))  # of two rows with the same key the first is the one that was stored
    return is_new


def upsert_latest(connection: Connection, rows: Iterable[Row]) -> None:
    """Keep the newest reading of each device; an older one changes nothing."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"insert into latest ({_COLUMNS}) values ({_MARKS}) on conflict (device_id)"  # noqa: S608
            f" do update set {_UPDATES} where latest.at < excluded.at",
            list(rows),
        )


def mark_stale(connection: Connection, home: int, since: datetime) -> None:
    """Tell the worker from when on the quarter-hours of a home have to be rolled up again."""
    # Without any condition on stale_from: while a roll-up that has claimed it is not committed, a condition would see
    # the old mark, find nothing to do, and these readings would never be rolled up.
    connection.execute("update home set stale_from = least(stale_from, %s) where id = %s", [since, home])


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


def save_birth(connection: Connection, home: int, birth: Birth) -> None:
    """Store who an agent says it is."""
    connection.execute(
        "update home set site = %s, software = %s, epoch = %s where id = %s",
        [encode_text(birth.site), birth.software, birth.epoch, home],
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into device (home_id, device, kind, profile, manufacturer, model, serial, points, controlled)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (home_id, device) do update set"
            " kind = excluded.kind, profile = excluded.profile, manufacturer = excluded.manufacturer,"
            " model = excluded.model, serial = excluded.serial, points = excluded.points,"
            " controlled = excluded.controlled",
            [
                (
                    home,
                    one.id,
                    one.kind,
                    one.profile,
                    one.manufacturer,
                    one.model,
                    one.serial,
                    json.dumps(one.points),
                    one.controlled,
                )
                for one in birth.devices
            ],
        )


def save_status(connection: Connection, home: int, status: Status) -> None:
    """Store how an agent is; an older status than the one we have changes nothing."""
    at = instant(status.at_ms)
    connection.execute(
        "update home set state = %s, mode = %s, reason = %s, plan_version = %s, lag_s = %s, status_at = %s"
        " where id = %s and (status_at is null or status_at <= %s)",
        [status.state, status.mode, status.reason, status.plan_version, status.lag_s, at, home, at],
    )
    if status.epoch is None or not status.tallies:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into account (home_id, epoch, device_id, told_produced, told_spooled, told_at)"
            " select %s, %s, id, %s, %s, %s from device where home_id = %s and device = %s"
            " on conflict (home_id, epoch, device_id) do update set told_produced = excluded.told_produced,"
            " told_spooled = excluded.told_spooled, told_at = excluded.told_at"
            " where account.told_at is null or account.told_at <= excluded.told_at",
            [(home, status.epoch, tally.produced, tally.spooled, at, home, tally.device) for tally in status.tallies],
        )


def save_forecast(connection: Connection, home: int, forecast: Forecast) -> None:
    """Keep the newest forecast of an agent."""
    connection.execute(
        "insert into forecast (home_id, issued_at, message) values (%s, %s, %s) on conflict (home_id) do update"
        " set issued_at = excluded.issued_at, message = excluded.message where forecast.issued_at < excluded.issued_at",
        [home, instant(forecast.issued_ms), encode_text(forecast)],
    )


def save_event(connection: Connection, home: int, event: Event) -> None:
    """Store an event once, however often it is delivered."""
    connection.execute(
        "insert into event (home_id, at, level, kind, device, text) values (%s, %s, %s, %s, %s, %s)"
        " on conflict do nothing",
        [home, instant(event.at_ms), event.level, event.kind, event.device, event.text],
    )


def encode_text(message: Any) -> str:  # noqa: ANN401  any of the contract's structs
    """Encode for a json column."""
    return encode(message).decode()


def _one_int(connection: Connection, statement: str, parameters: list[Any]) -> int:
    row = connection.execute(statement.encode(), parameters).fetchone()
    if row is None:
        raise LookupError(statement)
    return int(row[0])
