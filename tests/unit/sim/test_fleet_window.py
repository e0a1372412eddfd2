"""The window of a fleet's home: what a real agent would send next, whatever the hub answers or loses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearth_sim.fleet.window import BACKLOG_MESSAGES, SILENCE_S, Cut, Window


def drain(window: Window, most: int, now_s: float = 0.0) -> list[Cut]:
    cuts = []
    while window.waiting:
        cut = window.next_cut()
        cut = Cut(cut.first, min(cut.last, cut.first + most - 1))
        window.take(cut, now_s)
        cuts.append(cut)
    return cuts


def test_fresh_records_go_alone_while_there_is_no_backlog() -> None:
    window = Window()
    for number in range(1, 4):
        window.produced += 1
        assert window.take_newest(0.0)
        assert not window.waiting
        window.acknowledge(number, 0.0)
    assert window.acked == 3
    assert not window.unanswered


def test_two_backlog_messages_are_under_way_and_fresh_records_go_between_them() -> None:
    window = Window(produced=1000)
    assert drain(window, 400) == [Cut(1, 400), Cut(401, 800)]
    window.produced += 1
    assert window.take_newest(0.0)
    assert drain(window, 400) == []
    window.acknowledge(400, 0.0)
    assert drain(window, 400) == [Cut(801, 1000)], "the fresh record was sent already"
    window.acknowledge(1001, 0.0)
    assert not window.unanswered
    assert not window.waiting


def test_a_silent_hub_gets_everything_since_its_last_word_again_and_a_restored_one_more() -> None:
    window = Window(produced=100)
    drain(window, 10)
    window.acknowledge(10, 1.0)
    assert not window.is_silent(SILENCE_S)
    assert window.is_silent(1.0 + SILENCE_S)
    window.restart(40.0)
    assert window.take(Cut(11, 30), 40.0) == 10, "11 to 20 were under way before"
    window.acknowledge(30, 41.0)
    window.acknowledge(5, 42.0)
    assert drain(window, 1000) == [Cut(6, 100)]


def test_a_hub_that_owes_nothing_is_not_silent() -> None:
    window = Window()
    assert not window.is_silent(1000.0)
    window.produced += 1
    window.take_newest(1000.0)
    assert not window.is_silent(1000.0 + SILENCE_S / 2)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["sample", "drain", "deliver", "lose", "silence", "reconnect"]), st.integers(1, 50))
)


@given(backlog=st.integers(0, 200), actions=ACTIONS)
def test_everything_arrives_whatever_is_lost_on_the_way(backlog: int, actions: list[tuple[str, int]]) -> None:
    """The hub here keeps what arrives and acknowledges what is dense from the start."""
    window, has, on_the_way = Window(backlog), set[int](), list[Cut]()

    def answer() -> None:
        upto = 0
        while upto + 1 in has:
            upto += 1
        window.acknowledge(upto, 0.0)

    for action, size in actions:
        if action == "sample":
            window.produced += 1
            if window.take_newest(0.0):
                on_the_way.append(Cut(window.produced, window.produced))
        elif action == "drain":
            on_the_way += drain(window, size)
            assert len(window._under_way) <= BACKLOG_MESSAGES
        elif action == "deliver" and on_the_way:
            cut = on_the_way.pop(size % len(on_the_way))
            has |= set(range(cut.first, cut.last + 1))
            answer()
        elif action == "lose" and on_the_way:
            on_the_way.pop(size % len(on_the_way))
        elif action in ("silence", "reconnect"):
            window.restart(0.0)
        assert window.acked < window.cursor <= window.produced + 1
    window.restart(0.0)
    while cuts := drain(window, 7):
        for cut in cuts:
            has |= set(range(cut.first, cut.last + 1))
        answer()
    assert has == set(range(1, window.produced + 1))
    assert window.acked == window.produced
    assert not window.unanswered
