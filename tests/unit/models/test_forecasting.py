"""The naive forecast always answers, and the learned one is checked before it is believed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from hearth_core.messages import Target
from hearth_models.features import Place
from hearth_models.forecasting import ForecastError, History, OnnxForecaster, seasonal_naive
from hearth_models.training import TrainedModel, TrainingError, train
from hearth_models.training.export import Calibration, ParityError, check_parity
from hearth_models.training.trees import Rows, fit

KONSTANZ = Place("Europe/Berlin", 47.66, 9.17)
STEP_S = 3_600
START_S = 1_459_468_800.0  # 2016-04-01
DAYS = 40


def home(days: int = DAYS, seed: int = 3) -> History:
    """A home with quiet Saturdays and busy Sundays: the naive mean of seven days cannot know them, a model can."""
    random = np.random.default_rng(seed)
    hour = np.arange(days * 24) % 24
    week = np.array([1.0, 0.9, 1.1, 1.0, 1.0, 0.3, 2.0])
    mood = np.repeat(week[np.arange(days) % 7] * random.uniform(0.8, 1.2, days), 24)
    shape = 200 + 900 * np.exp(-(((hour - 17) / 3) ** 2)) + 300 * np.exp(-(((hour - 6) / 2) ** 2))
    return History(START_S, STEP_S, shape * mood + random.normal(0, 30, len(hour)))


@pytest.fixture(scope="module")
def learned() -> TrainedModel:
    history = home()
    return train(Target.LOAD, history, KONSTANZ, int((START_S + DAYS * 86_400) * 1000))


def test_naive_is_the_mean_of_the_same_slots() -> None:
    values = np.concatenate([np.arange(24.0) + 100 * day for day in range(1, 4)])
    answer = seasonal_naive(History(START_S, STEP_S, values), START_S + 3 * 86_400, 30)
    np.testing.assert_allclose(answer.p50_w[:24], np.arange(24) + 200)
    np.testing.assert_allclose(answer.p50_w[24:], np.arange(6) + 200)
    assert answer.start_s == START_S + 3 * 86_400
    assert (answer.p10_w < answer.p50_w).all()
    assert (answer.p90_w > answer.p50_w).all()


def test_naive_knows_only_complete_steps() -> None:
    values = np.concatenate([np.full(24, 100.0), np.full(24, 900.0)])
    issued_inside = seasonal_naive(History(START_S, STEP_S, values), START_S + 86_400 + 1_800, 24)
    assert issued_inside.start_s == START_S + 86_400
    np.testing.assert_array_equal(issued_inside.p50_w, np.full(24, 100.0))


@pytest.mark.parametrize("values", [np.empty(0), np.full(48, np.nan)])
def test_naive_answers_without_history(values: np.ndarray) -> None:
    """A new home must get its first plan in minutes, not after two days."""
    answer = seasonal_naive(History(START_S, STEP_S, values), START_S + 5 * 86_400, 192)
    assert len(answer.p50_w) == 192
    assert (answer.p10_w < answer.p50_w).all()
    assert 100 < answer.mean_w.mean() < 1_000


def test_naive_forgets_gaps() -> None:
    values = home(10).power_w.copy()
    expected = seasonal_naive(History(START_S, STEP_S, values), START_S + 10 * 86_400, 24).p50_w.copy()
    values[5 * 24 : 5 * 24 + 6] = np.nan
    answer = seasonal_naive(History(START_S, STEP_S, values), START_S + 10 * 86_400, 24)
    assert np.isfinite(answer.p50_w).all()
    np.testing.assert_allclose(answer.p50_w[6:], expected[6:])


def test_a_history_off_the_grid_is_refused() -> None:
    with pytest.raises(ForecastError, match="start_s"):
        History(START_S + 5, STEP_S, np.zeros(3))


def test_the_card_tells_a_model_that_beats_the_naive_one(learned: TrainedModel) -> None:
    scores = learned.card.scores
    assert scores["skill"] == pytest.approx(1 - scores["mae_w"] / scores["naive_mae_w"], abs=1e-3)
    assert scores["skill"] > 0.1
    assert 0.6 < scores["coverage_80"] <= 1.0
    assert scores["parity_w"] < 0.1
    assert len(learned.onnx) < 700 * 1024


def test_the_forecast_is_ordered_finite_and_calibrated(learned: TrainedModel) -> None:
    forecaster = OnnxForecaster(learned.onnx, learned.card, KONSTANZ)
    fresh = home(days=60)
    inside = []
    for day in range(41, 58):
        answer = forecaster.forecast(fresh, START_S + day * 86_400 + 13 * 3_600 + 60)
        assert answer.start_s == START_S + day * 86_400 + 13 * 3_600
        assert (answer.p10_w <= answer.p50_w).all()
        assert (answer.p50_w <= answer.p90_w).all()
        assert (answer.p10_w >= 0).all()
        truth = fresh.power_w[day * 24 + 13 :][:48]
        inside.append(((truth >= answer.p10_w) & (truth <= answer.p90_w))[: len(truth)].mean())
    assert 0.6 < float(np.mean(inside)) < 0.99


def test_pv_is_exactly_zero_at_night() -> None:
    hours = np.arange(30 * 24) % 24
    sun_w = np.maximum(0, 4_000 * np.sin((hours - 4) / 16 * np.pi)) * np.random.default_rng(5).uniform(0.3, 1, 30 * 24)
    sun_w[(hours < 4) | (hours > 19)] = 0
    history = History(START_S, STEP_S, sun_w)
    end_s = START_S + 30 * 86_400
    trained = train(Target.PV, history, KONSTANZ, int(end_s * 1000))
    answer = OnnxForecaster(trained.onnx, trained.card, KONSTANZ).forecast(history, end_s)
    night = np.isin(np.arange(48) % 24, [0, 1, 2, 21, 22, 23])
    assert (answer.p90_w[night] == 0).all()
    assert answer.p50_w[12] > 500


def test_a_history_with_holes_still_trains_and_forecasts() -> None:
    values = home().power_w.copy()
    values[100:300] = np.nan
    values[-30:] = np.nan
    history = History(START_S, STEP_S, values)
    end_s = START_S + DAYS * 86_400
    trained = train(Target.LOAD, history, KONSTANZ, int(end_s * 1000))
    answer = OnnxForecaster(trained.onnx, trained.card, KONSTANZ).forecast(history, end_s)
    assert np.isfinite(answer.p50_w).all()


def test_training_uses_only_what_ended_before_now() -> None:
    values = home().power_w.copy()
    now_ms = int((START_S + 30 * 86_400) * 1000)
    one = train(Target.LOAD, History(START_S, STEP_S, values), KONSTANZ, now_ms)
    values[30 * 24 :] = 1e6
    two = train(Target.LOAD, History(START_S, STEP_S, values), KONSTANZ, now_ms)
    assert one.card.onnx_sha256 == two.card.onnx_sha256
    assert one.card.trained_until_ms == now_ms


def test_too_little_history_is_refused() -> None:
    with pytest.raises(TrainingError, match="measured days"):
        train(Target.LOAD, home(3), KONSTANZ, int((START_S + 3 * 86_400) * 1000))


def test_a_model_that_differs_from_its_trees_is_never_handed_over(learned: TrainedModel) -> None:
    """skl2onnx converts some models silently wrong; the gate must see it."""
    random = np.random.default_rng(1)
    width = len(learned.card.feature_names)
    table = random.normal(size=(400, width)).astype(np.float32)
    rows = Rows(table, np.full(400, 300.0), 300 + 100 * table[:, 0].astype(np.float64))
    trees = fit(rows)
    with pytest.raises(ParityError, match="differs"):
        check_parity(learned.onnx, trees, Calibration(1.0, 1.0, 1.0), rows)


def test_a_wrong_hash_or_other_features_are_refused(learned: TrainedModel) -> None:
    with pytest.raises(ForecastError, match="sha256"):
        OnnxForecaster(learned.onnx[:-1], learned.card, KONSTANZ)
    newer = msgspec.structs.replace(learned.card, features_version=99)
    with pytest.raises(ForecastError, match="features_version"):
        OnnxForecaster(learned.onnx, newer, KONSTANZ)
    hourly = OnnxForecaster(learned.onnx, learned.card, KONSTANZ)
    with pytest.raises(ForecastError, match="step_s"):
        hourly.forecast(replace(home(), step_s=900), START_S)


def test_the_base_needs_numpy_only() -> None:
    """An agent without solver and runtime must still decide and forecast naively."""
    code = (
        "import sys, hearth_models.planning.policy, hearth_models.forecasting, hearth_models.planning.value\n"
        "from hearth_models.planning import PlanInputs\n"
        "heavy = {'highspy', 'onnxruntime', 'sklearn', 'skl2onnx', 'scipy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
