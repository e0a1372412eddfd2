"""Prices and sums as a plan carries them, so that a home can go on with them when its hub is silent."""

from __future__ import annotations

import numpy as np

from hearth_core.messages import Consumed, MarketPrices
from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.planning.outlook import STEP_S, KnownPrices
from hearth_models.tariffs import SoFar
from hearth_models.tariffs.local import LocalTime

# A market's own steps, longest first: hourly prices need not travel four times.
_STEPS_S = (3600, 1800)
_DIGITS = 5


def pack_prices(known: KnownPrices) -> MarketPrices | None:
    """Return published prices for the wire, in the longest step that loses nothing; None where there are none."""
    finite = np.flatnonzero(np.isfinite(known.eur_per_kwh))
    if not len(finite):
        return None
    first, end = int(finite[0]), int(finite[-1]) + 1
    start_s = known.start_s + first * STEP_S
    for step_s in _STEPS_S:
        join = step_s // STEP_S
        # what is a week old may begin a little later: with the market's own step
        skipped = round(-start_s % step_s) // STEP_S
        prices = known.eur_per_kwh[first + skipped : end]
        if not len(prices) or len(prices) % join:
            continue
        table = prices.reshape(-1, join)
        if np.array_equal(table, np.repeat(table[:, :1], join, axis=1), equal_nan=True):
            return _packed(start_s + skipped * STEP_S, step_s, table[:, 0])
    return _packed(start_s, STEP_S, known.eur_per_kwh[first:end])


def _packed(start_s: float, step_s: int, prices: FloatArray) -> MarketPrices:
    values = [None if np.isnan(price) else round(float(price), _DIGITS) for price in prices]
    return MarketPrices(start_ms=int(start_s * 1000), step_s=step_s, eur_per_kwh=values)


def pack_consumed(so_far: SoFar) -> Consumed | None:
    """Return the sums for the wire; None where there is nothing to tell."""
    if so_far == SoFar():
        return None
    return Consumed(
        month_import_kwh=round(so_far.month_import_kwh, 3),
        month_export_kwh=round(so_far.month_export_kwh, 3),
        period_import_kwh=round(so_far.period_import_kwh, 3),
        period_export_kwh=round(so_far.period_export_kwh, 3),
        period_gain_eur=round(so_far.period_gain_eur, 4),
    )


def so_far_at(tariff: Tariff, consumed: Consumed | None, told_s: float, now_s: float, timezone: str) -> SoFar:
    """Return what is known of the sums some time after they were told; a month or period that is over counts nothing.

    Args:
        tariff: The home's; its net metering says where a period begins.
        consumed: The sums.
        told_s: When they were right [s].
        now_s: Now [s].
        timezone: The home's.
    """
    if consumed is None:
        return SoFar()
    local = LocalTime.of(np.array([told_s, max(now_s, told_s)]), timezone)
    is_month = bool(local.month[0] == local.month[1])
    is_period = is_month
    if tariff.net_metering is not None:
        period = local.period(tariff.net_metering)
        is_period = bool(period[0] == period[1])
    return SoFar(
        month_import_kwh=consumed.month_import_kwh if is_month else 0.0,
        month_export_kwh=consumed.month_export_kwh if is_month else 0.0,
        period_import_kwh=consumed.period_import_kwh if is_period else 0.0,
        period_export_kwh=consumed.period_export_kwh if is_period else 0.0,
        period_gain_eur=consumed.period_gain_eur if is_period else 0.0,
    )
