"""What a price per kWh is made of in each step: energy, adder, fees, feed-in. Prices and invoices are sums of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hearth_core.tariff import ExportKind, ImportKind, Tariff
from hearth_core.windows import PricedWindow
from hearth_models.arrays import FloatArray, IntArray
from hearth_models.tariffs.local import LocalTime


@dataclass(frozen=True)
class Part:
    """One item of an invoice; arrays have one value a step, shape (n,)."""

    name: str
    eur_per_kwh: FloatArray
    """Before VAT."""
    window: IntArray
    """Which window holds, -1 outside all."""
    labels: tuple[str, ...] = ()
    """Names of the windows."""
    is_credited: bool = True


def import_parts(tariff: Tariff, local: LocalTime, day_ahead_eur_per_kwh: FloatArray) -> list[Part]:
    """Return what a kWh from the grid consists of, without tiers.

    Args:
        tariff: The tariff.
        local: The steps.
        day_ahead_eur_per_kwh: Market price of each step, shape (n,); not read where the tariff has no use for it.
    """
    parts = []
    if tariff.import_kind is ImportKind.DAY_AHEAD:
        market = _averaged(day_ahead_eur_per_kwh, local, tariff.market_step_min)
        parts.append(Part("Energy", market * tariff.import_factor, _nowhere(local)))
    else:
        parts.append(_windowed("Energy", tariff.import_windows, tariff.import_eur_per_kwh, local))
    if tariff.import_adder_eur_per_kwh:
        parts.append(_windowed("Adder", (), tariff.import_adder_eur_per_kwh, local))
    parts += [
        _windowed(fee.name, fee.windows, fee.eur_per_kwh, local, is_credited=fee.is_credited) for fee in tariff.fees
    ]
    return parts


def export_part(tariff: Tariff, local: LocalTime, day_ahead_eur_per_kwh: FloatArray) -> Part:
    """Return what a kWh fed in earns; no VAT is put on it.

    Args:
        tariff: The tariff.
        local: The steps.
        day_ahead_eur_per_kwh: Market price of each step, shape (n,); not read where the tariff has no use for it.
    """
    part = _windowed("Feed-in", tariff.export_windows, tariff.export_eur_per_kwh, local)
    if not tariff.export_needs_day_ahead:
        return part
    market = _averaged(day_ahead_eur_per_kwh, local, tariff.market_step_min)
    price = part.eur_per_kwh
    if tariff.export_kind is ExportKind.SPOT:
        price = market * tariff.export_share + price
    if not tariff.is_export_paid_when_negative:
        price = np.where(market < 0, 0.0, np.where(np.isfinite(market), price, np.nan))
    return Part(part.name, price, part.window, part.labels)


def _windowed(
    name: str,
    windows: Sequence[PricedWindow],
    outside_eur_per_kwh: float | None,
    local: LocalTime,
    *,
    is_credited: bool = True,
) -> Part:
    window = local.window(windows) if windows else _nowhere(local)
    # the price outside is the last, where -1 finds it; a tariff without one covers all time
    prices = np.array([*(one.eur_per_kwh for one in windows), outside_eur_per_kwh or 0.0])
    return Part(name, prices[window], window, tuple(one.name for one in windows), is_credited)


def _nowhere(local: LocalTime) -> IntArray:
    return np.full(len(local.at_s), -1, dtype=np.int64)


def _averaged(day_ahead_eur_per_kwh: FloatArray, local: LocalTime, step_min: int | None) -> FloatArray:
    """Average prices over the steps they are billed in; a missing one takes the mean of its known neighbours."""
    if step_min is None:
        return day_ahead_eur_per_kwh
    _, back = np.unique(local.blocks(step_min), return_inverse=True)
    known = np.isfinite(day_ahead_eur_per_kwh)
    total = np.bincount(back, np.where(known, day_ahead_eur_per_kwh, 0.0))
    count = np.bincount(back, known)
    mean: FloatArray = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)[back]
    return mean
