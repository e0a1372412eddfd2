"""One imagined day of a home with sun, battery and grid: every point of its inverter, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BATTERY_WH, _BATTERY_W = 10_000.0, 5_000.0
_SMOOTH_S = 300.0


@dataclass(frozen=True)
class Day:
    """Series of one day, each of shape (n_steps,)."""

    gauges: dict[str, Array]
    """By point name, in the point's unit."""
    powers_w: dict[str, Array]
    """By name of counter: the power it counts [W], never negative."""


def imagine_day(rng: np.random.Generator, steps: int, step_s: float) -> Day:
    """Draw a day.

    Args:
        rng: Two homes differ by this alone.
        steps: Number of steps; the sun rises and sets once in them.
        step_s: Length of a step [s].
    """
    hour = np.arange(steps) * 24.0 / steps
    pv_w = _sun_w(rng, hour, step_s)
    load_w = _load_w(rng, hour, step_s)
    battery_w, soc_percent = _battery(pv_w - load_w, step_s, rng.uniform(20, 60))
    ac_w = (pv_w + battery_w) * 0.965
    grid_w = load_w - ac_w
    shares = rng.dirichlet((30.0, 30.0, 30.0))
    volts = [230.0 + _wander(rng, steps, step_s, 2.0) for _ in shares]
    outdoor_c = rng.uniform(0, 20) + 5 * np.sin((hour - 9) / 24 * 2 * np.pi) + _wander(rng, steps, step_s, 0.4)
    gauges = {
        "power_w": ac_w,
        "frequency_hz": 50.0 + _wander(rng, steps, step_s, 0.02),
        "pv_power_w": pv_w,
        "battery_power_w": battery_w,
        "soc_percent": soc_percent,
        "outdoor_temperature_c": outdoor_c,
        "water_temperature_c": 48.0 + _wander(rng, steps, step_s, 2.0),
        "flow_temperature_c": 38.0 - 0.5 * outdoor_c + _wander(rng, steps, step_s, 1.0),
        "operating_state": np.where(pv_w > 0, 4.0, 8.0),
        "vehicle_state": np.where((hour > 8) & (hour < 17), 1.0, 2.0),
        "session_energy_wh": np.full(steps, 7400.0),
        "current_limit_a": np.full(steps, 16.0),
    }
    for phase, (share, volt) in enumerate(zip(shares, volts, strict=True), start=1):
        gauges[f"power_l{phase}_w"] = ac_w * share
        gauges[f"voltage_l{phase}_v"] = volt
        gauges[f"current_l{phase}_a"] = ac_w * share / volt
    powers_w = {
        "import_energy_wh": np.maximum(grid_w, 0.0),
        "export_energy_wh": np.maximum(-grid_w, 0.0),
        "pv_energy_wh": pv_w,
        "energy_wh": np.maximum(ac_w, 0.0),
        "battery_charge_energy_wh": np.maximum(-battery_w, 0.0),
        "battery_discharge_energy_wh": np.maximum(battery_w, 0.0),
    }
    return Day(gauges, powers_w)


def _wander(rng: np.random.Generator, steps: int, step_s: float, spread: float) -> Array:
    """Return noise around 0 that moves slowly, with a little jitter on each step."""
    width = max(1, min(steps, round(_SMOOTH_S / step_s)))
    noise = rng.standard_normal(steps + width)
    sums = np.concatenate(([0.0], np.cumsum(noise)))
    slow = (sums[width + 1 :] - sums[1:-width])[:steps] / np.sqrt(width)
    result: Array = spread * (0.9 * slow + 0.1 * rng.standard_normal(steps))
    return result


def _sun_w(rng: np.random.Generator, hour: Array, step_s: float) -> Array:
    peak_w = rng.uniform(4_000, 12_000)
    clear = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, 1) ** 1.3
    clouds = np.clip(0.75 + _wander(rng, len(hour), step_s, 0.2), 0.1, 1)
    result: Array = peak_w * clear * clouds
    return result


def _load_w(rng: np.random.Generator, hour: Array, step_s: float) -> Array:
    morning = np.exp(-((hour - 7.5) ** 2) / 1.5) * rng.uniform(300, 1200)
    evening = np.exp(-((hour - 19) ** 2) / 4) * rng.uniform(600, 2000)
    kettle = 2000.0 * (_wander(rng, len(hour), step_s, 1.0) > 2)
    result: Array = np.maximum(60, 250 + morning + evening + kettle + _wander(rng, len(hour), step_s, 60))
    return result


def _battery(surplus_w: Array, step_s: float, start_percent: float) -> tuple[Array, Array]:
    """Charge from surplus and discharge into the rest; + = discharge."""
    battery_w, soc_percent = np.empty_like(surplus_w), np.empty_like(surplus_w)
    percent_per_w = step_s / 3600 / _BATTERY_WH * 100
    soc = start_percent
    for step, surplus in enumerate(surplus_w.tolist()):
        wanted = min(max(-surplus, -_BATTERY_W), _BATTERY_W)
        power = min(max(wanted, (soc - 100) / percent_per_w), max(0.0, soc - 5) / percent_per_w)
        soc = min(100.0, soc - power * percent_per_w)
        battery_w[step], soc_percent[step] = power, soc
    return battery_w, soc_percent
