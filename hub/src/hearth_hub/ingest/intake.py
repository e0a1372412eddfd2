"""Messages between the broker's thread and the database's: bounded, so that a slow database slows the broker."""

from __future__ import annotations

import threading
import time
from collections import deque

from hearth_hub.ingest.records import Record
from hearth_hub.ingest.service import Opened

# What is waiting takes about six times as much memory once it is read.
_MOST_BYTES = 8 * 1024 * 1024
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_READINGS = 20_000
_OVERHEAD_BYTES = 200


class Intake:
    """A queue bounded by bytes, whose end takes out a batch."""

    def __init__(self, most_messages: int) -> None:
        """Make it.

        Args:
            most_messages: A batch is complete with so many.
        """
        self._most_messages = most_messages
        self._messages: deque[Opened] = deque()
        self._bytes = 0
        self._readings = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, message: Opened) -> None:
        """Add a message; waits while too many bytes wait already."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._bytes < _MOST_BYTES)
            self._messages.append(message)
            self._bytes += _size(message)
            self._readings += _readings(message)
            self._changed.notify_all()

    def take(self, timeout_s: float, due_s: float) -> list[Opened]:
        """Return the next batch; empty when nothing came.

        Args:
            timeout_s: How long to wait for a first message.
            due_s: Until when (monotonic) more messages are waited for, unless the batch is complete before.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._messages), timeout_s)
            if self._messages:
                self._changed.wait_for(self._is_complete, max(0.0, due_s - time.monotonic()))
            batch: list[Opened] = []
            size = readings = 0
            while self._messages and len(batch) < self._most_messages:
                if size >= _BATCH_BYTES or readings >= _BATCH_READINGS:
                    break
                message = self._messages.popleft()
                size += _size(message)
                readings += _readings(message)
                batch.append(message)
            self._bytes -= size
            self._readings -= readings
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_complete(self) -> bool:
        return (
            self._closed
            or len(self._messages) >= self._most_messages
            or self._bytes >= _BATCH_BYTES
            or self._readings >= _BATCH_READINGS
        )


def _size(message: Opened) -> int:
    return len(message.incoming.payload) + _OVERHEAD_BYTES


def _readings(message: Opened) -> int:
    return message.content.readings if isinstance(message.content, Record) else 0
