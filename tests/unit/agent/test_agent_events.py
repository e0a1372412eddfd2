"""Events wait for the hub, and the last of them stay in a file for a person who looks for the cause of something."""

from __future__ import annotations

from pathlib import Path

from hearth_agent.events import TAIL_NAME, EventLog
from hearth_core.clock import ManualClock
from hearth_core.messages import Event, decode


def test_the_last_events_stay_in_a_file_that_does_not_grow_for_ever(tmp_path: Path) -> None:
    tail = tmp_path / TAIL_NAME
    events = EventLog(ManualClock(1000.0), capacity=5, tail=tail)
    for number in range(2000):
        events.info("counted", f"event {number} " + 50 * "x")
    assert len(events) == 5
    assert tail.stat().st_size < 80_000
    kept = [decode(line, Event) for line in tail.read_bytes().splitlines()]
    numbers = [int(event.text.split()[1]) for event in kept]
    assert numbers == list(range(numbers[0], 2000))
    assert len(numbers) > 200


def test_events_go_on_where_no_file_can_be_written(tmp_path: Path) -> None:
    events = EventLog(ManualClock(1000.0), tail=tmp_path / "no" / "folder" / TAIL_NAME)
    events.warning("told", "all the same")
    assert len(events) == 1
