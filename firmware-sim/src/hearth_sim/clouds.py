"""PV inside the hour: the sun's path, and clouds that let the hour's energy stand.

The clear-sky bound of an hour is the largest recorded power of the same hour of the day within ten days. An hour
above 92 % of it is clear, one below 25 % evenly overcast with slow changes, one between sees clouds pass: sun and
shade in turns of some minutes, edges of about 20 s, at most 15 % above the clear-sky bound (light from cloud edges
adds up).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

HIGHEST_W = 9_900.0
_EDGE_GAIN = 1.15
_CLEAR, _OVERCAST = 0.92, 0.25
_WINDOW_DAYS = 10
_MEAN_TURN_S = 150.0
_EDGE_S = 20.0
_SHADE = 0.25


def clear_sky_bound(pv_w: FloatArray) -> FloatArray:
    """Return the largest value of the same hour of the day within ten days, shape (n_hours,) [W]."""
    bound = pv_w.copy()
    for days in range(1, _WINDOW_DAYS + 1):
        shift = 24 * days
        np.maximum(bound[shift:], pv_w[:-shift], out=bound[shift:])
        np.maximum(bound[:-shift], pv_w[shift:], out=bound[:-shift])
    return bound


def pv_steps(mean_w: float, bound_w: float, sun: FloatArray, step_s: float, rng: np.random.Generator) -> FloatArray:
    """Return PV power with the mean ``mean_w``, 0 where there is no sun.

    Args:
        mean_w: Recorded mean power of the hour [W].
        bound_w: Clear-sky mean power of the hour [W], >= mean_w.
        sun: Relative clear-sky power, shape (n_steps,), 0 at night [1].
        step_s: Length of a step [s].
        rng: Source of the clouds.
    """
    light = float(sun.mean())
    if mean_w <= 0 or light <= 0:
        return np.zeros(sun.size)
    clear = sun * (bound_w / light)
    share = mean_w / bound_w
    if share > _CLEAR:
        return sun * (mean_w / light)
    sky = _overcast(sun.size, rng) if share < _OVERCAST else _passing(sun.size, step_s, share, rng)
    most = np.minimum(clear * _EDGE_GAIN, np.maximum(HIGHEST_W, clear))
    power = np.minimum(clear * sky, most)
    found_w = float(power.mean())
    if found_w >= mean_w:
        return power * (mean_w / found_w)
    return power + (most - power) * ((mean_w - found_w) / (float(most.mean()) - found_w))


def _overcast(n_steps: int, rng: np.random.Generator) -> FloatArray:
    knots = np.linspace(0, n_steps - 1, 8)
    return np.interp(np.arange(n_steps), knots, 0.75 + 0.5 * rng.random(knots.size))


def _passing(n_steps: int, step_s: float, share: float, rng: np.random.Generator) -> FloatArray:
    """Return sun (1) and shade in turns, with soft edges, shape (n_steps,)."""
    sunny_part = (share - _SHADE * 0.9) / (1 - _SHADE * 0.9)
    turns = rng.exponential(1.0, 96).reshape(-1, 2) * (sunny_part, 1 - sunny_part) * 2 * _MEAN_TURN_S / step_s
    lengths = np.maximum(turns, 1).astype(int).ravel()
    heights = np.empty(lengths.size)
    heights[0::2] = 1.0
    heights[1::2] = _SHADE * (0.8 + 0.6 * rng.random(lengths.size // 2))
    raw = np.resize(np.repeat(heights, lengths), n_steps)
    width = max(1, int(_EDGE_S / step_s))
    smooth = np.convolve(np.pad(raw, (width, width), mode="edge"), np.ones(width) / width, mode="same")
    return smooth[width : width + n_steps]
