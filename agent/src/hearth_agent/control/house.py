"""What the controller knows of the home before it looks: limits, battery, chargers, heaters, roof.

Lines are the phases of the house counted from 0; a charger's own L1 may be wired to any of them.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from hearth_agent.devices.profile import Case
from hearth_core.site import Limits
from hearth_core.windows import Window
from hearth_models.battery import Battery

ALL_CASES = frozenset({Case.LIMIT, Case.HOLD, Case.CHARGE, Case.DISCHARGE})


class Charger(msgspec.Struct, frozen=True, kw_only=True):
    """One charging point."""

    id: str
    lines: tuple[int, ...] = (0, 1, 2)
    """The line of the house that each of its phases is wired to."""
    min_a: float = 6.0
    max_a: float = 16.0
    switchable: bool = False
    """It can be told to charge on one phase or on three."""
    controlled: bool = True
    """False: only watched; what it draws still counts."""
    offset_s: float = 0.0
    """How much later than the plan says it changes its slot."""


class Heater(msgspec.Struct, frozen=True, kw_only=True):
    """One heat pump or water heater that may be told something."""

    id: str
    rated_w: float = 3_000.0
    lines: tuple[int, ...] = (0, 1, 2)
    has_power: bool = False
    """It takes a power; otherwise it takes the modes of SG-Ready."""
    dwell_s: float = 600.0
    longest_block_s: float = 7_200.0
    starts_per_hour: int = 3
    floor_c: float | None = None
    legionella: tuple[Window, ...] = ()
    offset_s: float = 0.0


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes while the agent runs. Devices that are only watched take no orders and are left out."""

    limits: Limits
    timezone: ZoneInfo = ZoneInfo("UTC")
    battery: Battery | None = None
    """None: no battery is controlled."""
    battery_id: str = "battery"
    cases: frozenset[Case] = ALL_CASES
    """The kinds of order the battery's profile can say."""
    battery_offset_s: float = 0.0
    chargers: tuple[Charger, ...] = ()
    heaters: tuple[Heater, ...] = ()
    pv_id: str = "pv"
    pv_rated_w: float | None = None
    """None: nobody can limit the roof."""

    def __post_init__(self) -> None:
        wired = [(one.id, one.lines) for one in self.chargers] + [(one.id, one.lines) for one in self.heaters]
        for device, lines in wired:
            if not lines or not set(lines) <= set(range(self.limits.phases)):
                msg = f"{device} is wired to lines {lines}, the house has {self.limits.phases}"
                raise ValueError(msg)
