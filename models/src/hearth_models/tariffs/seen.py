"""What a month has seen, from its readings."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from hearth_core.tariff import Tariff
from hearth_models.tariffs.local import LocalTime, period_of
from hearth_models.tariffs.metered import Metered
from hearth_models.tariffs.so_far import SoFar


def seen_from(tariff: Tariff, now_s: float, timezone: str) -> float:
    """Return where the readings begin that `seen` looks at [s].

    That is the start of the month, or of the net metering period, that ``now_s`` lies in.
    """
    zone = ZoneInfo(timezone)
    local = datetime.fromtimestamp(now_s, tz=UTC).astimezone(zone)
    months = local.year * 12 + local.month - 1
    if tariff.net_metering is not None and tariff.net_metering.period == "year":
        months -= (months - (tariff.net_metering.first_month - 1)) % 12
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=zone).timestamp()


def seen(tariff: Tariff, metered: Metered, now_s: float, timezone: str) -> SoFar:
    """Return what the month and the net metering period that ``now_s`` lies in have seen before it.

    Args:
        tariff: The tariff.
        metered: Readings that reach back to `seen_from`, or as far as there are any.
        now_s: Where the next step begins; later readings are not looked at [s].
        timezone: The home's.
    """
    local = metered.local
    month = LocalTime.of(np.array([now_s]), timezone).month
    is_past = local.at_s < now_s
    in_month = is_past & (local.month == month[0])
    in_period = in_month
    if tariff.net_metering is not None:
        in_period = is_past & (local.period(tariff.net_metering) == period_of(month, tariff.net_metering)[0])
    credit = metered.credit_eur_per_kwh * (1 + tariff.vat_percent / 100)
    gain = metered.export_kwh * (credit - metered.feed_in.eur_per_kwh)
    return SoFar(
        month_import_kwh=float(metered.import_kwh[in_month].sum()),
        month_export_kwh=float(metered.export_kwh[in_month].sum()),
        period_import_kwh=float(metered.import_kwh[in_period].sum()),
        period_export_kwh=float(metered.export_kwh[in_period].sum()),
        period_gain_eur=float(gain[in_period].sum()),
        peaks_kw=tuple(metered.peak_kw(demand, in_month) for demand in tariff.demand),
    )
