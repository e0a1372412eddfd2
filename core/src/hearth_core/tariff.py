"""A tariff as data: what a kWh from and into the grid costs, when, and what stands on the invoice beside it.

Local time is the home's own clock, months are calendar months of it. Prices are before VAT; VAT is put on everything
that is paid to the supplier, not on what is paid for feed-in. `hearth_models.tariffs` computes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hearth_core.windows import PricedWindow, Window, check_windows

EurPerKwh = Annotated[float, Meta(ge=-1, le=2)]
"""In euros: a price written in cents is refused."""
Percent = Annotated[float, Meta(ge=0, le=100)]
NotNegative = Annotated[float, Meta(ge=0, le=1e6)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Minutes = Literal[15, 30, 60]
Month = Annotated[int, Meta(ge=1, le=12)]
_Label = Annotated[str, Meta(min_length=1, max_length=64)]


class _Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A misspelt key is refused; what is as usual is not sent, so that a plain tariff is understood by older hubs."""


class ImportKind(StrEnum):
    """Where the energy price of a kWh from the grid comes from."""

    DAY_AHEAD = "day_ahead"
    FIXED = "fixed"
    TIME_OF_USE = "time_of_use"


class ExportKind(StrEnum):
    """How feed-in is paid."""

    FIXED = "fixed"
    SPOT = "spot"
    TIME_OF_USE = "time_of_use"


class Fee(_Terms, frozen=True, kw_only=True):
    """A price per kWh from the grid beside the energy price: grid fees, taxes, levies."""

    name: _Label
    eur_per_kwh: EurPerKwh | None = None
    """What holds outside all windows; may be left out where the windows cover all time."""
    windows: tuple[PricedWindow, ...] = ()
    is_credited: bool = True
    """Whether net metering gives it back."""

    def __post_init__(self) -> None:
        check_windows("windows", self.windows, outside="eur_per_kwh", has_outside=self.eur_per_kwh is not None)


class Tier(_Terms, frozen=True, kw_only=True):
    """A price per kWh up to some consumption in a calendar month, on top of the energy price."""

    eur_per_kwh: EurPerKwh
    up_to_kwh: Positive | None = None
    """Where it ends, counted from the start of the month; only the last tier has no end [kWh]."""


class NetMetering(_Terms, frozen=True, kw_only=True):
    """In each period feed-in is credited at the price of import, up to the import; the rest is paid as feed-in."""

    period: Literal["month", "year"] = "month"
    first_month: Month = 1
    """Where the years begin."""


class DemandPrice(_Terms, frozen=True, kw_only=True):
    """A price for the highest mean import of any step in a month."""

    eur_per_kw: NotNegative
    """For each calendar month [EUR/kW]."""
    name: _Label = "Demand"
    step_min: Minutes = 15
    windows: tuple[Window, ...] = ()
    """When it counts; always when empty. A step counts when it begins in a window."""
    free_kw: NotNegative = 0.0
    """Up to here nothing is paid."""
    minimum_kw: NotNegative = 0.0
    """What is paid for at least, after what is free."""

    def __post_init__(self) -> None:
        check_windows("windows", self.windows)


class StandingCharge(_Terms, frozen=True, kw_only=True):
    """What is paid per day or per month whatever is consumed; part of a month costs its share of days."""

    name: _Label = "Standing charge"
    eur_per_day: NotNegative | None = None
    eur_per_month: NotNegative | None = None

    def __post_init__(self) -> None:
        if (self.eur_per_day is None) == (self.eur_per_month is None):
            msg = "eur_per_day: give either it or eur_per_month"
            raise ValueError(msg)


