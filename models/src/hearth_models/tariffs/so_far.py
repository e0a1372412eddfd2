"""What the running month and net metering period have seen: marginal prices and demand charges depend on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SoFar:
    """Sums since the start of the running month, and of the running net metering period; all 0 at their start.

    `hearth_models.tariffs.seen` makes it from readings.
    """

    month_import_kwh: float = 0.0
    month_export_kwh: float = 0.0
    period_import_kwh: float = 0.0
    period_export_kwh: float = 0.0
    period_gain_eur: float = 0.0
    """What crediting all feed-in of the period at the price of import would earn beyond its feed-in price."""
    peaks_kw: tuple[float, ...] = ()
    """Highest mean import in this month, for each of the tariff's demand prices; empty means 0 for all."""
