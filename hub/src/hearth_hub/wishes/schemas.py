"""What may be asked of a home from outside."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hearth_core.messages import HeatMode, Mode, Side

_LONGEST_S = 7 * 86_400
_Watts = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class OverrideRequest(BaseModel):
    """The owner's wish for one device; one that asks for nothing takes back those before it."""

    model_config = ConfigDict(extra="forbid")

    device: str
    for_s: Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False)]
    battery: Mode | None = None
    power_w: Annotated[_Watts, Field(gt=0)] | None = None
    current_a: Annotated[float, Field(ge=0, le=80, allow_inf_nan=False)] | None = None
    heat_mode: HeatMode | None = None


class GridLimitRequest(BaseModel):
    """An order of the grid operator; ``limit_w`` null lifts the one before."""

    model_config = ConfigDict(extra="forbid")

    side: Side
    limit_w: _Watts | None
    duration_s: Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False)] | None = None


class Sent(BaseModel):
    """What is on its way to the home."""

    version: int
    ends_at_ms: int | None
    """Until then it is repeated to an agent that connects; None: until another takes its place."""
