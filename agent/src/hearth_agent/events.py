"""What a person may want to know, kept until the uplink has told the hub."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from pathlib import Path

from hearth_core.clock import Clock, now_ms
from hearth_core.messages import Event, EventLevel, encode

logger = logging.getLogger(__name__)

_LOG_LEVELS = {EventLevel.INFO: logging.INFO, EventLevel.WARNING: logging.WARNING, EventLevel.ERROR: logging.ERROR}

TAIL_NAME = "events.jsonl"
_LONGEST_TAIL_BYTES = 64 * 1024


class EventLog:
    """A bounded queue: while the hub is away the oldest events give way."""

    def __init__(self, clock: Clock, capacity: int = 200, tail: Path | None = None) -> None:
        """Begin with nothing.

        Args:
            clock: The home's time.
            capacity: How many events may wait for the hub.
            tail: A file that keeps the last events for a person who looks for the cause of something.
        """
        self._clock, self._tail = clock, tail
        self._waiting: deque[Event] = deque(maxlen=capacity)

    def emit(self, level: EventLevel, kind: str, text: str, device: str | None = None) -> None:
        """Log something once and queue it for the hub."""
        logger.log(_LOG_LEVELS[level], "%s%s: %s", kind, f" [{device}]" if device else "", text)
        event = Event(at_ms=max(0, now_ms(self._clock)), level=level, kind=kind, device=device, text=text)
        self._waiting.append(event)
        if self._tail is not None:
            _append(self._tail, encode(event))

    def info(self, kind: str, text: str, device: str | None = None) -> None:
        """Emit what is good to know."""
        self.emit(EventLevel.INFO, kind, text, device)

    def warning(self, kind: str, text: str, device: str | None = None) -> None:
        """Emit what somebody should look at."""
        self.emit(EventLevel.WARNING, kind, text, device)

    def error(self, kind: str, text: str, device: str | None = None) -> None:
        """Emit what somebody must act on."""
        self.emit(EventLevel.ERROR, kind, text, device)

    def first(self) -> Event | None:
        """Return the oldest event the hub has not been told."""
        return self._waiting[0] if self._waiting else None

    def told(self, event: Event) -> None:
        """Forget an event that was delivered (it may have given way meanwhile)."""
        if self._waiting and self._waiting[0] is event:
            self._waiting.popleft()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._waiting)


def _append(tail: Path, line: bytes) -> None:
    """Add a line; a file that has grown too long keeps its newer half. A full disk is no reason to stop."""
    with contextlib.suppress(OSError):
        if tail.exists() and tail.stat().st_size > _LONGEST_TAIL_BYTES:
            lines = tail.read_bytes().splitlines(keepends=True)
            tail.write_bytes(b"".join(lines[len(lines) // 2 :]))
        with tail.open("ab") as file:
            file.write(line + b"\n")
