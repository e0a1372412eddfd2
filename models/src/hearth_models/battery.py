"""What a battery does with the power it is asked for, seen from its AC terminals (+ = discharge).

Conversion losses of an inverter are a constant, a proportional and a quadratic part of its power: the loss polynomial
of Schmidt & Sauer, "Wechselrichter-Wirkungsgrade", Sonnenenergie 4/1996. The shares of the three parts are chosen here;
their sum is scaled so that the one-way efficiency at half power is the data sheet's. So a battery is poor at very low
power (electronics) and a little worse at full power (resistance) than in between. Temperature, ageing and the charge
taper near full are not modelled.

Own use is drawn from the cells; a battery at its lowest charge feeds its electronics from the AC side instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.site import BatteryFacts
from hearth_models.arrays import FloatArray

# How the losses at half power divide into their three parts.
_CONSTANT_SHARE, _PROPORTIONAL_SHARE, _QUADRATIC_SHARE = 0.15, 0.45, 0.40
_HALF = 0.5


class BatteryError(PermanentError):
    """A battery that cannot exist."""


@dataclass(frozen=True)
class Losses:
    """Conversion loss [W] as ``constant + proportional * p + quadratic * p^2`` of the AC power p > 0 [W]."""

    constant_w: float
    proportional: float
    quadratic_per_w: float

    @classmethod
    def at_half_power(cls, rated_w: float, loss_share: float) -> Losses:
        """Return the losses that make ``loss_share`` of the AC power at half of ``rated_w``."""
        half_w = rated_w * _HALF
        return cls(
            _CONSTANT_SHARE * loss_share * half_w,
            _PROPORTIONAL_SHARE * loss_share,
            _QUADRATIC_SHARE * loss_share / half_w,
        )


@dataclass(frozen=True)
class Battery:
    """A battery with its inverter; powers are at the AC terminals, energy is in the cells.

    Raises:
        BatteryError: A value is not finite, negative, or the charge band is empty; the field is named.
    """

    capacity_wh: float
    max_charge_w: float
    max_discharge_w: float
    min_soc_percent: float = 5.0
    max_soc_percent: float = 100.0
    efficiency: float = 0.95
    own_use_w: float = 10.0
    wear_eur_per_kwh: float = 0.0

    def __post_init__(self) -> None:
        for name in ("capacity_wh", "max_charge_w", "max_discharge_w"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise BatteryError(f"battery.{name}: {value!r} must be a positive number")
        for name in ("own_use_w", "wear_eur_per_kwh"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BatteryError(f"battery.{name}: {value!r} must be a number from 0")
        if not 0.3 < self.efficiency <= 1:
            raise BatteryError(f"battery.efficiency: {self.efficiency!r} must be above 0.3 and at most 1")
        if not 0 <= self.min_soc_percent < self.max_soc_percent <= 100:
            text = f"{self.min_soc_percent!r}..{self.max_soc_percent!r}"
            raise BatteryError(f"battery.min_soc_percent..max_soc_percent: {text} must be a band within 0..100")

    @classmethod
    def from_facts(cls, facts: BatteryFacts) -> Battery:
        """Return the battery an installer described."""
        return cls(
            facts.capacity_wh,
            facts.max_charge_w,
            facts.max_discharge_w,
            facts.min_soc_percent,
            facts.max_soc_percent,
            facts.efficiency,
            facts.own_use_w,
            facts.wear_eur_per_kwh,
        )

    @cached_property
    def charge_losses(self) -> Losses:
        """Losses between AC terminals and cells while charging."""
        return Losses.at_half_power(self.max_charge_w, 1 - self.efficiency)

    @cached_property
    def discharge_losses(self) -> Losses:
        """Losses between cells and AC terminals while discharging."""
        return Losses.at_half_power(self.max_discharge_w, 1 / self.efficiency - 1)

    @property
    def min_wh(self) -> float:
        """Energy in the cells at the lowest allowed charge [Wh]."""
        return self.capacity_wh * self.min_soc_percent / 100

    @property
    def max_wh(self) -> float:
        """Energy in the cells at the highest allowed charge [Wh]."""
        return self.capacity_wh * self.max_soc_percent / 100

    def stored_wh(self, soc_percent: float) -> float:
        """Return the energy in the cells at a state of charge [Wh]."""
        return self.capacity_wh * soc_percent / 100

    def soc_percent(self, stored_wh: float) -> float:
        """Return the state of charge of an energy in the cells [%]."""
        return stored_wh / self.capacity_wh * 100

    @overload
    def charge_efficiency(self, power_w: float) -> float: ...
    @overload
    def charge_efficiency(self, power_w: FloatArray) -> FloatArray: ...
    def charge_efficiency(self, power_w: float | FloatArray) -> float | FloatArray:
        """Return the share of AC power that reaches the cells, 0..1, at a charging power >= 0 [W]."""
        power = np.maximum(np.asarray(power_w, dtype=np.float64), 0.0)
        share = np.divide(-self.cell_power_w(-power), power, out=np.zeros_like(power), where=power > 0)
        return float(share) if share.ndim == 0 else share

    @overload
    def discharge_efficiency(self, power_w: float) -> float: ...
    @overload
    def discharge_efficiency(self, power_w: FloatArray) -> FloatArray: ...
    def discharge_efficiency(self, power_w: float | FloatArray) -> float | FloatArray:
        """Return the share of cell power that reaches the AC terminals, 0..1, at a discharging power >= 0 [W]."""
        power = np.maximum(np.asarray(power_w, dtype=np.float64), 0.0)
        share = np.divide(power, self.cell_power_w(power), out=np.zeros_like(power), where=power > 0)
        return float(share) if share.ndim == 0 else share

    @overload
    def cell_power_w(self, power_w: float) -> float: ...
    @overload
    def cell_power_w(self, power_w: FloatArray) -> FloatArray: ...
    def cell_power_w(self, power_w: float | FloatArray) -> float | FloatArray:
        """Return what leaves the cells (+) or enters them (-) at an AC power, without own use [W]."""
        if isinstance(power_w, np.ndarray):
            size = np.abs(power_w)
            into, out = self.charge_losses, self.discharge_losses
            charging = np.maximum(size - into.constant_w - size * (into.proportional + into.quadratic_per_w * size), 0)
            discharging = size + out.constant_w + size * (out.proportional + out.quadratic_per_w * size)
            return np.where(power_w > 0, discharging, np.where(power_w < 0, -charging, 0.0))
        if power_w > 0:
            out = self.discharge_losses
            return power_w + out.constant_w + power_w * (out.proportional + out.quadratic_per_w * power_w)
        if power_w < 0:
            into = self.charge_losses
            size_w = -power_w
            loss_w = into.constant_w + size_w * (into.proportional + into.quadratic_per_w * size_w)
            return -max(size_w - loss_w, 0.0)
        return 0.0

    @overload
    def ac_power_w(self, cell_w: float) -> float: ...
    @overload
    def ac_power_w(self, cell_w: FloatArray) -> FloatArray: ...
    def ac_power_w(self, cell_w: float | FloatArray) -> float | FloatArray:
        """Return the AC power behind a power of the cells (the inverse of `cell_power_w`, 0 for 0) [W]."""
        if isinstance(cell_w, np.ndarray):
            charging = _charging_root(self.charge_losses, np.maximum(-cell_w, 0.0))
            discharging = _discharging_root(self.discharge_losses, np.maximum(cell_w, 0.0))
            return np.where(cell_w > 0, discharging, np.where(cell_w < 0, -charging, 0.0))
        if cell_w > 0:
            out = self.discharge_losses
            linear, rest_w = 1 + out.proportional, max(cell_w - out.constant_w, 0.0)
            return 2 * rest_w / (linear + math.sqrt(linear * linear + 4 * out.quadratic_per_w * rest_w))
        if cell_w < 0:
            into = self.charge_losses
            linear, need_w = 1 - into.proportional, into.constant_w - cell_w
            return -2 * need_w / (linear + math.sqrt(max(linear * linear - 4 * into.quadratic_per_w * need_w, 0.0)))
        return 0.0

    @overload
    def run(self, stored_wh: float, power_w: float, duration_s: float) -> tuple[float, float]: ...
    @overload
    def run(self, stored_wh: FloatArray, power_w: FloatArray, duration_s: float) -> tuple[FloatArray, FloatArray]: ...
    def run(
        self, stored_wh: float | FloatArray, power_w: float | FloatArray, duration_s: float
    ) -> tuple[float, float] | tuple[FloatArray, FloatArray]:
        """Let the battery work for a while at a constant AC power, as far as power limits and charge band allow.

        Args:
            stored_wh: Energy in the cells at the start, float or shape (n,) [Wh].
            power_w: Asked AC power, + = discharge, float or shape (n,) [W].
            duration_s: How long [s], > 0.

        Returns:
            Energy in the cells afterwards [Wh], and the mean AC power really delivered [W]. At its lowest charge an
            idle battery delivers minus its own use.
        """
        if isinstance(stored_wh, np.ndarray) or isinstance(power_w, np.ndarray):
            return self._run_arrays(np.asarray(stored_wh, np.float64), np.asarray(power_w, np.float64), duration_s)
        hours = duration_s / 3600
        asked_w = min(max(power_w, -self.max_charge_w), self.max_discharge_w)
        cell_w = self.cell_power_w(asked_w)
        most_w = max((stored_wh - self.min_wh) / hours - self.own_use_w, 0.0)
        least_w = -max((self.max_wh - stored_wh) / hours + self.own_use_w, 0.0)
        if cell_w > most_w:
            cell_w, asked_w = most_w, self.ac_power_w(most_w)
        elif cell_w < least_w:
            cell_w, asked_w = least_w, self.ac_power_w(least_w)
        after_wh = stored_wh - (cell_w + self.own_use_w) * hours
        floor_wh = min(stored_wh, self.min_wh)
        if after_wh < floor_wh:
            return floor_wh, asked_w - (floor_wh - after_wh) / hours
        return after_wh, asked_w

    def _run_arrays(
        self, stored_wh: FloatArray, power_w: FloatArray, duration_s: float
    ) -> tuple[FloatArray, FloatArray]:
        hours = duration_s / 3600
        asked_w = np.clip(power_w, -self.max_charge_w, self.max_discharge_w)
        wished_w = self.cell_power_w(asked_w)
        most_w = np.maximum((stored_wh - self.min_wh) / hours - self.own_use_w, 0.0)
        least_w = -np.maximum((self.max_wh - stored_wh) / hours + self.own_use_w, 0.0)
        cell_w = np.clip(wished_w, least_w, most_w)
        delivered_w = np.where(cell_w == wished_w, asked_w, self.ac_power_w(cell_w))
        after_wh = stored_wh - (cell_w + self.own_use_w) * hours
        short_wh = np.maximum(np.minimum(stored_wh, self.min_wh) - after_wh, 0.0)
        return after_wh + short_wh, delivered_w - short_wh / hours


def _discharging_root(losses: Losses, cell_w: FloatArray) -> FloatArray:
    """Solve ``p + loss(p) = cell power`` for p >= 0, in the form that stays exact when the quadratic part is 0."""
    linear = 1 + losses.proportional
    rest_w = np.maximum(cell_w - losses.constant_w, 0.0)
    root: FloatArray = 2 * rest_w / (linear + np.sqrt(linear * linear + 4 * losses.quadratic_per_w * rest_w))
    return root


def _charging_root(losses: Losses, cell_w: FloatArray) -> FloatArray:
    """Solve ``p - loss(p) = cell power`` for the smaller p >= 0."""
    linear = 1 - losses.proportional
    need_w = cell_w + losses.constant_w
    under = np.maximum(linear * linear - 4 * losses.quadratic_per_w * need_w, 0.0)
    root: FloatArray = 2 * need_w / (linear + np.sqrt(under))
    return root
