"""Demand charges of a tariff as the planner wants them."""

from __future__ import annotations

import numpy as np

from hearth_core.tariff import Tariff
from hearth_models.arrays import BoolArray, FloatArray
from hearth_models.planning.problem import DemandCharge, Span
from hearth_models.tariffs.local import LocalTime
from hearth_models.tariffs.prices import NOTHING_YET, TariffError
from hearth_models.tariffs.so_far import SoFar


def demand_charges(
    tariff: Tariff, start_s: float, steps_s: FloatArray, timezone: str, so_far: SoFar = NOTHING_YET
) -> list[DemandCharge]:
    """Return one charge for each demand price and month of a plan, VAT included.

    All windows of one charge form one peak, which is paid for beyond what the month has seen already, or what is free
    or paid for anyway. The planner looks at the mean import of its own steps: where the tariff's are longer, it is more
    careful than it had to be.

    Args:
        tariff: The tariff.
        start_s: Begin of the plan [s].
        steps_s: Length of each step of the plan, shape (n,) [s].
        timezone: The home's.
        so_far: What the month of ``start_s`` has seen before.

    Raises:
        TariffError: ``so_far.peaks_kw`` has neither no peak nor one for each demand price.
    """
    if so_far.peaks_kw and len(so_far.peaks_kw) != len(tariff.demand):
        raise TariffError(f"so_far.peaks_kw: {len(so_far.peaks_kw)} peaks, the tariff has {len(tariff.demand)} prices")
    edges_s = np.concatenate([[0.0], np.cumsum(steps_s)])
    local = LocalTime.of(start_s + edges_s[:-1], timezone)
    charges = []
    for number, demand in enumerate(tariff.demand):
        inside = local.window(demand.windows) >= 0 if demand.windows else np.ones(len(steps_s), dtype=np.bool_)
        for month in np.unique(local.month).tolist():
            is_now = month == local.month[0] and bool(so_far.peaks_kw)
            spans = _spans(inside & (local.month == month), edges_s)
            if spans:
                charges.append(
                    DemandCharge(
                        eur_per_kw=demand.eur_per_kw * (1 + tariff.vat_percent / 100),
                        windows=spans,
                        incurred_kw=max(so_far.peaks_kw[number] if is_now else 0.0, demand.free_kw + demand.minimum_kw),
                    )
                )
    return charges


def _spans(inside: BoolArray, edges_s: FloatArray) -> list[Span]:
    """Return where runs of steps begin and end."""
    turns = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int64)))
    return [
        Span(from_s=float(edges_s[begin]), until_s=float(edges_s[end]))
        for begin, end in zip(turns[::2], turns[1::2], strict=True)
    ]
