"""The home's past as an agent would have read it: columns of readings from the record, before the battery came.

A reading at t carries the mean powers of t..t+step and the counters at t, so that averages over any number of readings
and differences of counters agree exactly. Values have the resolution of the registers they would have come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth_core.errors import ConfigError
from hearth_sim.counters import INVERTER_EFFICIENCY, Counters, counters_at, phase_powers
from hearth_sim.electric import frequency_hz, open_voltage_v, phase_at
from hearth_sim.home import CHARGER, GRID, HEAT_PUMP, INVERTER
from hearth_sim.house import STAYS_PLUGGED_S
from hearth_sim.nibe_heat_pump import PRIORITY_HEAT, PRIORITY_OFF, outdoor_temperature_c, water_temperature_c
from hearth_sim.recorded import HOUR_S
from hearth_sim.variation import STEP_S, STEPS, Variation

FloatArray = NDArray[np.float64]
Column = list[float | None]
_NO_CAR, _CHARGING, _FINISHED = 1, 3, 4
_MPPT, _STANDBY = 4, 8
_CHARGING_ABOVE_W, _RUNNING_ABOVE_W = 100.0, 60.0
_CHARGER_LIMIT_A = 16.0


@dataclass(frozen=True)
class Past:
    """Readings of every device at the same instants."""

    at_ms: list[int]
    points: dict[str, dict[str, Column]]
    """Device -> point -> values."""


@dataclass(frozen=True)
class _Means:
    """Mean powers of each step [W] and the counters at its start, arrays over the steps."""

    at_s: list[float]
    grid_w: FloatArray
    """Per phase, shape (3, n_steps)."""
    import_w: FloatArray
    export_w: FloatArray
    pv_w: FloatArray
    car_w: FloatArray
    waiting_w: FloatArray
    heat_pump_w: FloatArray
    first: Counters


def past_of(variation: Variation, start_s: float, until_s: float, step_s: int) -> Past:
    """Return all readings from ``start_s`` until before ``until_s``.

    Raises:
        ConfigError: The step does not fit into an hour, an end is not on a whole hour, or the record does not reach.
    """
    record = variation.record
    if HOUR_S % step_s or step_s % STEP_S:
        raise ConfigError("command line", "step-s", step_s, "Use a divisor of 3600 that is a multiple of 5, e.g. 300.")
    if start_s % HOUR_S or until_s % HOUR_S:
        raise ConfigError("command line", "until", until_s, "Use a whole hour.")
    if start_s < record.start_s or until_s > record.end_s:
        remedy = f"The record spans {(record.end_s - record.start_s) / 604_800:.0f} weeks from {record.start_s}."
        raise ConfigError("command line", "until", until_s, remedy)
    means = _means(variation, int(start_s), int(until_s), step_s)
    points = {
        GRID: _grid(means, step_s),
        INVERTER: _inverter(means, step_s),
        CHARGER: _charger(means, step_s),
        HEAT_PUMP: _heat_pump(means),
    }
    return Past([int(at_s * 1000) for at_s in means.at_s], points)


def _means(variation: Variation, start_s: int, until_s: int, step_s: int) -> _Means:
    pieces: list[FloatArray] = []
    fold = step_s // STEP_S
    for number in range(start_s // HOUR_S, until_s // HOUR_S):
        hour = variation.hour(number)
        phases = phase_powers(hour)
        grid = phases.sum(axis=0)
        waiting = np.full(STEPS, hour.charger_waiting_w)
        rows = np.vstack([
            phases, np.maximum(grid, 0), np.maximum(-grid, 0), hour.pv_w, hour.car_w, waiting, hour.heat_pump_w
        ])  # fmt: skip
        pieces.append(rows.reshape(rows.shape[0], -1, fold).mean(axis=2))
    table = np.hstack(pieces)
    at_s = [float(at) for at in range(start_s, until_s, step_s)]
    import_w, export_w, pv_w, car_w, waiting_w, heat_pump_w = table[3:]
    first = counters_at(variation, start_s)
    return _Means(at_s, table[:3], import_w, export_w, pv_w, car_w, waiting_w, heat_pump_w, first)


def _running(first_wh: float, power_w: FloatArray, step_s: int) -> FloatArray:
    """Return a counter at the start of each step [Wh]."""
    energy = np.cumsum(power_w) * (step_s / 3600)
    return first_wh + np.concatenate(([0.0], energy[:-1]))


def _rounded(values: FloatArray, digits: int) -> Column:
    return list(np.round(values, digits).tolist())


def _as_meter(energy_wh: FloatArray) -> Column:
    """Return a counter as float32 kWh can hold it, cut to mWh: it never runs ahead of the live meter's registers."""
    held_wh = (energy_wh / 1000).astype(np.float32).astype(np.float64) * 1000
    return _rounded(np.floor(held_wh * 1000) / 1000, 3)


