"""How several cars divide what there is: whoever charges keeps its turn, and nobody grows past another that could."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hearth_agent.control.phases import Room

STEP_A = 1.0


class Want(NamedTuple):
    """One car that would take something; the first of a list is served first."""

    id: str
    lines: tuple[int, ...]
    min_a: float
    most_a: float


def share(room: Room, wants: Sequence[Want]) -> dict[str, float]:
    """Divide the room in whole amperes; it is smaller afterwards.

    Args:
        room: What is free without these cars.
        wants: In the order of their turns.

    Returns:
        Current of each car [A]: 0, or from ``min_a`` to ``most_a``. First everybody whose turn it is gets the least a
        car can use, then whoever has least grows.
    """
    given = dict.fromkeys((want.id for want in wants), 0.0)
    growing: list[Want] = []
    for want in wants:
        if want.most_a >= want.min_a and room.fits(want.lines, want.min_a):
            room.take(want.lines, want.min_a)
            given[want.id] = want.min_a
            growing.append(want)
    while growing:
        want = min(growing, key=lambda one: given[one.id])
        step_a = min(STEP_A, want.most_a - given[want.id])
        if step_a > 0 and room.fits(want.lines, step_a):
            room.take(want.lines, step_a)
            given[want.id] += step_a
        else:
            growing.remove(want)
    return given
