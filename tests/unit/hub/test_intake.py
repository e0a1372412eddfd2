"""What waits between broker and database is bounded, and no home waits for another one's flood."""

from __future__ import annotations

import threading
import time

from hearth_core.clock import ManualClock
from hearth_hub.ingest.intake import Intake
from hearth_hub.ingest.service import Incoming, Opened, open_message

CLOCK = ManualClock(1_459_728_000.0)


def garbage(home: str, size: int = 10) -> Opened:
    return open_message(Incoming(f"hearth/{home}/readings", b"x" * size), CLOCK)


def test_a_flood_does_not_stand_before_the_others() -> None:
    intake = Intake(most_messages=50)
    for _ in range(200):
        intake.put(garbage("flood"))
    for home in ("anna", "ben", "cleo"):
        intake.put(garbage(home))
    batch = intake.take(0.0, 0.0)
    assert len(batch) == 50
    assert {"anna", "ben", "cleo"} <= {one.agent for one in batch[:4]}


def test_a_home_has_a_share_and_a_quiet_one_always_has_room() -> None:
    intake = Intake(most_messages=500)
    taken = 0
    while intake.has_room("flood"):
        intake.put(garbage("flood"))
        taken += 1
    assert taken == 256
    assert intake.has_room("anna")
    intake.take(0.0, 0.0)
    assert intake.has_room("flood")
    intake.put(garbage("large", 2_000_000))
    assert not intake.has_room("large")


def test_what_comes_faster_than_it_could_ever_be_needed_is_not_even_read() -> None:
    intake = Intake(most_messages=500)
    asked = sum(intake.has_room("flood") for _ in range(50_000))
    assert 1000 <= asked < 2000
    assert intake.has_room("anna")


def test_a_full_intake_lets_the_broker_wait_until_there_is_room() -> None:
    intake = Intake(most_messages=500)
    for number in range(19):
        intake.put(garbage(f"home-{number}", 900_000))
    late = threading.Thread(target=intake.put, args=(garbage("late"),))
    late.start()
    time.sleep(0.05)
    assert late.is_alive()
    assert len(intake.take(0.0, 0.0)) == 10, "a batch is bounded by bytes"
    late.join(5)
    assert not late.is_alive()
