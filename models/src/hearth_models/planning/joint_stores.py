"""What stores energy in the joint programme: its columns, and how they hang together from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hearth_models.arrays import FloatArray, IntArray
from hearth_models.planning.joint import Flow, Joint


@dataclass(frozen=True)
class Store:
    """Columns of something that stores energy."""

    name: str
    charge: Flow
    discharge: Flow | None
    stored: IntArray
    below: IntArray | None
    """By how much the stored energy is less than ``stored`` says."""
    rows: IntArray
    """Whose duals are the worth of stored energy."""


def storage(
    joint: Joint, stored: IntArray, moved: Sequence[tuple[IntArray, FloatArray]], own: FloatArray, now: float
) -> IntArray:
    """Let stored energy be what was there, and what was moved since.

    Args:
        joint: The programme.
        stored: Columns of the energy at the end of each step [kWh].
        moved: Columns that take it away, each with kWh for one unit of it.
        own: What comes by itself in each step [kWh].
        now: What is there at first [kWh].

    Returns:
        The rows, one a step.
    """
    first = joint.programme.rows(
        [(stored[:1], 1.0), *((columns[:1], factor[:1]) for columns, factor in moved)],
        lower=now + own[0],
        upper=now + own[0],
    )
    if joint.n == 1:
        return first
    later = joint.programme.rows(
        [(stored[1:], 1.0), (stored[:-1], -1.0), *((columns[1:], factor[1:]) for columns, factor in moved)],
        lower=own[1:],
        upper=own[1:],
    )
    return np.concatenate([first, later])
