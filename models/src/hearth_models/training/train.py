"""From a home's history to a model with a card: fit, calibrate, score on unseen days, export, check, hand over."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.messages import ModelCard, Target
from hearth_models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from hearth_models.features import BASELINE, FEATURES_VERSION, Place, feature_names, feature_rows, is_night
from hearth_models.forecasting import History, seasonal_naive
from hearth_models.training.export import Calibration, check_parity, to_onnx
from hearth_models.training.trees import QUANTILES, Rows, Trees, fit, sample_pairs

HORIZON_S = 48 * 3600
_DAY_S = 86_400
# Older days say little about tomorrow and cost time.
_LONGEST_DAYS = 120
_ENOUGH_DAYS = 4
_HELD_OUT_DAYS = 7
# About this many rows are learned from; more improved nothing on recorded homes.
_MOST_ROWS = 24_000


class TrainingError(PermanentError):
    """A history nothing can be learned from, or a model whose ONNX twin answers differently."""


@dataclass(frozen=True)
class TrainedModel:
    """What the hub publishes."""

    card: ModelCard
    onnx: bytes


def train(target: Target, history: History, place: Place, now_ms: int) -> TrainedModel:
    """Learn a target from its history.

    The last days are held out twice: one stretch calibrates the outer quantiles, the next scores the calibrated model
    against `seasonal_naive`. What is handed over is then fitted on all days, with that calibration.

    Args:
        target: What the history is of.
        history: Measured power, NaN where missing; at most the last 120 days are used.
        place: Where the home is.
        now_ms: When this happens; only steps that ended before count.

    Raises:
        TrainingError: Less than four measured days, or the ONNX model does not answer what the trees answer.
    """
    known = _recent(history, now_ms)
    per_day = _DAY_S // known.step_s
    horizon = HORIZON_S // known.step_s
    days = int(np.isfinite(known.power_w).sum()) / per_day
    if days < _ENOUGH_DAYS:
        raise TrainingError(f"history of {target}: {days:.1f} measured days are not enough, {_ENOUGH_DAYS} are needed")
    end = len(known.power_w)
    held = min(_HELD_OUT_DAYS, max(1, int(days) // 6)) * per_day
    leads = max(1, round(_MOST_ROWS / end))

    first = end - held - min(2, max(1, int(days) // 20)) * held
    early = fit(_rows(target, known, place, sample_pairs(per_day, first, horizon, leads)))
    to_calibrate = _rows(target, known, place, sample_pairs(first, end - held, horizon, leads + 1))
    calibration = Calibration.fit(early, to_calibrate)
    scores = _scores(target, early, calibration, known, place, held)

    final = fit(_rows(target, known, place, sample_pairs(per_day, end, horizon, leads)))
    onnx = to_onnx(final, calibration, feature_names(target).index(BASELINE))
    scores["parity_w"] = check_parity(onnx, final, calibration, to_calibrate)
    version = f"{target}-{datetime.fromtimestamp(now_ms / 1000, tz=UTC):%Y%m%dT%H%M%S}"
    card = ModelCard(
        target=target,
        version=version,
        features_version=FEATURES_VERSION,
        feature_names=feature_names(target),
        quantiles=list(QUANTILES),
        step_s=known.step_s,
        horizon_steps=horizon,
        trained_from_ms=int(known.start_s * 1000),
        trained_until_ms=int((known.start_s + end * known.step_s) * 1000),
        scores={name: round(value, 4) for name, value in scores.items()},
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
    )
    return TrainedModel(card, onnx)


def _recent(history: History, now_ms: int) -> History:
    """Return the last days of complete steps, without the unmeasured ones before the first value."""
    complete = min(len(history.power_w), max(0, int((now_ms / 1000 - history.start_s) // history.step_s)))
    first = max(0, complete - _LONGEST_DAYS * _DAY_S // history.step_s)
    present = np.flatnonzero(np.isfinite(history.power_w[first:complete]))
    first += int(present[0]) if len(present) else 0
    return History(history.start_s + first * history.step_s, history.step_s, history.power_w[first:complete])


def _rows(target: Target, history: History, place: Place, pairs: tuple[IntArray, IntArray]) -> Rows:
    issue, step = pairs
    measured_w = history.power_w[step]
    useful = np.isfinite(measured_w)
    if target is Target.PV:
        # nights are certain, and would teach the trees nothing but zeros
        useful &= ~_nights(history, place)[step]
    issue, step = issue[useful], step[useful]
    table: Float32Array = feature_rows(target, history, place, issue, step)
    baseline_w = table[:, feature_names(target).index(BASELINE)].astype(np.float64)
    return Rows(table, baseline_w, history.power_w[step])


def _nights(history: History, place: Place) -> BoolArray:
    return is_night(history.start_s, history.step_s, len(history.power_w), place)


def _scores(
    target: Target, trees: Trees, calibration: Calibration, history: History, place: Place, held: int
) -> dict[str, float]:
    """Score on the held-out last days, forecasts issued every six hours, all leads alike.

    PV counts the whole day, nights included, for model and naive alike.
    """
    step_s, end = history.step_s, len(history.power_w)
    horizon = HORIZON_S // step_s
    night = _nights(history, place)
    errors: list[FloatArray] = []
    naive_errors: list[FloatArray] = []
    inside: list[FloatArray] = []
    baseline = feature_names(target).index(BASELINE)
    for issue in range(end - held, end, max(1, 6 * 3600 // step_s)):
        steps = np.arange(issue, min(issue + horizon, end))
        table = feature_rows(target, history, place, np.full(len(steps), issue), steps)
        answer = calibration.apply(trees, table, table[:, baseline].astype(np.float64))
        answer = np.maximum(np.sort(answer, axis=1), 0.0)
        naive_w = seasonal_naive(history, history.start_s + issue * step_s, len(steps)).p50_w
        if target is Target.PV:
            answer[night[steps]] = 0.0
        truth = history.power_w[steps]
        real = np.isfinite(truth)
        errors.append(np.abs(answer[:, 1] - truth)[real])
        naive_errors.append(np.abs(naive_w - truth)[real])
        lit = real & ~night[steps] if target is Target.PV else real
        inside.append(((truth >= answer[:, 0]) & (truth <= answer[:, 2]))[lit].astype(np.float64))
    mae_w, naive_mae_w = _mean(errors), _mean(naive_errors)
    return {
        "mae_w": mae_w,
        "naive_mae_w": naive_mae_w,
        "skill": 1 - mae_w / naive_mae_w if naive_mae_w > 0 else 0.0,
        "coverage_80": _mean(inside),
    }


def _mean(parts: list[FloatArray]) -> float:
    joined = np.concatenate(parts) if parts else np.empty(0)
    return float(joined.mean()) if len(joined) else 0.0
