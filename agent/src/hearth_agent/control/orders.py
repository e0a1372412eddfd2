"""The words between the pure controller and the world: what was measured, what is ordered."""

from __future__ import annotations

import msgspec

from hearth_core.messages import Mode
from hearth_core.site import Limits
from hearth_models.battery import Battery


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes while the agent runs."""

    limits: Limits
    battery: Battery | None = None
    ev_min_a: float = 6.0
    ev_max_a: float | None = None
    """None: no charger is controlled."""


class Measurements(msgspec.Struct, frozen=True, kw_only=True):
    """The present; None is missing or too old. Signs as everywhere: into the home is +."""

    grid_w: float | None = None
    phase_a: tuple[float | None, ...] = ()
    """Current of each phase [A], + = import."""
    battery_w: float | None = None
    soc_percent: float | None = None
    ev_a: float | None = None
    """Highest phase current of the car [A]."""


class GridCaps(msgspec.Struct, frozen=True, kw_only=True):
    """What the grid operator allows now; None is no limit."""

    import_w: float | None = None
    export_w: float | None = None


class Interval(msgspec.Struct, frozen=True):
    """What the battery may do: it delivers ``clip(net load, lowest_w, highest_w)``, + = discharge."""

    lowest_w: float
    highest_w: float

    def contains(self, other: Interval) -> bool:
        """Tell whether every power of ``other`` is allowed here."""
        return self.lowest_w <= other.lowest_w and other.highest_w <= self.highest_w


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """What the devices are told; None leaves a device in its own mode."""

    battery: Interval | None = None
    ev_a: float | None = None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller remembers from step to step. Instants are seconds of a clock that never goes back."""

    order_mode: Mode = Mode.SELF_CONSUMPTION
    order: Interval | None = None
    """What the plan asked for last (before limits); None before the first step."""
    order_reason: str = ""
    order_since_s: float = float("-inf")
    full: bool = False
    """Charging is blocked until the charge has fallen clearly below its maximum."""
    empty: bool = False
    absorbing: bool = False
    """The export limit makes the battery take the surplus."""
    ev_a: float | None = None
    """EV limit in force; None = none."""
    ev_changed_s: float = float("-inf")
    over_since_s: float | None = None
    roomy_since_s: float | None = None
    meter_lost_s: float | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one step."""

    commands: Commands
    state: State
    mode: Mode
    reason: str
