"""Metered energy beside the prices that hold in each step: what invoices and sums so far are made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from hearth_core.tariff import DemandPrice, Tariff
from hearth_models.arrays import BoolArray, FloatArray
from hearth_models.tariffs.local import LocalTime
from hearth_models.tariffs.parts import Part, export_part, import_parts
from hearth_models.tariffs.prices import TariffError


@dataclass(frozen=True)
class Metered:
    """Readings of a span; arrays have one value a step, shape (n,)."""

    local: LocalTime
    step_s: int
    import_kwh: FloatArray
    """0 where it was not measured."""
    export_kwh: FloatArray
    is_measured: FloatArray
    """1 where both were measured, else 0."""
    parts: list[Part]
    """What a kWh from the grid consists of."""
    feed_in: Part

    @classmethod
    def of(
        cls,
        tariff: Tariff,
        start_s: float,
        step_s: int,
        import_wh: FloatArray,
        export_wh: FloatArray,
        day_ahead_eur_per_kwh: FloatArray,
        timezone: str,
    ) -> Metered:
        """Put readings beside their prices; arguments and errors are those of `hearth_models.tariffs.bill.bill`."""
        named = {"import_wh": import_wh, "export_wh": export_wh, "day_ahead_eur_per_kwh": day_ahead_eur_per_kwh}
        for name, values in named.items():
            if values.shape != import_wh.shape or values.ndim != 1 or not len(values):
                raise TariffError(f"{name}: shape {values.shape} must be that of import_wh and not empty")
        if step_s < 1 or step_s > 3600:
            raise TariffError(f"step_s: {step_s} must be within 1..3600")
        for name in ("import_wh", "export_wh"):
            if (named[name] < 0).any() or np.isinf(named[name]).any():
                place = int(np.flatnonzero((named[name] < 0) | np.isinf(named[name]))[0])
                raise TariffError(f"{name}: value {place} is {named[name][place]}; energy is at least 0 and finite")
        local = LocalTime.of(start_s + step_s * np.arange(len(import_wh), dtype=np.float64), timezone)
        taken, given = np.nan_to_num(import_wh) / 1000, np.nan_to_num(export_wh) / 1000
        parts = import_parts(tariff, local, day_ahead_eur_per_kwh)
        # net metering pays for feed-in with the price of import
        priced = taken if tariff.net_metering is None else taken + given
        return cls(
            local,
            step_s,
            taken,
            given,
            (np.isfinite(import_wh) & np.isfinite(export_wh)).astype(np.float64),
            [_known(part, priced, local) for part in parts],
            _known(export_part(tariff, local, day_ahead_eur_per_kwh), given, local),
        )

    @property
    def credit_eur_per_kwh(self) -> FloatArray:
        """What net metering credits a kWh with, before VAT and tiers."""
        return sum((part.eur_per_kwh for part in self.parts if part.is_credited), np.zeros(len(self.import_kwh)))

    def peak_kw(self, demand: DemandPrice, inside: BoolArray) -> float:
        """Return the highest mean import of any of the tariff's steps that begins in a window, 0 where none does.

        Readings longer than the tariff's steps are taken as they are: the real peak may have been higher.

        Args:
            demand: The price, with its steps and windows.
            inside: Which readings are looked at, shape (n,).
        """
        blocks = np.arange(len(inside)) if self.step_s > demand.step_min * 60 else self.local.blocks(demand.step_min)
        _, first, back = np.unique(blocks[inside], return_index=True, return_inverse=True)
        measured = np.bincount(back, self.is_measured[inside])
        energy = np.bincount(back, (self.import_kwh * self.is_measured)[inside])
        mean_kw = energy / np.maximum(measured, 1.0) * 3600 / self.step_s
        if demand.windows:
            mean_kw = mean_kw[self.local.window(demand.windows)[inside][first] >= 0]
        return float(mean_kw.max(initial=0.0))


def _known(part: Part, energy_kwh: FloatArray, local: LocalTime) -> Part:
    """Return a part whose missing prices count for nothing, which is right only where nothing flowed."""
    is_missing = ~np.isfinite(part.eur_per_kwh)
    if (wanted := np.flatnonzero(is_missing & (energy_kwh > 0))).size:
        when = datetime.fromtimestamp(float(local.at_s[wanted[0]]), tz=UTC).isoformat()
        raise TariffError(f"day_ahead_eur_per_kwh: none at {when}, but the tariff needs it for {part.name}")
    return replace(part, eur_per_kwh=np.where(is_missing, 0.0, part.eur_per_kwh))
