"""What a plan says of single quarter-hours, whatever the length of its slots. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hearth_core.messages import Plan
from hearth_models.planning.policy import slot_index

QUARTER_MS = 900_000


@dataclass(frozen=True)
class Quarter:
    """What the plan in force in a quarter-hour said of it."""

    start_ms: int
    version: int
    mode: str
    reason: str
    soc_percent: float
    """Expected at the end of the plan's slot that holds the quarter-hour."""


def quarter_of(at_ms: int) -> int:
    """Return the start of the quarter-hour that holds an instant."""
    return at_ms // QUARTER_MS * QUARTER_MS


def said_of(plan: Plan, start_ms: int, end_ms: int) -> list[Quarter]:
    """Return what a plan says of the quarter-hours of a span, as far as it reaches.

    Args:
        plan: The plan.
        start_ms: Start of the first quarter-hour.
        end_ms: End of the span, exclusive.
    """
    found = []
    for at_ms in range(start_ms, min(end_ms, plan.valid_until_ms), QUARTER_MS):
        index = slot_index(plan, at_ms / 1000)
        if index is not None:
            slot = plan.slots[index]
            found.append(Quarter(at_ms, plan.version, slot.mode, slot.reason, slot.soc_percent))
    return found
