"""What a home is: place, tariff, limits and battery, as an installer writes it and both ends plan with it."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from hearth_core.tariff import Tariff

Percent = Annotated[float, Meta(ge=0, le=100)]
PositiveW = Annotated[float, Meta(gt=0, le=1e6)]


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Facts never change while an agent runs, and a misspelt key is refused."""


class Limits(_Facts, frozen=True, kw_only=True):
    """Local electrical limits; the hub can narrow them, never widen them."""

    main_fuse_a: Annotated[float, Meta(gt=0, le=250)]
    phases: Annotated[int, Meta(ge=1, le=3)] = 3
    export_limit_w: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    phase_imbalance_a: Annotated[float, Meta(gt=0, le=250)] | None = None
    """How far apart the currents of two phases may be, where the grid operator asks for it (often 20 A)."""
    grid_may_charge_battery: bool = True
    battery_may_charge_car: bool = True
    battery_cycles_per_day: Annotated[float, Meta(gt=0, le=20)] = 3.0
    """Full cycles after which nothing is forced on the battery any more."""
    slot_spread_s: Annotated[float, Meta(ge=0, le=600)] = 0.0
    """Each device of the home follows a plan's step edges late by a fixed share of this, so that thousands of homes
    do not switch in one second; 0 for a home of its own."""


class BatteryFacts(_Facts, frozen=True, kw_only=True):
    """A battery as its data sheet states it; powers are at the AC terminals."""

    capacity_wh: Annotated[float, Meta(gt=0, le=1e6)]
    max_charge_w: PositiveW
    max_discharge_w: PositiveW
    min_soc_percent: Percent = 5.0
    max_soc_percent: Percent = 100.0
    efficiency: Annotated[float, Meta(gt=0.3, le=1)] = 0.95
    """One-way efficiency between AC terminals and cells at half power [1]."""
    own_use_w: Annotated[float, Meta(ge=0, le=500)] = 10.0
    """What the battery and its electronics draw while they wait [W]."""
    wear_eur_per_kwh: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """What one kWh through the cells costs in wear [EUR/kWh]."""

    def __post_init__(self) -> None:
        if self.min_soc_percent >= self.max_soc_percent:
            msg = f"min_soc_percent: {self.min_soc_percent:g} must be below max_soc_percent, {self.max_soc_percent:g}"
            raise ValueError(msg)


class Site(_Facts, frozen=True, kw_only=True):
    """A home, as the agent announces it to the hub."""

    name: str
    timezone: str
    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    price_zone: str
    limits: Limits
    tariff: Tariff
    battery: BatteryFacts | None = None

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            msg = f"timezone: {self.timezone!r} is unknown; use a name such as Europe/Berlin"
            raise ValueError(msg) from error
