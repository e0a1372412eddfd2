"""Past plans as the API shows them."""

from __future__ import annotations

from pydantic import BaseModel

from hearth_core.messages import Mode


class PastPlans(BaseModel):
    """What the plan in force in each step from ``start_ms`` on said of it; null where there was none."""

    start_ms: int
    step_s: int
    mode: list[Mode | None]
    soc_percent: list[float | None]
    """Expected at the end of the plan's slot that holds the step."""
    reason: list[str | None]
