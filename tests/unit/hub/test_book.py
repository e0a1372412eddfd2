"""The book keeps produced = stored + gaps + dead-lettered whatever order, repetition or loss does to the records."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_hub.ingest.book import Book, Count


@dataclass(frozen=True)
class Message:
    """One or several records of one device as they go over the wire."""

    seq: int
    through: int
    count: Count
    is_gap: bool = False


@dataclass
class Sender:
    """An agent's spool: what it produced, what it may drop, and what the hub told it."""

    produced: int = 0
    next_seq: int = 1
    spool: list[Message] = field(default_factory=list)

    def produce(self, readings: int) -> None:
        self.produced += readings
        self.spool.append(Message(self.next_seq, self.next_seq, Count(readings, self.produced)))
        self.next_seq += 1

    def merged(self, start: int, records: int) -> Message | None:
        """Return records as one message; a gap travels alone."""
        run = self.spool[start : start + records]
        if not run or any(one.is_gap for one in run[1:]) or run[0].is_gap:
            return run[0] if run else None
        readings = sum(one.count.readings for one in run)
        return Message(run[0].seq, run[-1].through, Count(readings, run[-1].count.produced))

    def drop(self, records: int) -> None:
        """Out of space: the oldest records become one gap that covers their numbers."""
        gone, kept = self.spool[:records], self.spool[records:]
        if len(gone) > 1:
            readings = sum(one.count.readings for one in gone)
            gap = Message(gone[0].seq, gone[-1].through, Count(readings, gone[-1].count.produced), is_gap=True)
            self.spool = [gap, *kept]

    def told(self, upto: int) -> None:
        self.spool = [one for one in self.spool if one.through > upto]


@dataclass
class Receiver:
    """What ingest does with a message, and the numbers of the readings it stored."""

    book: Book = field(default_factory=Book)
    stored: list[int] = field(default_factory=list)

    def receive(self, message: Message) -> None:
        if self.book.has(message.seq, message.through):
            return
        first = message.count.produced - message.count.readings + 1
        for start, end in self.book.news("grid", message.count.readings, message.count.produced):
            if message.is_gap:
                self.book.account("grid").gaps += end - start
            else:
                self.book.account("grid").stored += end - start
                self.stored += range(first + start, first + end)
        self.book.enter(message.seq, message.through, {"grid": message.count})


step = st.one_of(
    st.tuples(st.just("produce"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("drop"), st.integers(2, 4), st.just(0)),
    st.tuples(st.just("deliver"), st.integers(0, 10), st.integers(1, 6)),
    st.tuples(st.just("replay"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("acknowledge"), st.just(0), st.just(0)),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(step, max_size=40))
def test_every_produced_reading_is_accounted_for_exactly_once(steps: list[tuple[str, int, int]]) -> None:
    """Acknowledgements get lost, records come twice, late or merged anew, and gaps overlap what was stored."""
    sender, receiver = Sender(), Receiver()
    book = receiver.book
    sent: list[Message] = []
    for what, number, length in steps:
        if what == "produce":
            sender.produce(number)
        elif what == "drop":
            sender.drop(number)
        elif what == "deliver" and sender.spool:
            message = sender.merged(number % len(sender.spool), length)
            assert message is not None
            sent.append(message)
            receiver.receive(message)
        elif what == "replay" and sent:
            receiver.receive(sent[number % len(sent)])
        elif what == "acknowledge":
            sender.told(book.upto)
        account = book.account("grid")
        assert account.stored + account.gaps + account.dead_lettered <= sender.produced
        assert account.dead_lettered == 0
        assert len(set(receiver.stored)) == len(receiver.stored), "a reading would be stored twice"
    for one in sender.spool:
        receiver.receive(one)
    account = book.account("grid")
    assert book.upto == sender.next_seq - 1
    assert not book.pending
    assert account.stored == len(receiver.stored)
    assert account.stored + account.gaps == account.produced == sender.produced


def test_readings_of_an_uncountable_record_are_dead_lettered_once_the_next_one_tells() -> None:
    book = Book()
    for seq, readings, produced in ((1, 2, 2), (3, 1, 8)):
        book.account("grid").stored += readings
        book.enter(seq, seq, {"grid": Count(readings, produced)})
    assert book.upto == 1
    book.enter(2, 2, {})  # broken beyond counting
    account = book.accounts["grid"]
    assert (book.upto, account.stored, account.dead_lettered, account.produced) == (3, 3, 5, 8)


def test_of_a_merged_message_only_what_is_not_here_yet_is_new() -> None:
    """The watermark has 10 readings; 14 to 16 came ahead; then 6 to 20 come in one message."""
    book = Book()
    book.enter(1, 5, {"grid": Count(10, 10)})
    book.enter(8, 8, {"grid": Count(3, 16)})
    assert book.news("grid", 15, 20) == [(5, 8), (11, 15)]
    assert book.news("meter", 4, 4) == [(0, 4)]
