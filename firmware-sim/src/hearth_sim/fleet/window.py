"""Which record goes next, as a real agent decides it: an account of one home's spool, without any I/O.

Backlog goes out in order from ``acked + 1``, merged, at most two messages at a time; a fresh record goes alone between
them. The hub's word moves the window; where it falls silent, everything since is sent again.
"""

from __future__ import annotations

from typing import NamedTuple

BACKLOG_MESSAGES = 2
LIVE_MESSAGES = 100
"""More fresh records than this without an answer wait as backlog."""
SILENCE_S = 30.0


class Cut(NamedTuple):
    """Consecutive records for one message."""

    first: int
    last: int


class Window:
    """The account of one home; it outlives connections."""

    __slots__ = ("_alone", "_progress_s", "_repeated", "_repeated_alone", "_under_way", "acked", "cursor", "produced")

    def __init__(self, produced: int = 0) -> None:
        self.produced = produced
        """Records since the epoch began."""
        self.acked = 0
        self.cursor = 1
        """The next record of the backlog."""
        self._under_way: list[int] = []  # last records of the backlog messages
        self._alone: set[int] = set()
        self._progress_s = 0.0
        # a record counts as sent again when it is not above the first, or one of the second
        self._repeated = 0
        self._repeated_alone: frozenset[int] = frozenset()

    @property
    def waiting(self) -> bool:
        """True when there is backlog that may be sent now."""
        return self.cursor <= self.produced and len(self._under_way) < BACKLOG_MESSAGES

    @property
    def unanswered(self) -> bool:
        """True when something was sent that is not acknowledged."""
        return self.acked + 1 < self.cursor or bool(self._alone)

    def take_newest(self, now_s: float) -> bool:
        """Note that the newest record is sent alone; False when it has to wait its turn."""
        if len(self._alone) >= LIVE_MESSAGES:
            return False
        self._begin_to_wait(now_s)
        self._alone.add(self.produced)
        self._skip_sent()
        return True

    def next_cut(self) -> Cut:
        """Return what may be merged next when something is `waiting`; how much of it fits is the caller's affair."""
        following = [seq for seq in self._alone if seq > self.cursor]
        return Cut(self.cursor, min(following) - 1 if following else self.produced)

    def take(self, cut: Cut, now_s: float) -> int:
        """Note that the beginning of `next_cut` is under way.

        Returns:
            How many of its records had been sent before.
        """
        self._begin_to_wait(now_s)
        self._under_way.append(cut.last)
        self.cursor = cut.last + 1
        self._skip_sent()
        below = max(0, min(cut.last, self._repeated) - cut.first + 1)
        return below + sum(cut.first <= seq <= cut.last for seq in self._repeated_alone)

    def acknowledge(self, upto: int, now_s: float) -> None:
        """Take the hub's word; a number lower than before sends the window back (the hub was restored)."""
        if upto > self.produced:
            return  # not of this story
        if upto < self.acked:
            self.acked = upto
            self.restart(now_s)
            return
        if upto > self.acked:
            self._progress_s = now_s
        self.acked = upto
        self.cursor = max(self.cursor, upto + 1)
        while self._under_way and self._under_way[0] <= upto:
            del self._under_way[0]
        if self._alone:
            self._alone = {seq for seq in self._alone if seq > upto}
            self._skip_sent()

    def is_silent(self, now_s: float) -> bool:
        """Tell whether the hub owes an answer for too long."""
        return now_s - self._progress_s >= SILENCE_S and self.unanswered

    def restart(self, now_s: float) -> None:
        """Go back to ``acked + 1``."""
        self._repeated = max(self._repeated, self.cursor - 1)
        self._repeated_alone = frozenset(seq for seq in self._alone | self._repeated_alone if seq > self._repeated)
        self.cursor = self.acked + 1
        self._under_way.clear()
        self._alone.clear()
        self._progress_s = now_s

    def _skip_sent(self) -> None:
        while self.cursor in self._alone:
            self.cursor += 1

    def _begin_to_wait(self, now_s: float) -> None:
        if not self.unanswered:
            self._progress_s = now_s  # silence counts from when there was something to answer
