"""The sending window: nothing is forgotten, nothing clogs, and the newest goes between the oldest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hearth_agent.spool.merge import MAX_BYTES, Record
from hearth_agent.uplink.window import MOST_BACKLOG, MOST_LIVE, SILENCE_S, Window, next_size

MERGED = 10


def backlog(window: Window, last_seq: int, now_s: float = 0.0) -> list[int]:
    """Send one message of the backlog; return what is in it."""
    count = min(window.backlog(last_seq), MERGED)
    if count == 0:
        return []
    seqs = list(range(window.cursor, window.cursor + count))
    window.sent_backlog(Record(seqs[0], seqs[-1], b""), now_s)
    return seqs


def live(window: Window, last_seq: int, now_s: float = 0.0) -> list[int]:
    """Send the newest record if it should go."""
    if not window.wants_live(last_seq):
        return []
    window.sent_live(Record(last_seq, last_seq, b""), now_s)
    return [last_seq]


def test_two_messages_of_the_backlog_are_under_way_and_no_more() -> None:
    window = Window(4, 0.0)
    assert backlog(window, 100) == list(range(5, 15))
    assert backlog(window, 100) == list(range(15, 25))
    assert MOST_BACKLOG == 2
    assert backlog(window, 100) == []
    window.acknowledge(13, 1.0)  # not yet the whole of the first
    assert backlog(window, 100) == []
    window.acknowledge(14, 1.0)
    assert backlog(window, 100) == list(range(25, 35))


def test_a_live_record_goes_at_once_and_alone() -> None:
    window = Window(10, 0.0)
    for seq in range(11, 20):
        assert live(window, seq) == [seq]
        assert live(window, seq) == []
        assert backlog(window, seq) == []


def test_a_silent_hub_stops_the_sending_before_memory_does() -> None:
    window = Window(0, 0.0)
    sent = [seq for last in range(1, 1000) for seq in live(window, last)]
    assert len(sent) == MOST_LIVE
    assert len(backlog(window, 1000) + backlog(window, 1000)) == MOST_BACKLOG * MERGED
    assert backlog(window, 1000) == []


def test_silence_sends_everything_again() -> None:
    window = Window(0, 0.0)
    backlog(window, 3)
    assert not window.heed_silence(SILENCE_S - 1)
    window.acknowledge(1, SILENCE_S - 1)
    assert not window.heed_silence(SILENCE_S + 1)
    assert window.heed_silence(2 * SILENCE_S)
    assert backlog(window, 3) == [2, 3]


def test_an_idle_night_is_not_silence() -> None:
    window = Window(0, 0.0)
    live(window, 1)
    window.acknowledge(1, 1.0)
    assert not window.heed_silence(10_000.0)
    live(window, 2, 10_000.0)
    assert not window.heed_silence(10_000.0 + SILENCE_S - 1)


def test_a_lower_word_is_obeyed() -> None:
    """The hub came back from a backup: what it lost is sent again."""
    window = Window(10, 0.0)
    backlog(window, 12)
    window.acknowledge(3, 1.0)
    assert backlog(window, 12) == list(range(4, 13))


def test_the_newest_record_goes_between_a_long_backlog_and_only_once() -> None:
    window = Window(0, 0.0)
    assert live(window, 50) == [50]
    sent: list[int] = []
    while window.cursor <= 50:
        sent += backlog(window, 50)
        window.acknowledge(window.cursor - 1, 1.0)
        assert live(window, 50) == []
    assert sent == list(range(1, 50))


def test_a_newest_record_that_was_lost_goes_again_with_the_others() -> None:
    window = Window(0, 0.0)
    live(window, 20)
    backlog(window, 20)
    assert window.heed_silence(SILENCE_S)
    assert backlog(window, 20) + backlog(window, 20) == list(range(1, 21))


def test_a_thin_line_gets_small_messages() -> None:
    size = MAX_BYTES
    for _ in range(10):
        size = next_size(size, 8.0)
    assert 1024 < size < 10_000
    assert next_size(size, 2.0) == size
    for _ in range(10):
        size = next_size(size, 0.1)
    assert size == MAX_BYTES


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(["backlog", "live", "lose", "flush"]), st.integers(0, 60)), max_size=120))
def test_whatever_is_lost_every_record_arrives(script: list[str | int]) -> None:
    """A hub that stores what reaches it and acknowledges what it has without a hole, now and then after a restore."""
    last, now_s = 40, 0.0
    stored: set[int] = set()
    window = Window(0, now_s)

    def upto() -> int:
        return next(seq for seq in range(last + 1) if seq + 1 not in stored)

    for action in script:
        now_s += 1.0
        if isinstance(action, int):  # the hub is restored to a state that had the first `action` records
            stored &= set(range(1, action + 1))
        elif action == "flush":
            last += 1
        elif action == "live":
            stored |= set(live(window, last, now_s))
        else:
            sent = backlog(window, last, now_s)
            stored |= set(sent) if action == "backlog" else set()
        if action != "lose":
            window.acknowledge(upto(), now_s)
        window.heed_silence(now_s)
    for _ in range(200):
        now_s += SILENCE_S / 2
        window.heed_silence(now_s)
        stored |= set(live(window, last, now_s)) | set(backlog(window, last, now_s))
        window.acknowledge(upto(), now_s)
    assert stored >= set(range(1, last + 1))
