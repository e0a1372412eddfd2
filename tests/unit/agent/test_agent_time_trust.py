"""When a wall clock may choose the slot of a plan, and when not."""

import pytest

from hearth_agent.control.timetrust import BOOTING_S, EARLIEST_S, STEADY_S, TimeTrust
from hearth_core.clock import ManualClock

NOW_S = 1_800_000_000.0
UP_S = 10_000.0


class Clocks:
    """A machine whose wall clock jumps when the test says so."""

    def __init__(self, synced: bool | None = True, up_s: float = UP_S, wall_s: float = NOW_S) -> None:
        self.synced, self.wall_s, self.tick_s = synced, wall_s, up_s
        self.trust = TimeTrust(of_machine=True, synced=lambda: self.synced)

    def live(self, seconds: int, jump_s: float = 0.0) -> list[bool]:
        self.wall_s += jump_s
        seen = []
        for _ in range(seconds):
            self.wall_s, self.tick_s = self.wall_s + 1, self.tick_s + 1
            seen.append(self.trust.look(self.wall_s, self.tick_s))
        return seen


@pytest.mark.parametrize("jump_s", [61.0, -61.0, 7_200.0, -3 * 86_400.0, 1e9, 60.0 - NOW_S])
def test_a_jump_ends_trust_at_once_and_the_way_back_brings_it_back(jump_s: float) -> None:
    clocks = Clocks()
    assert all(clocks.live(100))
    assert not any(clocks.live(100, jump_s))
    assert all(clocks.live(100, -jump_s))


def test_a_new_time_is_believed_after_some_steady_minutes() -> None:
    clocks = Clocks()
    clocks.live(10)
    assert not any(clocks.live(200, 7_200.0))
    assert not any(clocks.live(200, 120.0))  # it jumps again: the minutes begin anew
    seen = clocks.live(200)
    assert seen.index(True) == STEADY_S - 200


def test_small_steps_and_drift_are_nothing() -> None:
    clocks = Clocks()
    clocks.live(10)
    assert all(all(clocks.live(1_800, 20.0)) for _ in range(40))


def test_small_steps_that_sum_up_at_once_are_a_jump() -> None:
    clocks = Clocks()
    clocks.live(10)
    assert not all(all(clocks.live(5, 20.0)) for _ in range(4))


def test_a_year_before_this_software_is_never_believed() -> None:
    clocks = Clocks(wall_s=EARLIEST_S - 1_000)
    assert not any(clocks.live(900))
    assert clocks.live(200)[-1]


def test_a_machine_without_a_clock_waits_for_the_network_and_not_for_ever() -> None:
    clocks = Clocks(synced=False, up_s=20.0)
    assert not any(clocks.live(60))
    clocks.synced = True
    assert all(clocks.live(60, 86_400.0))
    alone = Clocks(synced=False, up_s=20.0)
    assert alone.live(int(BOOTING_S)).count(True) == 21


def test_a_demo_may_live_in_any_year() -> None:
    clock = ManualClock(1_460_000_000.0)
    trust = TimeTrust.of(clock)
    assert trust.trusted
    assert trust.look(clock.time(), clock.monotonic())
