"""SQL of the books: watermarks, records above them, and accounts.

Rows are always locked in the order (home, epoch, device), so that two ingest processes never wait for each other in a
circle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from hearth_hub.ingest.book import Account, Book, Count, Pending, Position
from hearth_hub.ingest.repository import Connection, Given

Key = tuple[int, str]
"""Home and epoch."""

_KEYS = Given(home_id="int", epoch="text")
_UPTO = Given(home_id="int", epoch="text", upto="bigint")
_SEQ = Given(home_id="int", epoch="text", seq="bigint")
_PENDING = Given(home_id="int", epoch="text", seq="bigint", through="bigint", counts="jsonb")
_ACCOUNT = Given(
    home_id="int",
    epoch="text",
    device_id="int",
    produced="bigint",
    settled="bigint",
    stored="bigint",
    gaps="bigint",
    dead_lettered="bigint",
)


def lock_books(
    connection: Connection, keys: Sequence[Key], device_ids: Mapping[int, dict[str, int]]
) -> dict[Key, Book]:
    """Read books, and keep every other ingest process out of them until the transaction ends.

    Args:
        connection: The open transaction.
        keys: Which ones; one that does not exist is opened.
        device_ids: Device ids, by home and name; completed with those the books speak of.
    """
    keys = sorted(keys)
    while (books := _lock(connection, keys, device_ids)) is None:
        connection.execute(
            f"insert into watermark (home_id, epoch) select * from {_KEYS.table} order by 1, 2 on conflict do nothing",  # noqa: S608
            [_KEYS.text(keys)],
        )
    return books


def _lock(
    connection: Connection, keys: Sequence[Key], device_ids: Mapping[int, dict[str, int]]
) -> dict[Key, Book] | None:
    """Lock books, then read them; None when one does not exist. Nothing waits between the statements."""
    given = [_KEYS.text(keys)]
    with connection.pipeline():
        watermarks = connection.execute(
            f"select w.home_id, w.epoch, w.upto from watermark w join {_KEYS.table} using (home_id, epoch)"  # noqa: S608
            " order by w.home_id, w.epoch for update of w",
            given,
        )
        pending = connection.execute(
            "select p.home_id, p.epoch, p.seq, p.through, p.counts"  # noqa: S608
            f" from pending p join {_KEYS.table} using (home_id, epoch)",
            given,
        )
        accounts = connection.execute(
            "select a.home_id, a.epoch, d.id, d.device, a.produced, a.settled, a.stored, a.gaps, a.dead_lettered"  # noqa: S608
            f" from account a join {_KEYS.table} using (home_id, epoch) join device d on d.id = a.device_id",
            given,
        )
    books = {(home, epoch): Book(upto) for home, epoch, upto in watermarks}
    if len(books) < len(keys):
        return None
    for home, epoch, seq, through, counts in pending:
        found = {name: Count(*count[:2]) for name, count in counts.items()}
        books[home, epoch].pending[seq] = Pending(seq, through, found)
    for home, epoch, device, name, *numbers in accounts:
        books[home, epoch].accounts[name] = Account(*numbers)
        device_ids[home][name] = device
    return books


def save_books(
    connection: Connection,
    books: Mapping[Key, Book],
    before: Mapping[Key, Set[tuple[int, int]]],
    device_ids: Mapping[int, Mapping[str, int]],
) -> None:
    """Write books back.

    Args:
        connection: The transaction that locked them.
        books: As they are now.
        before: For each the records (first, last number) that were pending when it was read.
        device_ids: Device ids, by home and name.
    """
    ordered = sorted(books.items())
    connection.execute(
        f"update watermark w set upto = k.upto from {_UPTO.table}"  # noqa: S608
        " where w.home_id = k.home_id and w.epoch = k.epoch and w.upto <> k.upto",
        [_UPTO.text((*key, book.upto) for key, book in ordered)],
    )
    gone = [(*key, seq) for key, book in ordered for seq, _ in sorted(before[key] - book.spans())]
    if gone:
        connection.execute(
            f"delete from pending p using {_SEQ.table}"  # noqa: S608
            " where p.home_id = k.home_id and p.epoch = k.epoch and p.seq = k.seq",
            [_SEQ.text(gone)],
        )
    fresh = [
        (*key, item.seq, item.through, _counts(item))
        for key, book in ordered
        for seq, item in book.pending.items()
        if (seq, item.through) not in before[key]
    ]
    if fresh:
        connection.execute(
            f"insert into pending (home_id, epoch, seq, through, counts) select * from {_PENDING.table}",  # noqa: S608
            [_PENDING.text(fresh)],
        )
    _save_accounts(connection, ordered, device_ids)


def _save_accounts(
    connection: Connection, books: Sequence[tuple[Key, Book]], device_ids: Mapping[int, Mapping[str, int]]
) -> None:
    rows = sorted(
        (home, epoch, device_ids[home][name], one.produced, one.settled, one.stored, one.gaps, one.dead_lettered)
        for (home, epoch), book in books
        for name, one in book.accounts.items()
    )
    if not rows:
        return
    connection.execute(
        "insert into account (home_id, epoch, device_id, produced, settled, stored, gaps, dead_lettered)"  # noqa: S608
        f" select * from {_ACCOUNT.table}"
        " on conflict (home_id, epoch, device_id) do update set produced = excluded.produced,"
        " settled = excluded.settled, stored = excluded.stored, gaps = excluded.gaps,"
        " dead_lettered = excluded.dead_lettered",
        [_ACCOUNT.text(rows)],
    )


def positions(connection: Connection, keys: Sequence[Key]) -> dict[Key, Position]:
    """Return how far epochs have come; one that never was here is left out."""
    rows = connection.execute(
        "select w.home_id, w.epoch, w.upto, (select max(p.through) from pending p"  # noqa: S608
        " where p.home_id = w.home_id and p.epoch = w.epoch)"
        f" from watermark w join {_KEYS.table} using (home_id, epoch)",
        [_KEYS.text(keys)],
    )
    return {(home, epoch): Position(upto, max(upto, ahead or 0)) for home, epoch, upto, ahead in rows}


def _counts(item: Pending) -> dict[str, list[int]]:
    return {name: [one.readings, one.produced] for name, one in item.counts.items()}
