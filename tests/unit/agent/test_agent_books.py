"""What leases keep on the disk, read back after every kind of end; and the sign of life."""

import time
from pathlib import Path

import pytest

from hearth_agent.control.budget import WriteBudget
from hearth_agent.control.heartbeat import is_stuck
from hearth_agent.control.ordered import Contact, Ordered, OrdersFile, SafeWrite
from hearth_core.clock import ManualClock

ENTRY = Ordered("car", "ev_current", Contact("10.0.0.7", 502, 1), [SafeWrite(16, 299, [16]), SafeWrite(5, 3, [0])], 0.5)


def test_orders_outlive_the_process(tmp_path: Path) -> None:
    orders = OrdersFile.load(tmp_path / "orders.json")
    orders.put(ENTRY)
    again = OrdersFile.load(tmp_path / "orders.json")
    assert again.entries == [ENTRY]
    again.drop(ENTRY.key)
    assert OrdersFile.load(tmp_path / "orders.json").entries == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"ordered": [1]}', b'{"ordered": [{"device": "a"}]}'])
def test_a_file_that_is_none_stops_nobody(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "orders.json"
    path.write_bytes(content)
    orders = OrdersFile.load(path)
    assert orders.entries == []
    orders.put(ENTRY)
    assert OrdersFile.load(path).entries == [ENTRY]


def test_what_could_not_be_written_is_not_in_the_file_either(tmp_path: Path) -> None:
    orders = OrdersFile.load(tmp_path / "orders.json")
    (tmp_path / "orders.json.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        orders.put(ENTRY)
    assert orders.entries == []


def test_a_budget_outlives_restarts_and_clocks_that_are_set_back(tmp_path: Path) -> None:
    clock = ManualClock(20_000 * 86_400.0 + 3_600)
    path = tmp_path / "writes.json"
    budget = WriteBudget(path, clock)
    assert budget.has_room(["a", "b"], 3)
    budget.spend(["a", "b"])
    budget.spend(["a"])
    budget = WriteBudget(path, clock)
    assert (budget.written("a"), budget.written("b")) == (2, 1)
    assert not budget.has_room(["a", "b"], 3)  # one is kept for the safe state
    assert budget.has_room(["b"], 3)
    clock.now_s -= 86_400
    assert budget.written("a") == 2
    clock.now_s += 86_400
    assert budget.written("a") == 0
    path.write_bytes(b"rubbish")
    assert WriteBudget(path, clock).written("b") == 0


def test_a_controller_is_stuck_only_when_a_step_is_overdue_by_both_clocks() -> None:
    class Steps:
        stepped_s = time.monotonic() - 60
        due_s = 100.0

    assert is_stuck(Steps(), ManualClock(110.0))
    assert not is_stuck(Steps(), ManualClock(100.0))  # a demo's time is held
    Steps.stepped_s = time.monotonic()
    assert not is_stuck(Steps(), ManualClock(110.0))  # a fast demo hurries past