class Tariff(_Terms, frozen=True, kw_only=True):
    """Prices of a home: import = (energy + adder + fees + tier) * (1 + VAT); export fixed, by spot, or by time.

    The energy price is day-ahead * ``import_factor`` (``day_ahead``), or ``import_eur_per_kwh`` outside all
    ``import_windows`` and the window's own inside (``fixed`` has no windows). Spot feed-in is day-ahead *
    ``export_share`` + ``export_eur_per_kwh``.
    """

    name: str = ""
    vat_percent: Percent = 0.0
    import_kind: ImportKind = ImportKind.DAY_AHEAD
    import_factor: Annotated[float, Meta(ge=0, le=5)] = 1.0
    market_step_min: Minutes | None = None
    """Day-ahead prices are averaged over such steps of the clock; taken as they come when absent."""
    import_eur_per_kwh: EurPerKwh | None = None
    import_windows: tuple[PricedWindow, ...] = ()
    import_adder_eur_per_kwh: EurPerKwh = 0.0
    fees: tuple[Fee, ...] = ()
    tiers: tuple[Tier, ...] = ()
    """By what was imported since the start of the month (with net metering: import less feed-in)."""
    export_kind: ExportKind = ExportKind.FIXED
    export_eur_per_kwh: EurPerKwh = 0.0
    export_share: Annotated[float, Meta(ge=0, le=5)] = 1.0
    export_windows: tuple[PricedWindow, ...] = ()
    is_export_paid_when_negative: bool = True
    """False: while the day-ahead price is below 0, feed-in neither earns nor costs anything."""
    net_metering: NetMetering | None = None
    demand: tuple[DemandPrice, ...] = ()
    standing: tuple[StandingCharge, ...] = ()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ValueError(problem)
        kind = self.import_kind
        has_price = kind is ImportKind.DAY_AHEAD or self.import_eur_per_kwh is not None
        check_windows("import_windows", self.import_windows, outside="import_eur_per_kwh", has_outside=has_price)
        check_windows("export_windows", self.export_windows)

    @property
    def import_needs_day_ahead(self) -> bool:
        """Whether what a kWh from the grid costs depends on the market."""
        return self.import_kind is ImportKind.DAY_AHEAD

    @property
    def export_needs_day_ahead(self) -> bool:
        """Whether what a kWh fed in earns depends on the market."""
        return self.export_kind is ExportKind.SPOT or not self.is_export_paid_when_negative

    @property
    def depends_on_consumption(self) -> bool:
        """Whether prices depend on what the month or the net metering period has seen already."""
        return bool(self.tiers) or self.net_metering is not None

    def _problems(self) -> Iterator[str]:
        kind, export = self.import_kind, self.export_kind
        if kind is ImportKind.DAY_AHEAD and self.import_eur_per_kwh is not None:
            yield "import_eur_per_kwh: is not used with import_kind day_ahead; use import_adder_eur_per_kwh"
        if kind is ImportKind.FIXED and self.import_eur_per_kwh is None:
            yield "import_eur_per_kwh: must be given with import_kind fixed"
        if kind is not ImportKind.DAY_AHEAD and (self.import_factor != 1 or self.market_step_min):
            yield "import_factor: it and market_step_min are only for import_kind day_ahead"
        if (kind is ImportKind.TIME_OF_USE) != bool(self.import_windows):
            yield "import_windows: must be given with import_kind time_of_use, and only then"
        if (export is ExportKind.TIME_OF_USE) != bool(self.export_windows):
            yield "export_windows: must be given with export_kind time_of_use, and only then"
        if export is not ExportKind.SPOT and self.export_share != 1:
            yield "export_share: is only for export_kind spot"
        ends = [tier.up_to_kwh for tier in self.tiers]
        for number, end in enumerate(ends):
            is_last = number == len(ends) - 1
            if is_last and end is not None:
                yield f"tiers[{number}].up_to_kwh: leaves a gap above {end} kWh; the last tier has no end"
            if not is_last and (end is None or (number and end <= (ends[number - 1] or 0.0))):
                yield f"tiers[{number}].up_to_kwh: must be given and rise from tier to tier; only the last has no end"
