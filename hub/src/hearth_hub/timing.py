"""Instants between the wire (milliseconds) and the database (aware datetimes), and how fast time runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hearth_core.clock import Clock, SharedClock

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(milliseconds: int) -> datetime:
    """Return the aware UTC datetime of a wire instant, exact to the millisecond."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def instant_s(seconds: float) -> datetime:
    """Return the aware UTC datetime of seconds since 1970."""
    return _EPOCH + timedelta(seconds=seconds)


def milliseconds(at: datetime) -> int:
    """Return a wire instant."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def speed_of(clock: Clock) -> float:
    """Return how many seconds of a clock pass in a real one; 1 outside demos."""
    return clock.speed if isinstance(clock, SharedClock) else 1.0
