"""Blocks of constant power inside an hour: how a switched machine turns an hourly mean into on and off.

The car: an hour that needs at least 6 A is charged through at its own mean power; a shorter need becomes one block at
the power of the neighbouring hour (or 8 A), at the end of the hour when the session begins there, else at its start.
The heat pump: 10 W of electronics; the compressor modulates down to 500 W, so that a smaller hourly need becomes one
run of at least 12 minutes, joined to the neighbouring hour's run where there is one. A block is a whole number of
steps; its power is adjusted so that the hour's energy is kept exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

EV_LOWEST_W, EV_HIGHEST_W = 6 * 230.0, 16 * 230.0
_EV_USUAL_W = 8 * 230.0
# below this mean the charging point only waits: its electronics, spread over the hour
_EV_WAITING_BELOW_W = 20.0

HEAT_PUMP_WAITING_W = 10.0
HEAT_PUMP_HIGHEST_W = 2200.0
_COMPRESSOR_LOWEST_W = 500.0
_HEAT_PUMP_WAITING_BELOW_W = 60.0
_SHORTEST_RUN = 0.2  # of an hour
_NEARLY_ALL = 0.85  # no stop of a few minutes: the compressor goes a little below its usual lowest power instead


@dataclass(frozen=True)
class HourNeed:
    """One machine's mean power in an hour and in the hours beside it [W]."""

    before_w: float
    mean_w: float
    after_w: float


def block(n_steps: int, mean_w: float, power_w: float, place: float) -> FloatArray:
    """Return one block that has the mean power ``mean_w``, shape (n_steps,) [W].

    Args:
        n_steps: Steps of the hour.
        mean_w: Mean power of the whole hour [W], > 0.
        power_w: About how strong the block shall be; it is never weaker [W].
        place: 0 = at the start of the hour .. 1 = at its end.
    """
    length = max(1, int(n_steps * min(mean_w / power_w, 1.0)))
    first = round(place * (n_steps - length))
    steps = np.zeros(n_steps)
    steps[first : first + length] = mean_w * n_steps / length
    return steps


def car_steps(need: HourNeed, n_steps: int, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Return what the car wants to charge, shape (n_steps,) [W], and the constant power of the waiting charger [W]."""
    if need.mean_w < _EV_WAITING_BELOW_W:
        return np.zeros(n_steps), need.mean_w
    if need.mean_w >= EV_LOWEST_W:
        return np.full(n_steps, need.mean_w), 0.0
    neighbour_w = max(need.before_w, need.after_w)
    power_w = min(neighbour_w, EV_HIGHEST_W * 0.85) if neighbour_w >= EV_LOWEST_W else _EV_USUAL_W
    return block(n_steps, need.mean_w, power_w, _place(need, _EV_WAITING_BELOW_W, rng)), 0.0


def heat_pump_steps(need: HourNeed, n_steps: int, rng: np.random.Generator) -> FloatArray:
    """Return the heat pump's power, shape (n_steps,) [W]."""
    if need.mean_w < _HEAT_PUMP_WAITING_BELOW_W:
        return np.full(n_steps, need.mean_w)
    rest_w = need.mean_w - HEAT_PUMP_WAITING_W
    power_w = min(_COMPRESSOR_LOWEST_W, rest_w / _SHORTEST_RUN)
    if rest_w >= _NEARLY_ALL * power_w:
        return np.full(n_steps, need.mean_w)
    return HEAT_PUMP_WAITING_W + block(n_steps, rest_w, power_w, _place(need, _HEAT_PUMP_WAITING_BELOW_W, rng))


def _place(need: HourNeed, idle_below_w: float, rng: np.random.Generator) -> float:
    if need.before_w >= idle_below_w:
        return 0.0
    return 1.0 if need.after_w >= idle_below_w else float(rng.random())
