"""The words between the pure controller and the world: what was measured, what is ordered, and why."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from hearth_agent.control.caps import FULL, Bucket
from hearth_core.messages import HeatMode, Mode


class CarReading(msgspec.Struct, frozen=True, kw_only=True):
    """What one charger tells."""

    line_a: tuple[float | None, ...] = ()
    """Current of its own L1, L2, L3 [A]."""
    wanting: bool | None = None
    """Whether a car is there that is not finished; None where it does not tell."""


class HeaterReading(msgspec.Struct, frozen=True, kw_only=True):
    """What one heater tells."""

    power_w: float | None = None
    temperature_c: float | None = None


class Measurements(msgspec.Struct, frozen=True, kw_only=True):
    """The present; None is missing or too old. Signs as everywhere: into the home is +."""

    grid_w: float | None = None
    phase_a: tuple[float | None, ...] = ()
    """Current of each phase [A], + = import."""
    battery_w: float | None = None
    soc_percent: float | None = None
    pv_w: float | None = None
    """AC power of the roof that can be turned down."""
    cars: Mapping[str, CarReading] = {}
    heaters: Mapping[str, HeaterReading] = {}

    def car(self, charger: str) -> CarReading:
        """Return what a charger tells; one that is not known tells nothing."""
        return self.cars.get(charger, _NO_CAR)

    def heater(self, heater: str) -> HeaterReading:
        """Return what a heater tells; one that is not known tells nothing."""
        return self.heaters.get(heater, _NO_HEATER)


_NO_CAR, _NO_HEATER = CarReading(), HeaterReading()


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


class CarCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What one charger is told; None leaves it to the charger."""

    current_a: float | None = None
    """0 pauses; otherwise the most a phase may carry [A]."""
    phases: int | None = None


HeatCommand = HeatMode | float | None
"""A mode of SG-Ready, or a power [W]; None leaves the heater to itself."""


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """What the devices are told; None leaves a device in its own mode."""

    battery: Interval | None = None
    cars: Mapping[str, CarCommand] = {}
    heaters: Mapping[str, HeatCommand] = {}
    pv_limit_w: float | None = None


class Cause(StrEnum):
    """Which layer had the last word about a command, from the weakest to the strongest."""

    FALLBACK = "fallback"  # no valid plan: each device in its own mode
    CLOCK = "clock"  # nobody knows what time it is
    PLAN = "plan"
    OVERRIDE = "override"
    OWNER = "owner"  # a switch of the site file
    DEVICE = "device"  # charge band, shortest times, starts, daily budgets
    GRID = "grid"  # the grid operator, or the site's export limit
    METER = "meter"  # nobody sees the main fuse
    FUSE = "fuse"  # main fuse or imbalance


class Reason(msgspec.Struct, frozen=True):
    """Why a command is what it is."""

    cause: Cause
    text: str
    ref: str = ""
    """Plan version and slot, or override version."""


class CarState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one charger."""

    limit_a: float | None = None
    """Limit in force; None = the charger's own."""
    changed_s: float = float("-inf")
    switched_s: float = float("-inf")
    """When it last went from charging to paused or back."""
    raised_s: float = float("-inf")
    shed: bool = False
    """The fuse holds it back; it comes back slowly."""
    phases: int = 3
    phases_s: float = float("-inf")
    zero_since_s: float | None = None
    """Since when it is paused and draws nothing."""
    tight_since_s: float | None = None
    """Since when three phases have no room for it, and one would."""
    ample_since_s: float | None = None
    switches: Bucket = FULL


class HeaterState(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one heater."""

    command: HeatCommand = None
    changed_s: float = float("-inf")
    blocked_since_s: float | None = None
    raised_s: float = float("-inf")
    starts_s: tuple[float, ...] = ()
    """When it was allowed more than before, in the last hour."""
    rest_until_s: float = float("-inf")
    """It was blocked for long and is not blocked again before."""
    switches: Bucket = FULL


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the controller remembers from step to step. Instants are seconds of a clock that never goes back."""

    order_mode: Mode = Mode.SELF_CONSUMPTION
    order: Interval | None = None
    """What plan or owner asked for last (before limits); None before the first step."""
    order_reason: Reason = Reason(Cause.FALLBACK, "starting")
    order_since_s: float = float("-inf")
    order_version: int = 0
    order_until_s: float = float("inf")
    """End of the order's slot, by the wall clock."""
    switches: Bucket = FULL
    cycles: Bucket = FULL
    battery: Interval | None = None
    """The battery's last command."""
    battery_s: float = float("-inf")
    """When more charging than before was forced last."""
    full: bool = False
    """Charging is blocked until the charge has fallen clearly below its maximum."""
    empty: bool = False
    absorbing: bool = False
    """The export limit makes the battery take the surplus."""
    pv_limit_w: float | None = None
    pv_changed_s: float = float("-inf")
    exporting_since_s: float | None = None
    cars: Mapping[str, CarState] = {}
    heaters: Mapping[str, HeaterState] = {}
    seen: bool = False
    """The grid meter was read at least once."""
    over_since_s: float | None = None
    roomy_since_s: float | None = None
    meter_lost_s: float | None = None
    overrides: Mapping[str, tuple[int, float]] = {}
    """Version of each device's override and when it was first seen."""
    stepped_s: float | None = None

    def car(self, charger: str) -> CarState:
        """Return what is remembered of a charger."""
        return self.cars.get(charger, _NEW_CAR)

    def heater(self, heater: str) -> HeaterState:
        """Return what is remembered of a heater."""
        return self.heaters.get(heater, _NEW_HEATER)


_NEW_CAR, _NEW_HEATER = CarState(), HeaterState()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one step."""

    commands: Commands
    state: State
    mode: Mode
    reason: str
    causes: Mapping[str, Reason] = {}
    """By device: why it is told what it is told."""
