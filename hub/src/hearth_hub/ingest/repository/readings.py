"""SQL of the readings themselves: the rows, the newest of each device, and the spans the aggregates have to take in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import psycopg

from hearth_core.points import POINTS
from hearth_hub.ingest.columns import COLUMNS, HEADER, TRAILER, Gatherer, Rows
from hearth_hub.ingest.repository import AT, Connection, Given
from hearth_hub.timing import milliseconds

_COLUMNS = ", ".join(COLUMNS)
_UPDATES = ", ".join(f"{name} = excluded.{name}" for name in ("at", *POINTS, "extra"))
_SELECTED = ", ".join(f"r.{name}" for name in COLUMNS)

_NEWEST = Given(at_ms="bigint", device_id="int")
_SPANS = Given(home_id="int", from_ms="bigint", until_ms="bigint")

Span = tuple[int, int, int]
"""Home, first and last instant [ms]."""


def insert_readings(
    connection: Connection, pieces: Iterator[bytes], gatherer: Gatherer
) -> tuple[Rows, npt.NDArray[np.bool_]] | None:
    """Store readings while they are being gathered.

    The watermark has told replays from news already, so a conflict is rare and only then is there the slower way.

    Args:
        connection: The open transaction.
        pieces: Takes readings into the gatherer and yields what it builds.
        gatherer: Knows all rows once the pieces are taken.

    Returns:
        The rows, and for each whether it is stored now; False where its device had another reading of that instant.
        None when there are no rows.
    """
    first = next(pieces, None)
    if first is None:
        return None
    try:
        with connection.transaction():
            _copy(connection, "reading", chain([first], pieces))
    except psycopg.errors.UniqueViolation:
        for _ in pieces:  # what was not sent any more
            pass
        rows = gatherer.rows()
        return rows, _insert_new_only(connection, rows)
    rows = gatherer.rows()
    return rows, np.ones(len(rows), np.bool_)


def _copy(connection: Connection, table: str, pieces: Iterable[bytes]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"copy {table} ({_COLUMNS}) from stdin (format binary)") as copy:
        copy.write(HEADER)
        for piece in pieces:
            copy.write(piece)
        copy.write(TRAILER)


def _insert_new_only(connection: Connection, rows: Rows) -> npt.NDArray[np.bool_]:
    connection.execute(
        "create temporary table if not exists fresh (like reading, place integer generated always as identity)"
        " on commit delete rows"
    )
    connection.execute("truncate fresh restart identity")
    _copy(connection, "fresh", iter(rows.data))
    new = connection.execute(
        f"insert into reading ({_COLUMNS}) select {_COLUMNS} from fresh order by place"  # noqa: S608  own names
        " on conflict do nothing returning at, device_id"
    ).fetchall()
    left = {(milliseconds(at), device) for at, device in new}
    is_new = np.zeros(len(rows), np.bool_)
    for place, key in enumerate(zip(rows.at_ms.tolist(), rows.device_ids.tolist(), strict=True)):
        is_new[place] = key in left
        left.discard(key)  # of two rows with the same key the first is the one that was stored
    return is_new


def keep_latest(connection: Connection, newest: Sequence[tuple[int, int]]) -> None:
    """Keep the newest reading of each device; an older one changes nothing.

    Args:
        connection: The transaction that stored them, or found others at these instants.
        newest: Instants [ms] with device ids.
    """
    connection.execute(
        f"insert into latest ({_COLUMNS}) select {_SELECTED} from {_NEWEST.table}"  # noqa: S608  own names
        f" join reading r on r.at = {AT.format('at_ms')} and r.device_id = k.device_id order by r.device_id"
        f" on conflict (device_id) do update set {_UPDATES} where latest.at < excluded.at",
        [_NEWEST.text(newest)],
    )


def mark_stale(connection: Connection, spans: Sequence[Span]) -> None:
    """Tell the roll-up which spans have new readings. Only appended, so that nobody waits for a roll-up."""
    connection.execute(
        "insert into stale (home_id, from_at, until_at)"  # noqa: S608
        f" select k.home_id, {AT.format('from_ms')}, {AT.format('until_ms')} from {_SPANS.table}",
        [_SPANS.text(spans)],
    )
