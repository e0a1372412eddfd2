"""The book keeps produced = stored + gaps + dead-lettered whatever order, repetition or loss does to the records."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_hub.ingest.book import Book, Count


@dataclass
class Sender:
    """An agent's spool: what it produced, what it may drop, and what the hub told it."""

    produced: int = 0
    next_seq: int = 1
    acked: int = 0
    spool: list[tuple[int, int, Count]] = field(default_factory=list)

    def produce(self, readings: int) -> None:
        self.produced += readings
        self.spool.append((self.next_seq, self.next_seq, Count(readings, self.produced)))
        self.next_seq += 1

    def drop(self, records: int) -> None:
        """Out of space: the oldest records become one gap that covers their numbers."""
        waiting = list(self.spool)
        gone, kept = waiting[:records], waiting[records:]
        if len(gone) > 1:
            readings = sum(count.readings for _, _, count in gone)
            gap = (gone[0][0], gone[-1][1], Count(readings, gone[-1][2].produced, is_gap=True))
            self.spool = [gap, *kept]

    def told(self, upto: int) -> None:
        self.acked = upto
        self.spool = [record for record in self.spool if record[1] > upto]


def receive(book: Book, record: tuple[int, int, Count]) -> None:
    seq, through, count = record
    if not book.has(seq, through):
        stored = {} if count.is_gap else {"grid": count.readings}
        book.enter(seq, through, {"grid": count}, stored)


step = st.one_of(
    st.tuples(st.just("produce"), st.integers(1, 5)),
    st.tuples(st.just("drop"), st.integers(2, 4)),
    st.tuples(st.just("deliver"), st.integers(0, 10)),
    st.tuples(st.just("replay"), st.integers(0, 30)),
    st.tuples(st.just("acknowledge"), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(step, max_size=40))
def test_every_produced_reading_is_accounted_for_exactly_once(steps: list[tuple[str, int]]) -> None:
    """Acknowledgements get lost, records come twice or late, and gaps overlap what was stored."""
    sender, book = Sender(), Book()
    sent: list[tuple[int, int, Count]] = []
    for what, number in steps:
        if what == "produce":
            sender.produce(number)
        elif what == "drop":
            sender.drop(number)
        elif what == "deliver" and sender.spool:
            record = sender.spool[number % len(sender.spool)]
            sent.append(record)
            receive(book, record)
        elif what == "replay" and sent:
            receive(book, sent[number % len(sent)])
        elif what == "acknowledge":
            sender.told(book.upto)
        if account := book.accounts.get("grid"):
            here = account.stored + account.gaps + account.dead_lettered
            assert here <= sender.produced
            assert account.dead_lettered == 0
    for record in sender.spool:
        receive(book, record)
    assert book.upto == sender.next_seq - 1
    assert not book.pending
    account = book.accounts.get("grid")
    if account is not None:
        assert account.stored + account.gaps == account.produced == sender.produced


def test_readings_of_an_uncountable_record_are_dead_lettered_once_the_next_one_tells() -> None:
    book = Book()
    book.enter(1, 1, {"grid": Count(2, 2)}, {"grid": 2})
    book.enter(3, 3, {"grid": Count(1, 8)}, {"grid": 1})
    assert book.upto == 1
    book.enter(2, 2, {}, {})  # broken beyond counting
    account = book.accounts["grid"]
    assert (book.upto, account.stored, account.dead_lettered, account.produced) == (3, 3, 5, 8)
