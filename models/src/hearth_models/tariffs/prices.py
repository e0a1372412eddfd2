"""The marginal price of each step: what one more kWh from the grid costs, and what one more into it earns."""

from __future__ import annotations

import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.tariffs.local import LocalTime
from hearth_models.tariffs.parts import export_part, import_parts
from hearth_models.tariffs.so_far import SoFar


class TariffError(PermanentError):
    """What a tariff cannot be applied to; names the field."""


NOTHING_YET = SoFar()


def prices(
    tariff: Tariff,
    at_s: FloatArray,
    day_ahead_eur_per_kwh: FloatArray,
    timezone: str,
    so_far: SoFar = NOTHING_YET,
) -> tuple[FloatArray, FloatArray]:
    """Return import and export price of each step, VAT included, each of shape (n,) [EUR/kWh].

    A step has the price that holds at its beginning; NaN where a day-ahead price is needed and missing. Without tiers
    and net metering these prices are the derivative of the invoice. With them they are its derivative at the sums in
    ``so_far``, and what happens within the steps does not move them: consumption that reaches the next tier, or a
    balance that turns, shows only in the next call. Steps in later months and periods are priced as if nothing had
    been consumed there yet. What demand charges cost is not in here, see `hearth_models.tariffs.demand`.

    Args:
        tariff: The tariff.
        at_s: Beginnings of the steps in rising order, the first of which lies in the month of ``so_far``; shape (n,).
        day_ahead_eur_per_kwh: Market price of each step, shape (n,); NaN where unknown.
        timezone: The home's, e.g. Europe/Berlin.
        so_far: What the month and the net metering period have seen before.

    Raises:
        TariffError: The arrays differ in length, or the times fall.
    """
    if day_ahead_eur_per_kwh.shape != at_s.shape or at_s.ndim != 1:
        raise TariffError(f"day_ahead_eur_per_kwh: shape {day_ahead_eur_per_kwh.shape} must be that of at_s")
    if (np.diff(at_s) <= 0).any():
        raise TariffError("at_s: must rise")
    if not len(at_s):
        return np.empty(0), np.empty(0)
    local = LocalTime.of(at_s, timezone)
    vat = 1 + tariff.vat_percent / 100
    parts = import_parts(tariff, local, day_ahead_eur_per_kwh)
    buy = sum((part.eur_per_kwh for part in parts), np.zeros(len(at_s))) * vat
    sell = export_part(tariff, local, day_ahead_eur_per_kwh).eur_per_kwh
    is_now = local.month == local.month[0]
    if tariff.net_metering is None:
        return buy + vat * _tier(tariff, np.where(is_now, so_far.month_import_kwh, 0.0)), sell
    kept = sum((part.eur_per_kwh for part in parts if not part.is_credited), np.zeros(len(at_s))) * vat
    net_kwh = np.where(is_now, so_far.month_import_kwh - so_far.month_export_kwh, 0.0)
    tier = np.where(net_kwh < 0, 0.0, vat * _tier(tariff, net_kwh))
    gain = buy - kept - sell
    period = local.period(tariff.net_metering)
    bought, sold = so_far.period_import_kwh, so_far.period_export_kwh
    if sold <= bought:
        return buy + tier, sell + gain + tier
    # the balance is a surplus: a kWh from the grid lets one more be credited, a kWh into it thins the credited share
    mean_gain = so_far.period_gain_eur / sold
    is_surplus = period == period[0]
    thinned = sell + bought / sold * (gain - mean_gain)
    return np.where(is_surplus, buy - mean_gain, buy) + tier, np.where(is_surplus, thinned, sell + gain) + tier


def _tier(tariff: Tariff, consumed_kwh: FloatArray) -> FloatArray:
    """Return the price of the tier that so much consumption has reached; one that is just full is left."""
    if not tariff.tiers:
        return np.zeros(len(consumed_kwh))
    ends = [tier.up_to_kwh for tier in tariff.tiers[:-1]]
    reached = np.searchsorted(np.array(ends, dtype=np.float64), consumed_kwh, side="right")
    return np.array([tier.eur_per_kwh for tier in tariff.tiers])[reached]
