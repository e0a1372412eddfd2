"""What one source holds one side to, and how that changes with time and signals: pure, and without a wall clock.

Only passed time counts (``elapsed_s`` of a clock that never goes back), so neither a jump of the wall clock nor a
power cut can end a limit early: time in which the agent did not run is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hearth_agent.control.orders import GridCaps
from hearth_agent.grid.sources import GridSource
from hearth_core.messages import Side


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """What was heard of a source since the last look."""

    is_alive: bool = False
    has_limit: bool = False
    """Whether a limit (or the end of one) was received."""
    limit_w: float | None = None
    duration_s: float | None = None
    """None: until it is lifted."""


SILENCE = Signal()


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one source; kept over a restart as it is."""

    limit_w: float | None = None
    left_s: float | None = None
    """How long the limit holds still; None: until it is lifted."""
    silent_s: float = 0.0
    failsafe_for_s: float | None = None
    """How long the failsafe has held; None: it does not."""
    is_fresh: bool = True
    """Whether a limit was received since the failsafe began."""


def advance(source: GridSource, held: Held, elapsed_s: float, signal: Signal = SILENCE) -> Held:
    """Let time pass, then take what was heard.

    The failsafe begins when the heartbeat is lost, holds for ``failsafe_s`` at least, and is left only with a
    heartbeat and a limit that was received since.
    """
    left_s = None if held.left_s is None else held.left_s - elapsed_s
    limit_w = held.limit_w
    if left_s is not None and left_s <= 0:
        limit_w = left_s = None
    silent_s = 0.0 if signal.is_alive else held.silent_s + elapsed_s
    failsafe_for_s = None if held.failsafe_for_s is None else held.failsafe_for_s + elapsed_s
    is_fresh = held.is_fresh
    if source.heartbeat_s is not None and failsafe_for_s is None and silent_s > source.heartbeat_s:
        failsafe_for_s, is_fresh = 0.0, False
    if signal.has_limit:
        limit_w, left_s, is_fresh = signal.limit_w, signal.duration_s, True
    is_heard = source.heartbeat_s is None or silent_s <= source.heartbeat_s
    if failsafe_for_s is not None and failsafe_for_s >= source.failsafe_s and is_heard and is_fresh:
        failsafe_for_s = None
    return Held(limit_w=limit_w, left_s=left_s, silent_s=silent_s, failsafe_for_s=failsafe_for_s, is_fresh=is_fresh)


def cap_w(source: GridSource, held: Held) -> float | None:
    """Return what a source holds its side to now: the lower of limit and failsafe [W]."""
    failsafe_w = None if held.failsafe_for_s is None else source.failsafe_w
    known = [one for one in (held.limit_w, failsafe_w) if one is not None]
    return min(known) if known else None


def resolve(states: Iterable[tuple[GridSource, Held]]) -> GridCaps:
    """Return the lowest limit of all sources for each side."""
    lowest: dict[Side, float] = {}
    for source, held in states:
        if (most_w := cap_w(source, held)) is not None:
            lowest[source.side] = min(most_w, lowest.get(source.side, most_w))
    return GridCaps(import_w=lowest.get(Side.IMPORT), export_w=lowest.get(Side.EXPORT))


def explain(states: Iterable[tuple[GridSource, Held]]) -> str:
    """Name every source that holds a side now, for a person; empty when none does."""
    words = []
    for source, held in states:
        if (most_w := cap_w(source, held)) is not None:
            is_failsafe = held.failsafe_for_s is not None and most_w == source.failsafe_w
            why = f"{source.name} lost its heartbeat" if is_failsafe else source.name
            words.append(f"{source.side.value} at most {most_w:.0f} W ({why})")
    return ", ".join(words)