def _grid(means: _Means, step_s: int) -> dict[str, Column]:
    columns: dict[str, Column] = {"power_w": _rounded(means.grid_w.sum(axis=0), 1)}
    for number in range(3):
        seen = [phase_at(at, number, w) for at, w in zip(means.at_s, means.grid_w[number].tolist(), strict=True)]
        columns[f"power_l{number + 1}_w"] = _rounded(means.grid_w[number], 1)
        columns[f"voltage_l{number + 1}_v"] = [round(phase.voltage_v, 1) for phase in seen]
        columns[f"current_l{number + 1}_a"] = [round(phase.current_a, 2) for phase in seen]
    columns["frequency_hz"] = [round(frequency_hz(at), 2) for at in means.at_s]
    columns["import_energy_wh"] = _as_meter(_running(means.first.grid_import_wh, means.import_w, step_s))
    columns["export_energy_wh"] = _as_meter(_running(means.first.grid_export_wh, means.export_w, step_s))
    return columns


def _inverter(means: _Means, step_s: int) -> dict[str, Column]:
    zero: Column = [0.0] * len(means.at_s)
    dc_w = means.pv_w / INVERTER_EFFICIENCY
    return {
        "power_w": _rounded(means.pv_w, 0),
        "energy_wh": _rounded(np.floor(_running(means.first.inverter_wh, means.pv_w, step_s)), 0),
        "pv_power_w": _rounded(dc_w, 0),
        "pv_energy_wh": _rounded(np.floor(_running(means.first.pv_dc_wh, dc_w, step_s)), 0),
        "operating_state": _rounded(np.where(means.pv_w > 0, _MPPT, _STANDBY).astype(np.float64), 0),
        "battery_power_w": zero,
        "battery_charge_energy_wh": [means.first.battery_charge_dc_wh] * len(means.at_s),
        "battery_discharge_energy_wh": [means.first.battery_discharge_dc_wh] * len(means.at_s),
        "soc_percent": [None] * len(means.at_s),
    }


def _charger(means: _Means, step_s: int) -> dict[str, Column]:
    power_w = means.car_w + means.waiting_w
    current: Column = [round(w / open_voltage_v(at, 0), 1) for at, w in zip(means.at_s, power_w.tolist(), strict=True)]
    zero: Column = [0.0] * len(means.at_s)
    session, state = _sessions(means, step_s)
    return {
        "power_w": _rounded(power_w, 2),
        "energy_wh": _rounded(np.floor(_running(means.first.ev_wh, power_w, step_s) / 100) * 100, 0),
        "session_energy_wh": session,
        "current_limit_a": [_CHARGER_LIMIT_A] * len(means.at_s),
        "vehicle_state": state,
        "current_l1_a": current,
        "current_l2_a": zero,
        "current_l3_a": zero,
    }


def _sessions(means: _Means, step_s: int) -> tuple[Column, Column]:
    """Follow the car: energy of the present session at each step's start, and the vehicle's state."""
    session: Column = []
    state: Column = []
    energy_wh, last_wanted_s = 0.0, -math.inf
    for at_s, power_w in zip(means.at_s, means.car_w.tolist(), strict=True):
        if power_w > 0:
            if at_s - last_wanted_s >= STAYS_PLUGGED_S:
                energy_wh = 0.0
            last_wanted_s = at_s + step_s
        session.append(round(energy_wh, 2))
        energy_wh += power_w * step_s / 3600
        plugged = at_s - last_wanted_s < STAYS_PLUGGED_S
        state.append(_CHARGING if power_w > _CHARGING_ABOVE_W else _FINISHED if plugged else _NO_CAR)
    return session, state


def _heat_pump(means: _Means) -> dict[str, Column]:
    running = means.heat_pump_w > _RUNNING_ABOVE_W
    return {
        "power_w": _rounded(means.heat_pump_w, 0),
        "outdoor_temperature_c": [round(outdoor_temperature_c(at), 1) for at in means.at_s],
        "water_temperature_c": [round(water_temperature_c(at), 1) for at in means.at_s],
        "operating_state": _rounded(np.where(running, PRIORITY_HEAT, PRIORITY_OFF).astype(np.float64), 0),
    }
