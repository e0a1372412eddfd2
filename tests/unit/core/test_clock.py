"""Time that can stand still, run fast and never goes back."""

import asyncio
import time
from pathlib import Path

import pytest

from hearth_core.clock import ClockConductor, ManualClock, RealClock, SharedClock, clock_from_environment, now, now_ms

START_S = 1_460_000_000.0


def test_the_clock_stands_still_until_the_conductor_lets_it_run(tmp_path: Path) -> None:
    conductor = ClockConductor(tmp_path / "clock", START_S)
    reader = SharedClock(tmp_path / "clock")
    assert reader.time() == START_S
    conductor.set_speed(1000.0)
    real_s = time.monotonic()
    while time.monotonic() - real_s < 0.02:
        pass
    assert 15.0 < reader.time() - START_S < 500.0
    conductor.hold_at(START_S + 600.0)
    assert reader.time() == START_S + 600.0


def test_a_change_of_speed_never_turns_time_back(tmp_path: Path) -> None:
    conductor = ClockConductor(tmp_path / "clock", START_S)
    last_s = conductor.clock.time()
    for speed in (1.0, 5000.0, 0.0, 3.0, 700.0):
        conductor.set_speed(speed)
        for _ in range(100):
            now_s = conductor.clock.time()
            assert now_s >= last_s
            last_s = now_s


async def test_a_sleeper_wakes_when_the_speed_rises_while_it_sleeps(tmp_path: Path) -> None:
    """A process that sleeps at demo start must not wait real hours after the clock was let go."""
    conductor = ClockConductor(tmp_path / "clock", START_S)
    conductor.set_speed(1.0)
    sleeper = asyncio.create_task(conductor.clock.sleep(3600.0))
    await asyncio.sleep(0)
    conductor.set_speed(100_000.0)
    await asyncio.wait_for(sleeper, 2.0)


async def test_a_manual_clock_moves_by_what_is_slept() -> None:
    clock = ManualClock(5.0)
    await clock.sleep(2.5)
    assert clock.monotonic() == 7.5
    assert now_ms(clock) == 7500
    assert now(clock).isoformat() == "1970-01-01T00:00:07.500000+00:00"


def test_the_environment_names_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEARTH_CLOCK", raising=False)
    assert isinstance(clock_from_environment(), RealClock)
    ClockConductor(tmp_path / "clock", START_S)
    monkeypatch.setenv("HEARTH_CLOCK", f"file:{tmp_path / 'clock'}")
    assert isinstance(clock_from_environment(), SharedClock)
    monkeypatch.setenv("HEARTH_CLOCK", f"file:{tmp_path / 'nobody'}")
    with pytest.raises(ValueError, match="whoever keeps this clock"):
        clock_from_environment()
    monkeypatch.setenv("HEARTH_CLOCK", "fast")
    with pytest.raises(ValueError, match="HEARTH_CLOCK"):
        clock_from_environment()
