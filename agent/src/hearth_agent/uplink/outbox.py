"""What the agent says beside readings: the newest of each kind waits here until a connection takes it."""

from __future__ import annotations

import asyncio


class Outbox:
    """Retained messages by topic part; only the newest of each counts."""

    def __init__(self) -> None:
        self._waiting: dict[str, bytes] = {}
        self.filled = asyncio.Event()

    def put(self, part: str, payload: bytes) -> None:
        """Replace what waits under this topic part."""
        self._waiting[part] = payload
        self.filled.set()

    def take(self) -> tuple[str, bytes] | None:
        """Return one waiting message, or None."""
        if not self._waiting:
            self.filled.clear()
            return None
        part = next(iter(self._waiting))
        return part, self._waiting.pop(part)

    def put_back(self, part: str, payload: bytes) -> None:
        """Return a message that could not be delivered, unless a newer one came."""
        self._waiting.setdefault(part, payload)
        self.filled.set()
