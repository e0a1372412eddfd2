"""Energy counters of the home, and what they stand at before the live house begins.

Until the live house starts there is no battery and nothing is held back, so the counters are sums over the record: the
house takes them over and the history ends with the same values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from hearth_sim.recorded import HOUR_S, RecordError
from hearth_sim.variation import STEP_S, Hour, Variation

FloatArray = NDArray[np.float64]
INVERTER_PHASES = 1 / 3
INVERTER_EFFICIENCY = 0.97


@dataclass
class Counters:
    """Energies that only grow [Wh]; import and export per phase are sums of each phase for itself."""

    load_wh: float = 0.0
    pv_wh: float = 0.0
    ev_wh: float = 0.0
    heat_pump_wh: float = 0.0
    grid_import_wh: float = 0.0
    grid_export_wh: float = 0.0
    battery_charge_wh: float = 0.0
    battery_discharge_wh: float = 0.0
    inverter_wh: float = 0.0
    """AC energy delivered by the inverter."""
    pv_dc_wh: float = 0.0
    battery_charge_dc_wh: float = 0.0
    battery_discharge_dc_wh: float = 0.0
    phase_import_wh: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    phase_export_wh: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


# What the meters already showed when the record begins: the home is some months old.
_IMPORT_WH, _EXPORT_WH, _PV_WH, _EV_WH = 1_204_000.0, 612_000.0, 1_450_000.0, 238_000.0

# SunSpec reads a counter of 0 as "not there"; a new battery has its factory test behind it.
_FACTORY_CHARGE_WH, _FACTORY_DISCHARGE_WH = 12_400.0, 10_900.0


def first_counters() -> Counters:
    """Return the counters at the beginning of the record."""
    return Counters(
        pv_wh=_PV_WH,
        ev_wh=_EV_WH,
        grid_import_wh=_IMPORT_WH,
        grid_export_wh=_EXPORT_WH,
        inverter_wh=_PV_WH,
        pv_dc_wh=_PV_WH / INVERTER_EFFICIENCY,
        battery_charge_dc_wh=_FACTORY_CHARGE_WH,
        battery_discharge_dc_wh=_FACTORY_DISCHARGE_WH,
        phase_import_wh=[_IMPORT_WH / 3] * 3,
        phase_export_wh=[_EXPORT_WH / 3] * 3,
    )


def phase_powers(hour: Hour) -> FloatArray:
    """Return the grid power per phase without a battery, shape (3, n_steps) [W]."""
    phases: FloatArray = hour.house_w + (hour.heat_pump_w - hour.pv_w) * INVERTER_PHASES
    phases[0] += hour.car_w + hour.charger_waiting_w
    return phases


def counters_at(variation: Variation, at_s: float) -> Counters:
    """Return the counters at an instant of the record, without a battery.

    Raises:
        RecordError: The instant lies before the record.
    """
    record = variation.record
    if at_s < record.start_s:
        raise RecordError("the instant lies before the record")
    row = record.row(math.floor(at_s / HOUR_S))
    steps = np.arange(HOUR_S // STEP_S) * STEP_S
    weights_h = np.clip(at_s % HOUR_S - steps, 0, STEP_S) / 3600
    begun = variation.hour(record.start_s // HOUR_S + row)
    return _counters(_sum_until(variation, row) + _energies_wh(begun, weights_h))


_WHOLE_HOUR = np.full(HOUR_S // STEP_S, STEP_S / 3600)
# Sums at the start of each hour; a house, its history and its tests ask for the same ones again and again.
_sums: WeakKeyDictionary[Variation, list[FloatArray]] = WeakKeyDictionary()


def _sum_until(variation: Variation, row: int) -> FloatArray:
    sums = _sums.setdefault(variation, [np.zeros(12)])
    first_hour = variation.record.start_s // HOUR_S
    for number in range(len(sums) - 1, row):
        sums.append(sums[-1] + _energies_wh(variation.hour(first_hour + number), _WHOLE_HOUR))
    return sums[row]


def _energies_wh(hour: Hour, weights_h: FloatArray) -> FloatArray:
    """Return load, PV, EV, heat pump, import, export, import and export of each phase, shape (12,) [Wh]."""
    phases = phase_powers(hour)
    grid = phases.sum(axis=0)
    powers = np.vstack(
        [hour.load_w, hour.pv_w, hour.car_w + hour.charger_waiting_w, hour.heat_pump_w, grid, -grid, phases, -phases]
    )
    powers[4:] = np.maximum(powers[4:], 0)
    energies: FloatArray = powers @ weights_h
    return energies


def _counters(energies_wh: FloatArray) -> Counters:
    total = first_counters()
    load, pv, ev, heat_pump, imported, exported, *phases = energies_wh.tolist()
    total.load_wh += load
    total.pv_wh += pv
    total.inverter_wh += pv
    total.pv_dc_wh += pv / INVERTER_EFFICIENCY
    total.ev_wh += ev
    total.heat_pump_wh += heat_pump
    total.grid_import_wh += imported
    total.grid_export_wh += exported
    for number in range(3):
        total.phase_import_wh[number] += phases[number]
        total.phase_export_wh[number] += phases[3 + number]
    return total
