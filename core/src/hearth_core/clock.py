"""The clock that is passed in everywhere, so that a demo can live a day in minutes and tests need no sleep.

``HEARTH_CLOCK`` unset means real time; ``HEARTH_CLOCK=file:/path`` means the time kept in that file, which one
conductor may stop, start and speed up while every process reads it (a copy of three numbers, no locking).
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

# A sleeper looks at the file again at least this often, because the conductor may have changed the speed.
_LONGEST_REAL_NAP_S = 0.1
_LAYOUT = struct.Struct("<QdddQ")  # version, real anchor [s], simulated anchor [s], speed, version again


class Clock(Protocol):
    """Time as the home lives it."""

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; for intervals, deadlines and time-outs."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""
        ...


def now(clock: Clock) -> datetime:
    """Return the instant as an aware UTC datetime."""
    return datetime.fromtimestamp(clock.time(), tz=UTC)


def now_ms(clock: Clock) -> int:
    """Return the instant as milliseconds since 1970-01-01 UTC, the form used on the wire."""
    return int(clock.time() * 1000)


class RealClock:
    """The machine's own time."""

    def time(self) -> float:
        """See `Clock.time`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when a test says so; sleeping advances it."""

    def __init__(self, start_s: float = 0.0) -> None:
        self.now_s = start_s

    def time(self) -> float:
        """See `Clock.time`."""
        return self.now_s

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Advance at once, then let other tasks run."""
        self.now_s += max(0.0, seconds)
        await asyncio.sleep(0)


class SharedClock:
    """Scaled time read from a small file: simulated = anchor + (real - real anchor) * speed."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size, access=mmap.ACCESS_READ)

    def _anchor(self) -> tuple[float, float, float]:
        while True:
            version, real_s, simulated_s, speed, again = _LAYOUT.unpack_from(self._map)
            if version == again:
                return real_s, simulated_s, speed

    @property
    def speed(self) -> float:
        """Simulated seconds a real second; 0 while the conductor holds time."""
        return self._anchor()[2]

    def time(self) -> float:
        """See `Clock.time`."""
        real_s, simulated_s, speed = self._anchor()
        return simulated_s + (time.time() - real_s) * speed

    def monotonic(self) -> float:
        """The conductor never turns time back, so this is the same as `time`."""
        return self.time()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        deadline_s = self.time() + seconds
        while (left_s := deadline_s - self.time()) > 0:
            speed = self.speed
            nap_s = left_s / speed if speed > 0 else _LONGEST_REAL_NAP_S
            await asyncio.sleep(min(nap_s, _LONGEST_REAL_NAP_S))
        await asyncio.sleep(0)


class ClockConductor:
    """Writes the file a `SharedClock` reads; there is one conductor."""

    def __init__(self, path: Path, start_s: float) -> None:
        self._version = 0
        path.write_bytes(_LAYOUT.pack(0, time.time(), start_s, 0.0, 0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)
        self.clock = SharedClock(path)

    def set_speed(self, speed: float) -> None:
        """Let time run at ``speed`` from the present instant on; 0 holds it."""
        self._write(self.clock.time(), speed)

    def hold_at(self, at_s: float) -> None:
        """Stop time at an instant that is not in the past."""
        self._write(max(at_s, self.clock.time()), 0.0)

    def _write(self, simulated_s: float, speed: float) -> None:
        self._version += 1
        real_s = time.time()
        # the leading version changes first and the trailing one last: a reader in between sees them differ
        struct.pack_into("<Q", self._map, 0, self._version)
        struct.pack_into("<ddd", self._map, 8, real_s, simulated_s, speed)
        struct.pack_into("<Q", self._map, 32, self._version)


def clock_from_environment() -> RealClock | SharedClock:
    """Return the clock named by ``HEARTH_CLOCK`` (see the module's text).

    Raises:
        ValueError: The variable is set to something else than ``file:PATH``, or there is no such clock.
    """
    setting = os.environ.get("HEARTH_CLOCK", "")
    if not setting:
        return RealClock()
    scheme, _, path = setting.partition(":")
    if scheme != "file" or not path:
        msg = f"HEARTH_CLOCK={setting!r}: use file:/path/to/clock, or unset it for real time"
        raise ValueError(msg)
    try:
        return SharedClock(Path(path))
    except OSError as error:
        msg = f"HEARTH_CLOCK={setting!r}: {error.strerror}; whoever keeps this clock makes the file first"
        raise ValueError(msg) from error
