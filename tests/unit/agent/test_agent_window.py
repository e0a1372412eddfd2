"""The sending window: nothing is forgotten, nothing clogs, and the newest goes between the oldest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.spool.store import Record
from hearth_agent.uplink.window import BATCH, MAX_RECORDS, SILENCE_S, Window


def records(first: int, last: int, size: int = 10) -> list[Record]:
    return [Record(seq, seq, b"x" * size) for seq in range(first, last + 1)]


def take(window: Window, last_seq: int, now_s: float = 0.0) -> list[int]:
    end = min(window.cursor + window.room() - 1, last_seq)
    return [r.seq for r in window.take(records(window.cursor, end), now_s)]


def test_it_sends_in_order_and_moves_on_with_the_hubs_word() -> None:
    window = Window(4, 0.0)
    assert take(window, 100) == list(range(5, 5 + BATCH))
    window.acknowledge(6, 1.0)
    assert take(window, 100) == list(range(5 + BATCH, 5 + 2 * BATCH))


def test_a_silent_hub_stops_the_sending_before_memory_does() -> None:
    window = Window(0, 0.0)
    sent = 0
    while window.room() > 0:
        sent += len(take(window, 10_000))
    assert sent <= MAX_RECORDS
    large = Window(0, 0.0)
    while large.room() > 0:
        large.take(records(large.cursor, large.cursor, 64 * 1024), 0.0)
    assert large.cursor == 9


def test_silence_sends_everything_again() -> None:
    window = Window(0, 0.0)
    take(window, 3)
    assert not window.heed_silence(SILENCE_S - 1)
    window.acknowledge(1, SILENCE_S - 1)
    assert not window.heed_silence(SILENCE_S + 1)
    assert window.heed_silence(2 * SILENCE_S)
    assert take(window, 3) == [2, 3]


def test_an_idle_night_is_not_silence() -> None:
    window = Window(0, 0.0)
    take(window, 1)
    window.acknowledge(1, 1.0)
    assert not window.heed_silence(10_000.0)
    take(window, 2, 10_000.0)
    assert not window.heed_silence(10_000.0 + SILENCE_S - 1)


def test_a_lower_word_is_obeyed() -> None:
    """The hub came back from a backup: what it lost is sent again."""
    window = Window(10, 0.0)
    take(window, 12)
    window.acknowledge(3, 1.0)
    assert take(window, 12) == list(range(4, 12))


def test_the_newest_record_goes_between_a_long_backlog_and_only_once() -> None:
    window = Window(0, 0.0)
    assert window.wants_newest(50)
    window.sent_ahead(records(50, 50)[0])
    assert not window.wants_newest(50)
    assert window.wants_newest(51)
    sent: list[int] = []
    while window.cursor <= 50:
        sent += take(window, 50)
        window.acknowledge(window.cursor - 1, 1.0)
    assert sent == list(range(1, 50))


def test_a_newest_record_that_was_lost_goes_again_with_the_others() -> None:
    window = Window(0, 0.0)
    window.sent_ahead(records(20, 20)[0])
    take(window, 20)
    assert window.heed_silence(SILENCE_S)
    sent: list[int] = []
    while window.cursor <= 20:
        sent += take(window, 20)
    assert sent == list(range(1, 21))


def test_with_no_backlog_there_is_nothing_to_jump() -> None:
    assert not Window(49, 0.0).wants_newest(50)


@settings(deadline=None)
@given(st.lists(st.one_of(st.just("send"), st.just("lose"), st.integers(0, 60)), max_size=80))
def test_whatever_is_lost_every_record_arrives(script: list[str | int]) -> None:
    """A hub that stores what reaches it and acknowledges what it has without a hole, now and then after a restore."""
    last, now_s = 60, 0.0
    stored: set[int] = set()
    window = Window(0, now_s)

    def upto() -> int:
        return next(seq for seq in range(last + 1) if seq + 1 not in stored)

    for action in script:
        now_s += 1.0
        if isinstance(action, int):  # the hub is restored to a state that had the first `action` records
            stored &= set(range(1, action + 1))
            window.acknowledge(upto(), now_s)
        elif window.cursor <= last and window.room() > 0:
            if window.wants_newest(last):
                window.sent_ahead(records(last, last)[0])
                if action == "send":
                    stored.add(last)
            sent = take(window, last, now_s)
            if action == "send":
                stored |= set(sent)
                window.acknowledge(upto(), now_s)
    for _ in range(200):
        now_s += SILENCE_S / 2
        window.heed_silence(now_s)
        if window.cursor <= last and window.room() > 0:
            stored |= set(take(window, last, now_s))
        window.acknowledge(upto(), now_s)
    assert stored >= set(range(1, last + 1))
