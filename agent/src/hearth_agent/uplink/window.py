"""Which records go next: a pure account of what the hub has, what is under way, and what waits.

Backlog goes out in order from ``acked + 1``, merged into large messages of which few are under way; the newest record
goes at once and alone between two of them, so that a page is fresh while days of backlog drain. The hub's word moves
the window; where it falls silent, everything since is sent again.
"""

from __future__ import annotations

from collections import deque

from hearth_agent.spool.merge import MAX_BYTES, Record

MOST_BACKLOG = 2
"""Backlog messages without the hub's word: a thousand homes then hold 128 MiB in the broker."""
MOST_LIVE = 64
"""Live records without the hub's word."""
SILENCE_S = 30.0
"""Real seconds without progress after which the window goes back."""

_MIN_BYTES = 4 * 1024
_QUICK_S = 1.0
_SLOW_S = 4.0


class Window:
    """The account of one connection."""

    def __init__(self, acked: int, now_s: float) -> None:
        self._acked = acked
        self._cursor = acked + 1
        self._backlog: deque[int] = deque()
        self._live: set[int] = set()
        self._progress_s = now_s

    @property
    def cursor(self) -> int:
        """The next record of the backlog."""
        return self._cursor

    def wants_live(self, last_seq: int) -> bool:
        """Tell whether the newest record should be sent now, alone."""
        return last_seq >= self._cursor and last_seq not in self._live and len(self._live) < MOST_LIVE

    def backlog(self, last_seq: int) -> int:
        """Return how many records, from the cursor on, the next backlog message may cover."""
        if len(self._backlog) >= MOST_BACKLOG:
            return 0
        ahead = min((seq for seq in self._live if seq >= self._cursor), default=last_seq + 1)
        return max(0, min(ahead, last_seq + 1) - self._cursor)

    def sent_live(self, record: Record, now_s: float) -> None:
        """Note that the newest record is under way."""
        self._begin(now_s)
        self._live.update((record.seq, record.through))
        self._skip()

    def sent_backlog(self, record: Record, now_s: float) -> None:
        """Note that the next message of the backlog is under way."""
        self._begin(now_s)
        self._backlog.append(record.through)
        self._cursor = record.through + 1
        self._skip()

    def _begin(self, now_s: float) -> None:
        if not self._backlog and not self._live:
            self._progress_s = now_s  # silence counts from when there was something to answer

    def _skip(self) -> None:
        while self._cursor in self._live:
            self._cursor += 1

    def acknowledge(self, upto: int, now_s: float) -> None:
        """Take the hub's word; a number lower than before sends the window back (the hub was restored)."""
        if upto < self._acked:
            self._acked = upto
            self._restart(now_s)
            return
        if upto > self._acked:
            self._progress_s = now_s
        self._acked = upto
        while self._backlog and self._backlog[0] <= upto:
            self._backlog.popleft()
        self._live = {seq for seq in self._live if seq > upto}
        self._cursor = max(self._cursor, upto + 1)
        self._skip()

    def heed_silence(self, now_s: float) -> bool:
        """Go back to ``acked + 1`` when the hub said nothing for too long; True when it did."""
        if not (self._backlog or self._live) or now_s - self._progress_s < SILENCE_S:
            return False
        self._restart(now_s)
        return True

    def _restart(self, now_s: float) -> None:
        self._cursor = self._acked + 1
        self._backlog.clear()
        self._live.clear()
        self._progress_s = now_s


def next_size(max_bytes: int, took_s: float) -> int:
    """Return how large the next backlog message may be after one took so long [s]: a thin line gets small ones."""
    if took_s > _SLOW_S:
        return max(_MIN_BYTES, max_bytes // 2)
    return min(MAX_BYTES, 2 * max_bytes) if took_s < _QUICK_S else max_bytes
