"""Which record goes next: a pure account of what the hub has, what is under way, and what waits.

Backlog goes out in order from ``acked + 1``; the newest record goes between, so that a page is fresh while days of
backlog drain. The hub's word moves the window; where it falls silent, everything since is sent again.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hearth_agent.spool.store import Record

BATCH = 8
"""Records that wait for the broker's answer at the same time."""
MAX_BYTES = 8 * 64 * 1024
MAX_RECORDS = 256
SILENCE_S = 30.0
"""Real seconds without progress after which the window goes back."""


class _UnderWay(NamedTuple):
    through: int
    size: int


class Window:
    """The account of one connection."""

    def __init__(self, acked: int, now_s: float) -> None:
        self._acked = acked
        self._cursor = acked + 1
        self._under_way: deque[_UnderWay] = deque()
        self._bytes = 0
        self._ahead: set[int] = set()
        self._progress_s = now_s

    @property
    def cursor(self) -> int:
        """The next record of the backlog."""
        return self._cursor

    def room(self) -> int:
        """Return how many records may be sent now."""
        if self._bytes >= MAX_BYTES:
            return 0
        return min(BATCH, MAX_RECORDS - len(self._under_way))

    def wants_newest(self, last_seq: int) -> bool:
        """Tell whether the newest record should jump the queue: it is not the next one anyway, and was not sent."""
        return last_seq - self._cursor >= BATCH and last_seq not in self._ahead and len(self._ahead) < MAX_RECORDS

    def sent_ahead(self, record: Record) -> None:
        """Note that the newest record was sent before its turn."""
        self._ahead.add(record.seq)

    def take(self, records: list[Record], now_s: float) -> list[Record]:
        """Note that these, the next in order, are under way; return those that were not sent before their turn."""
        if not self._under_way:
            self._progress_s = now_s  # silence counts from when there was something to answer
        fresh = []
        for record in records:
            self._cursor = record.through + 1
            self._under_way.append(_UnderWay(record.through, len(record.payload)))
            self._bytes += len(record.payload)
            if record.seq in self._ahead:
                self._ahead.discard(record.seq)
            else:
                fresh.append(record)
        return fresh

    def acknowledge(self, upto: int, now_s: float) -> None:
        """Take the hub's word; a number lower than before sends the window back (the hub was restored)."""
        if upto < self._acked:
            self._acked = upto
            self._restart(now_s)
            return
        if upto > self._acked:
            self._progress_s = now_s
        self._acked = upto
        while self._under_way and self._under_way[0].through <= upto:
            self._bytes -= self._under_way.popleft().size
        if self._cursor <= upto:
            self._cursor = upto + 1
        self._ahead = {seq for seq in self._ahead if seq > upto} if self._ahead else self._ahead

    def heed_silence(self, now_s: float) -> bool:
        """Go back to ``acked + 1`` when the hub said nothing for too long; True when it did."""
        if not self._under_way or now_s - self._progress_s < SILENCE_S:
            return False
        self._restart(now_s)
        return True

    def _restart(self, now_s: float) -> None:
        self._cursor = self._acked + 1
        self._under_way.clear()
        self._bytes = 0
        self._ahead.clear()
        self._progress_s = now_s
