"""What the next two days may be like: what followed, on earlier days, upon a day like the last one.

A forecast gives each step a distribution, but neither how steps go together nor what the last hours tell: a dull
morning is seldom followed by a bright noon, a heat pump that runs goes on running. So the scenarios are the days of
the home's own past whose preceding 24 h were most like the present ones (analogs: Lorenz, Journal of the Atmospheric
Sciences 26(4), 1969), moved by the difference between now and then, which fades, and a little towards the forecast.
"""

from __future__ import annotations

import numpy as np

from hearth_models.arrays import FloatArray, IntArray
from hearth_models.forecasting import Quantiles

PAST_DAYS = 61
"""How many days of net load are worth giving: those that are compared, and one before."""
_DAY_S = 86_400
_MOST_ANALOGS = 16
_FEWEST_DAYS = 6
# The last hours count most when days are compared [h].
_COMPARED_H = 6.0
# A day further back must be so much more alike [share a day]: seasons change, and so do habits.
_AGEING = 0.01
# How fast the difference between now and then is forgotten [h].
_FADING_H = 2.0
# How far the scenarios' mean is moved towards the forecast's [share].
_FORECAST_WEIGHT = 0.3
# Standard normal 90 % point: turns the distance of an outer quantile from the median into a standard deviation.
_Z90 = 1.2816
# Without enough past: seven levels of the forecast, each held through the whole horizon.
_LEVELS = 7


def net_scenarios(load: Quantiles, pv: Quantiles, past_net_w: FloatArray | None) -> FloatArray:
    """Return net-load scenarios.

    Args:
        load: Forecast of the load.
        pv: Forecast of PV.
        past_net_w: Net load of the last days in the forecast's steps, the last value just before its start, shape
            (n_past,) [W]; NaN where missing. With less than a week of it the scenarios come from the forecast alone.

    Returns:
        Shape (n_scenarios, n_steps) [W].
    """
    forecast_w = load.mean_w - pv.mean_w
    per_day = _DAY_S // load.step_s
    past_w = None if past_net_w is None else _whole(past_net_w[-PAST_DAYS * per_day :], per_day)
    if past_w is None:
        return _levels(load, pv, forecast_w)
    followed = _analogs(past_w, per_day, load.step_s, len(forecast_w))
    moved: FloatArray = followed + _FORECAST_WEIGHT * (forecast_w - followed.mean(axis=0))
    return moved


def _whole(past_net_w: FloatArray, per_day: int) -> FloatArray | None:
    """Fill gaps with the mean of the same slot; None when there is too little to compare days with."""
    days = len(past_net_w) // per_day
    if days < _FEWEST_DAYS + 1:
        return None
    table = past_net_w[len(past_net_w) - days * per_day :].reshape(days, per_day)
    present = np.isfinite(table)
    # the last day is what all others are compared with
    if present.mean() < 0.5 or present[-1].mean() < 0.5:
        return None
    count = present.sum(axis=0)
    overall = float(table[present].mean())
    mean = np.where(count > 0, np.where(present, table, 0.0).sum(axis=0) / np.maximum(count, 1), overall)
    whole: FloatArray = np.where(present, table, mean).ravel()
    return whole


def _analogs(past_w: FloatArray, per_day: int, step_s: int, n_steps: int) -> FloatArray:
    """Return what followed upon the most alike days, shape (n_analogs, n_steps)."""
    back = _alike(past_w, per_day, step_s)
    hours = (np.arange(n_steps) + 1) * step_s / 3600
    ahead = np.arange(n_steps)
    # what followed yesterday is known for a day only: from there on its last day is lived again
    index = (
        len(past_w) - back[:, None] * per_day + ahead % (np.minimum(back, -(-n_steps // per_day)) * per_day)[:, None]
    )
    before_w = past_w[len(past_w) - 1 - back * per_day]
    difference_w = past_w[-1] - float(before_w.mean())
    followed: FloatArray = past_w[index] + difference_w * np.exp(-hours / _FADING_H)
    return followed


def _alike(past_w: FloatArray, per_day: int, step_s: int) -> IntArray:
    """Return how many days back the most alike days lie, most alike first."""
    table = past_w.reshape(-1, per_day)
    weight = np.exp(-np.arange(per_day)[::-1] * step_s / 3600 / _COMPARED_H)
    difference = np.sqrt(((table[:-1] - table[-1]) ** 2) @ (weight / weight.sum()))
    days_back = np.arange(len(table) - 1, 0, -1)
    order = np.argsort(difference * (1 + _AGEING * days_back), kind="stable")
    alike: IntArray = days_back[order][:_MOST_ANALOGS]
    return alike


def _levels(load: Quantiles, pv: Quantiles, forecast_w: FloatArray) -> FloatArray:
    """Return levels around the forecast whose mean is the forecast's."""
    up = np.hypot(load.p90_w - load.p50_w, pv.p50_w - pv.p10_w) / _Z90
    down = np.hypot(load.p50_w - load.p10_w, pv.p90_w - pv.p50_w) / _Z90
    scores = _normal_scores(_LEVELS)[:, None]
    deviation = np.where(scores > 0, scores * up, scores * down)
    around: FloatArray = forecast_w + deviation - deviation.mean(axis=0)
    return around


def _normal_scores(n: int) -> FloatArray:
    """Return the means of n equally likely slices of a normal distribution, lowest first (Blom's approximation)."""
    share = (np.arange(1, n + 1) - 0.375) / (n + 0.25)
    # Tukey's lambda form of the normal quantile, good to 0.01 in this range
    scores: FloatArray = 4.91 * (share**0.14 - (1 - share) ** 0.14)
    return scores
