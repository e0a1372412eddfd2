"""What a lived home has learned of its load and sun, from nothing but its past."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hearth_core.messages import Target
from hearth_models.arrays import FloatArray
from hearth_models.backtest.homes import RecordedHome
from hearth_models.forecasting import History, OnnxForecaster, Quantiles, seasonal_naive
from hearth_models.training import TrainingError, train

_DAY_S = 86_400
_TRAIN_AFTER_DAYS = 14
_RETRAIN_DAYS = 56
_HISTORY_DAYS = 16


@dataclass
class Learner:
    """Models of one home, trained every eight weeks; the seasonal-naive forecast before."""

    home: RecordedHome
    start_s: float
    step_s: int
    known: dict[Target, FloatArray]
    """Mean power of each step, NaN where nothing was measured [W]."""
    skills: dict[Target, list[float]] = field(default_factory=lambda: {target: [] for target in Target})
    """Of each training, on days it had not seen."""
    _models: dict[Target, OnnxForecaster] = field(default_factory=dict)

    def learn(self, day: int) -> None:
        """Train on what was recorded before a day, when it is time to."""
        if day < _TRAIN_AFTER_DAYS or (day - _TRAIN_AFTER_DAYS) % _RETRAIN_DAYS:
            return
        for target, values in self.known.items():
            if self._is_nothing(target):
                continue
            history = History(self.start_s, self.step_s, values[: day * _DAY_S // self.step_s])
            try:
                trained = train(target, history, self.home.place, int((self.start_s + day * _DAY_S) * 1000))
            except TrainingError:
                # a gap of weeks: the last model, or the naive forecast, goes on
                continue
            self.skills[target].append(trained.card.scores["skill"])
            self._models[target] = OnnxForecaster(trained.onnx, trained.card, self.home.place)

    def forecast(self, target: Target, here: int, n_steps: int) -> Quantiles:
        """Forecast the next steps at the start of step ``here``."""
        now_s = self.start_s + here * self.step_s
        if self._is_nothing(target):
            nothing = np.zeros(n_steps)
            return Quantiles(now_s, self.step_s, nothing, nothing, nothing)
        oldest = max(0, here - _HISTORY_DAYS * _DAY_S // self.step_s)
        history = History(self.start_s + oldest * self.step_s, self.step_s, self.known[target][oldest:here])
        if target in self._models:
            return self._models[target].forecast(history, now_s)
        return seasonal_naive(history, now_s, n_steps, *([0.0] if target is Target.PV else []))

    def _is_nothing(self, target: Target) -> bool:
        return target is Target.PV and self.home.pv is None
