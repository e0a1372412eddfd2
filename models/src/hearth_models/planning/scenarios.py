"""What the next two days may be like: whole days that hang together, with the spread and the mean of the forecast.

The forecast gives each step a distribution but not how steps go together: a cloudy noon seldom comes alone. So the
values of each step are put in the order in which the last days stood at that slot (the Schaake shuffle: Clark et al.,
Journal of Hydrometeorology 5(1), 2004). Scenario 3 is low all day where recorded day 3 was low all day.
"""

from __future__ import annotations

import numpy as np

from hearth_models.arrays import FloatArray, IntArray
from hearth_models.forecasting import Quantiles

# Standard normal 90 % point: turns the distance of an outer quantile from the median into a standard deviation.
_Z90 = 1.2816
_MOST_DAYS = 10
_FEWEST_DAYS = 5
# Without recorded days: seven levels, each held through the whole horizon.
_LEVELS = 7


def net_scenarios(load: Quantiles, pv: Quantiles, recent_net_w: FloatArray | None, start_s: float) -> FloatArray:
    """Return net-load scenarios around the forecast.

    Args:
        load: Forecast of the load.
        pv: Forecast of PV.
        recent_net_w: Net load of the last days, shape (days, steps per day) from UTC midnight; NaN where missing.
        start_s: Start of the forecast [s].

    Returns:
        Shape (n_scenarios, n_steps) [W]; each step's mean is the forecast's mean.
    """
    middle = load.mean_w - pv.mean_w
    up = np.hypot(load.p90_w - load.p50_w, pv.p50_w - pv.p10_w) / _Z90
    down = np.hypot(load.p50_w - load.p10_w, pv.p90_w - pv.p50_w) / _Z90
    order = _order(recent_net_w, start_s, load.step_s, len(middle))
    n_scenarios = order.shape[0]
    scores = _normal_scores(n_scenarios)
    deviation = np.where(scores[:, None] > 0, scores[:, None] * up, scores[:, None] * down)
    deviation -= deviation.mean(axis=0)
    shuffled: FloatArray = np.take_along_axis(deviation, order, axis=0)
    return middle + shuffled


def _order(recent_net_w: FloatArray | None, start_s: float, step_s: int, n_steps: int) -> IntArray:
    """Return for each scenario and step its rank among the scenarios, shape (n_scenarios, n_steps)."""
    if recent_net_w is not None:
        whole = recent_net_w[np.isfinite(recent_net_w).mean(axis=1) > 0.9][-_MOST_DAYS:]
        if len(whole) >= _FEWEST_DAYS:
            slots = (int(start_s // step_s) + np.arange(n_steps)) % recent_net_w.shape[1]
            means = np.nanmean(whole, axis=0)
            days = np.where(np.isfinite(whole), whole, means)
            # the level of the neighbourhood counts, not the minute a kettle was on
            level = _smooth_rows(days, max(1, 3600 // step_s))
            return np.argsort(np.argsort(level, axis=0, kind="stable"), axis=0, kind="stable")[:, slots]
    return np.repeat(np.arange(_LEVELS)[:, None], n_steps, axis=1)


def _smooth_rows(days: FloatArray, reach: int) -> FloatArray:
    padded = np.concatenate([days[:, -reach:], days, days[:, :reach]], axis=1)
    total = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    smooth: FloatArray = (total[:, 2 * reach + 1 :] - total[:, : -(2 * reach + 1)]) / (2 * reach + 1)
    return smooth


def _normal_scores(n: int) -> FloatArray:
    """Return the means of n equally likely slices of a normal distribution, lowest first (Blom's approximation)."""
    share = (np.arange(1, n + 1) - 0.375) / (n + 0.25)
    # Tukey's lambda form of the normal quantile, good to 0.01 in this range
    scores: FloatArray = 4.91 * (share**0.14 - (1 - share) ** 0.14)
    return scores
