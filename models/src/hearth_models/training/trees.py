"""The learner: one gradient-boosted tree ensemble for each quantile of the correction to the naive forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from hearth_models.arrays import Float32Array, FloatArray, IntArray

QUANTILES = (0.1, 0.5, 0.9)
_SEED = 20160404
# Threads of the trees wait for each other by spinning: on a busy machine two took twenty times as long as one.
_THREADS = 1


@dataclass(frozen=True)
class Rows:
    """Training rows: features, the naive baseline the trees correct, and what was measured."""

    table: Float32Array
    baseline_w: FloatArray
    measured_w: FloatArray

    def __len__(self) -> int:
        return len(self.measured_w)


@dataclass(frozen=True)
class Trees:
    """Fitted ensembles, one per quantile; each answers the correction in units of ``scale_w``."""

    models: tuple[HistGradientBoostingRegressor, ...]
    scale_w: float

    def raw(self, table: Float32Array) -> FloatArray:
        """Return the corrections, shape (n, 3), in units of ``scale_w``."""
        with threadpool_limits(limits=_THREADS):
            return np.stack([model.predict(table) for model in self.models], axis=1)


def fit(rows: Rows) -> Trees:
    """Fit the ensembles.

    The features are float32 already: thresholds found in float64 would move in ONNX and change single answers.
    """
    correction_w = rows.measured_w - rows.baseline_w
    scale_w = float(np.mean(np.abs(correction_w))) or 1.0
    models = []
    for quantile in QUANTILES:
        model = HistGradientBoostingRegressor(
            loss="quantile",
            quantile=quantile,
            # eight weeks hold few independent days: small trees on random columns forget the particular day
            max_iter=80,
            learning_rate=0.06,
            max_leaf_nodes=8,
            min_samples_leaf=max(20, min(300, len(rows) // 40)),
            max_features=0.4,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=_SEED,
        )
        with threadpool_limits(limits=_THREADS):
            models.append(model.fit(rows.table, correction_w / scale_w))
    return Trees(tuple(models), scale_w)


def sample_pairs(
    first: int, end: int, horizon: int, leads_per_step: int, seed: int = _SEED
) -> tuple[IntArray, IntArray]:
    """Draw (issue, step) pairs with every lead of the horizon equally likely; each step of ``[first, end)`` appears."""
    random = np.random.default_rng(seed)
    step = np.repeat(np.arange(first, end), leads_per_step)
    lead = random.integers(0, horizon, len(step))
    issue = step - lead
    early = issue >= 0
    return issue[early], step[early]
