"""Forecast accuracy as the API shows it."""

from __future__ import annotations

from pydantic import BaseModel


class RecentAccuracy(BaseModel):
    """Skill is 1 - error / error of the seasonal-naive forecast made at the same instants; null = nothing known."""

    load_skill: float | None
    pv_skill: float | None
    load_mae_w: float | None
    pv_mae_w: float | None
    days: float
