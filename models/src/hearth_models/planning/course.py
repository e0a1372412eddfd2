"""The policy lived along the expected net load: what a plan's slots show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_core.messages import Mode
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.planning.policy import Worth, choose, interval
from hearth_models.planning.value import ValueFunction

# The controller decides every second; along an expectation a quarter of an hour is often enough, half an hour too.
_PIECE_S = 1800
_WORTH_STEP = 0.02


@dataclass(frozen=True)
class Expected:
    """What is expected of each step, arrays of shape (n_steps,)."""

    modes: list[Mode]
    forced_w: FloatArray
    battery_w: FloatArray
    stored_wh: FloatArray
    """At the end of the step."""
    worth_eur_per_kwh: FloatArray
    """Of one more kWh in the cells at the start of the step."""


def worth_of(value: ValueFunction, row: int, stored_wh: float, battery: Battery) -> Worth:
    """Return the worth of one kWh more and less in the cells at the start of a step.

    Args:
        value: The value function.
        row: Which step; n_steps is the end.
        stored_wh: Energy in the cells [Wh].
        battery: Its capacity sets how wide the slope is measured.
    """
    grid, values = value.stored_wh, value.value_eur[row]
    step_wh = battery.capacity_wh * _WORTH_STEP
    upper = min(max(stored_wh, grid[0]), grid[-1] - step_wh)
    lower = min(max(stored_wh, grid[0] + step_wh), grid[-1])
    points = np.interp([upper, upper + step_wh, lower - step_wh, lower], grid, values).tolist()
    return Worth((points[1] - points[0]) / step_wh * 1000, (points[3] - points[2]) / step_wh * 1000)


def expected_course(
    net_w: FloatArray,
    import_eur_per_kwh: FloatArray,
    export_eur_per_kwh: FloatArray,
    value: ValueFunction,
    battery: Battery,
    stored_wh: float,
    lengths_s: FloatArray,
) -> Expected:
    """Live the policy along the expected net load.

    Args:
        net_w: Expected net load, shape (n,) [W].
        import_eur_per_kwh: Shape (n,).
        export_eur_per_kwh: Shape (n,).
        value: The value function the policy follows.
        battery: Its physics.
        stored_wh: Energy in the cells now [Wh].
        lengths_s: Length of each step, shape (n,) [s].
    """
    n = len(net_w)
    modes: list[Mode] = []
    forced_w, battery_w, stored, worths = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for step in range(n):
        pieces = max(1, round(lengths_s[step] / _PIECE_S))
        piece_s = float(lengths_s[step]) / pieces
        for piece in range(pieces):
            worth = worth_of(value, step + 1, stored_wh, battery)
            choice = choose(worth, float(import_eur_per_kwh[step]), float(export_eur_per_kwh[step]), battery)
            lowest_w, highest_w = interval(choice.mode, choice.power_w, battery)
            stored_wh, delivered_w = battery.run(stored_wh, min(max(float(net_w[step]), lowest_w), highest_w), piece_s)
            battery_w[step] += delivered_w / pieces
            if piece == 0:
                modes.append(choice.mode)
                forced_w[step], worths[step] = choice.power_w, worth.one_more
        stored[step] = stored_wh
    return Expected(modes, forced_w, battery_w, stored, worths)
