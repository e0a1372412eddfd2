"""Forecasts of one target (load or PV) with their spread: a learned model, and the naive one that always answers.

`seasonal_naive` needs numpy only; `OnnxForecaster` needs the extra ``[serve]``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.messages import ModelCard, Target
from hearth_models.arrays import Float32Array, FloatArray
from hearth_models.features import FEATURES_VERSION, Place, feature_names, features, is_night

NAIVE_DAYS = 7
HORIZON_STEPS = 192
"""Two days of quarter hours."""
_DAY_S = 86_400
LOAD_PRIOR_W = 350.0
"""Load of a home nobody has measured yet: about 3,000 kWh a year."""
# Spread as seen between single homes.
_PRIOR_LOW, _PRIOR_HIGH = 0.4, 2.5
# With this many same-slot values or more, their own spread is used.
_ENOUGH_VALUES = 3

__all__ = ["ForecastError", "History", "OnnxForecaster", "Place", "Quantiles", "floor_to_step", "seasonal_naive"]


class ForecastError(PermanentError):
    """A model or an input that no forecast can be made with."""


@dataclass(frozen=True)
class History:
    """A regular series of one target: ``power_w[i]`` is the mean over the step that starts at ``start_s + i step_s``.

    Raises:
        ForecastError: The start is off the step's grid, or the array is not one-dimensional.
    """

    start_s: float
    step_s: int
    power_w: FloatArray
    """Mean power, shape (n,), NaN where nothing was measured [W]."""

    def __post_init__(self) -> None:
        if self.step_s <= 0 or _DAY_S % self.step_s:
            raise ForecastError(f"history.step_s: {self.step_s!r} must divide a day")
        if self.power_w.ndim != 1:
            raise ForecastError(f"history.power_w: shape {self.power_w.shape} must have one dimension")
        if not np.isfinite(self.start_s) or self.start_s % self.step_s:
            raise ForecastError(f"history.start_s: {self.start_s!r} must be a multiple of {self.step_s} s")


@dataclass(frozen=True)
class Quantiles:
    """A forecast: in each step the power lies below ``p10_w`` in one case of ten, below ``p90_w`` in nine.

    The mean, which energy and money follow, is not the median where the spread is lopsided: see `mean_w`.
    """

    start_s: float
    step_s: int
    p10_w: FloatArray
    p50_w: FloatArray
    p90_w: FloatArray

    @property
    def mean_w(self) -> FloatArray:
        """Mean power of each step by Swanson's rule, 0.3 p10 + 0.4 p50 + 0.3 p90, shape (n,) [W].

        The rule is exact for a normal and close for moderately skewed distributions (Keefer & Bodily, Management
        Science 29(5), 1983, compare such three-point rules).
        """
        mean: FloatArray = 0.3 * self.p10_w + 0.4 * self.p50_w + 0.3 * self.p90_w
        return mean


def floor_to_step(at_s: float, step_s: int) -> float:
    """Return the start of the step that holds an instant [s]."""
    return float(at_s // step_s * step_s)


def seasonal_naive(history: History, issue_s: float, horizon_steps: int, prior_w: float = LOAD_PRIOR_W) -> Quantiles:
    """Forecast each step by the mean of the same slot on the last days; always answers.

    Only steps that ended before ``issue_s`` count. With fewer than three values a slot takes a spread around their
    mean; with none, the mean of the whole history; with no history at all the prior.

    Args:
        history: What was measured, NaN where nothing was.
        issue_s: When the forecast is made [s].
        horizon_steps: How many steps to answer, the first holds ``issue_s``.
        prior_w: What is expected of a home nobody has measured; give 0 for PV.
    """
    step_s = history.step_s
    start_s = floor_to_step(issue_s, step_s)
    per_day = _DAY_S // step_s
    known = _known_before(history, start_s)
    issue = round((start_s - history.start_s) / step_s)
    steps = issue + np.arange(horizon_steps)
    days_back = (steps - issue) // per_day + 1
    lags = steps[:, None] - (days_back[:, None] + np.arange(NAIVE_DAYS)) * per_day
    inside = (lags >= 0) & (lags < len(known))
    same_slot = np.where(inside, known[np.clip(lags, 0, max(len(known) - 1, 0))], np.nan) if len(known) else None
    if same_slot is None or not np.isfinite(known).any():
        flat = np.full(horizon_steps, prior_w)
        return Quantiles(start_s, step_s, flat * _PRIOR_LOW, flat, flat * _PRIOR_HIGH)
    return _same_slot_quantiles(same_slot, float(np.nanmean(known)), start_s, step_s)


def _same_slot_quantiles(same_slot: FloatArray, fallback_w: float, start_s: float, step_s: int) -> Quantiles:
    present = np.isfinite(same_slot)
    count = present.sum(axis=1)
    filled = np.where(present, same_slot, 0.0)
    middle = np.where(count > 0, filled.sum(axis=1) / np.maximum(count, 1), fallback_w)
    guess = np.where(present, same_slot, middle[:, None])
    few = count < _ENOUGH_VALUES
    low = np.where(few, middle * _PRIOR_LOW, np.quantile(guess, 0.1, axis=1))
    high = np.where(few, middle * _PRIOR_HIGH, np.quantile(guess, 0.9, axis=1))
    return Quantiles(start_s, step_s, np.minimum(low, middle), middle, np.maximum(high, middle))


def _known_before(history: History, start_s: float) -> FloatArray:
    complete = max(0, round((start_s - history.start_s) / history.step_s))
    return history.power_w[:complete]


class OnnxForecaster:
    """A learned model, checked before it is believed."""

    def __init__(self, onnx: bytes, card: ModelCard, place: Place) -> None:
        """Load a model.

        Args:
            onnx: The model's bytes.
            card: What it claims to be.
            place: Where the home is.

        Raises:
            ForecastError: The hash, the features or the shape are not what the card says, or ONNX cannot load it.
        """
        # onnxruntime is a large optional library: whoever only wants the naive forecast must not need it
        import onnxruntime

        if hashlib.sha256(onnx).hexdigest() != card.onnx_sha256:
            raise ForecastError(f"model {card.version}: onnx_sha256 does not match the bytes")
        if card.features_version != FEATURES_VERSION or card.feature_names != feature_names(card.target):
            raise ForecastError(
                f"model {card.version}: features_version {card.features_version} is not {FEATURES_VERSION}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        try:
            self._session: Any = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        # onnxruntime's error classes are private and have no base but Exception
        except Exception as error:
            raise ForecastError(f"model {card.version}: onnxruntime cannot load it: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].shape[-1] != len(card.feature_names):
            raise ForecastError(f"model {card.version}: shape: not one input of {len(card.feature_names)} features")
        self._input, self.card, self._place = inputs[0].name, card, place

    def forecast(self, history: History, issue_s: float) -> Quantiles:
        """Forecast ``card.horizon_steps`` steps, the first of which holds ``issue_s``.

        Args:
            history: What was measured, in the card's step.
            issue_s: When the forecast is made [s].

        Raises:
            ForecastError: The history has another step, or the model answers NaN or the wrong shape.
        """
        card = self.card
        if history.step_s != card.step_s:
            raise ForecastError(f"history.step_s: {history.step_s} is not the model's {card.step_s}")
        start_s = floor_to_step(issue_s, card.step_s)
        table = features(card.target, history, self._place, start_s, card.horizon_steps)
        answer = self.run(table)
        if answer.shape != (card.horizon_steps, 3) or not np.isfinite(answer).all():
            raise ForecastError(f"model {card.version}: answered shape {answer.shape} or values that are no numbers")
        ordered = np.maximum(np.sort(answer.astype(np.float64), axis=1), 0.0)
        if card.target is Target.PV:
            ordered[is_night(start_s, card.step_s, card.horizon_steps, self._place)] = 0.0
        return Quantiles(start_s, card.step_s, ordered[:, 0], ordered[:, 1], ordered[:, 2])

    def run(self, table: Float32Array) -> Float32Array:
        """Return the raw answer of the model for a feature table of shape (n, n_features)."""
        answer: Float32Array = self._session.run(None, {self._input: table})[0]
        return answer
