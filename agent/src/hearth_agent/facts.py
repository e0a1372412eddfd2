"""What an installer says of a heater beyond its profile."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from hearth_core.windows import Window


class HeaterFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A heat pump or water heater, and what must not happen to it."""

    rated_w: Annotated[float, Meta(gt=0, le=100_000)] = 3_000.0
    """Electrical power; counted with where the device does not tell what it draws [W]."""
    dwell_s: Annotated[float, Meta(ge=60, le=7200)] = 600.0
    """A mode stays at least so long (SG-Ready asks for 10 minutes)."""
    longest_block_s: Annotated[float, Meta(ge=3600, le=7200)] = 7200.0
    """After so long without pause it must be allowed to heat, for half as long as it was blocked [s].
    An hour at least, for by then it may be started again."""
    starts_per_hour: Annotated[int, Meta(ge=1, le=20)] = 3
    comfort_floor_c: Annotated[float, Meta(ge=-20, le=90)] | None = None
    """Below this temperature it is not blocked."""
    legionella: list[Window] = []
    """Local times at which it heats against legionella: never blocked then."""
