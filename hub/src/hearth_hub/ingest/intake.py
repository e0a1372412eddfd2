"""Messages between the broker's thread and the database's: bounded, and fair to every home.

A slow database slows the broker. A home that sends more than can be stored waits for itself alone: beyond its share its
messages are let go, which costs nothing, because an agent sends again what nobody acknowledged.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from hearth_hub.ingest.records import Record
from hearth_hub.ingest.service import Opened

# What is waiting takes about six times as much memory once it is read.
_MOST_BYTES = 16 * 1024 * 1024
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_READINGS = 40_000
# An agent has two merged messages and 64 live ones under way at most; much more than that is a flood.
_MOST_BYTES_OF_ONE = 1024 * 1024
_MOST_MESSAGES_OF_ONE = 256
# The quickest backlog on an idle hub is some hundred messages a second, for seconds.
_MESSAGES_PER_S = 500.0
_BURST = 1000.0
_MOST_BUDGETS = 100_000
_OVERHEAD_BYTES = 200


@dataclass
class _Line:
    """What waits of one home."""

    messages: deque[Opened] = field(default_factory=deque)
    size: int = 0


class Intake:
    """A queue bounded by bytes, in which the homes take turns."""

    def __init__(self, most_messages: int) -> None:
        """Make it.

        Args:
            most_messages: A batch is complete with so many.
        """
        self._most_messages = most_messages
        self._lines: dict[str, _Line] = {}
        self._turns: deque[str] = deque()
        self._budgets: dict[str, tuple[float, float]] = {}
        self._count = self._bytes = self._readings = 0
        self._changed = threading.Condition()
        self._closed = False

    def has_room(self, agent: str) -> bool:
        """Tell whether a home may add a message now; asked before the message is read, which costs more."""
        line = self._lines.get(agent)
        if line is not None and (len(line.messages) >= _MOST_MESSAGES_OF_ONE or line.size >= _MOST_BYTES_OF_ONE):
            return False
        now_s = time.monotonic()
        left, at_s = self._budgets.get(agent, (_BURST, now_s))
        left = min(_BURST, left + (now_s - at_s) * _MESSAGES_PER_S)
        if len(self._budgets) >= _MOST_BUDGETS:
            self._budgets.clear()
        self._budgets[agent] = (max(0.0, left - 1.0), now_s)
        return left >= 1.0

    def put(self, message: Opened) -> None:
        """Add a message; waits while too many bytes wait already."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._bytes < _MOST_BYTES)
            line = self._lines.setdefault(message.agent, _Line())
            if not line.messages:
                self._turns.append(message.agent)
            line.messages.append(message)
            line.size += _size(message)
            self._note(message, 1)
            self._changed.notify_all()

    def take(self, timeout_s: float, due_s: float) -> list[Opened]:
        """Return the next batch, of every home in turn; empty when nothing came.

        Args:
            timeout_s: How long to wait for a first message.
            due_s: Until when (monotonic) more messages are waited for, unless the batch is complete before.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._count > 0, timeout_s)
            if self._count:
                self._changed.wait_for(self._is_complete, max(0.0, due_s - time.monotonic()))
            batch: list[Opened] = []
            size = readings = 0
            while self._turns and len(batch) < self._most_messages:
                if size >= _BATCH_BYTES or readings >= _BATCH_READINGS:
                    break
                message = self._next()
                size += _size(message)
                readings += readings_of(message)
                batch.append(message)
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> Opened:
        agent = self._turns.popleft()
        line = self._lines[agent]
        message = line.messages.popleft()
        line.size -= _size(message)
        if line.messages:
            self._turns.append(agent)
        else:
            del self._lines[agent]
        self._note(message, -1)
        return message

    def _note(self, message: Opened, sign: int) -> None:
        self._count += sign
        self._bytes += sign * _size(message)
        self._readings += sign * readings_of(message)

    def _is_complete(self) -> bool:
        return (
            self._closed
            or self._count >= self._most_messages
            or self._bytes >= _BATCH_BYTES
            or self._readings >= _BATCH_READINGS
        )


def _size(message: Opened) -> int:
    return len(message.incoming.payload) + _OVERHEAD_BYTES


def readings_of(message: Opened) -> int:
    """Return how many readings a message brings."""
    return message.content.readings if isinstance(message.content, Record) else 0
