"""The quarter-hour means a forecast starts from: honest about gaps, and still there after a restart."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from hearth_agent.forecast.series import KEPT_STEPS, STEP_S, PowerSeries

START_S = 1_459_728_000.0


def observe(series: PowerSeries, start_s: float, seconds: int, power_w: float | None, every_s: int = 10) -> None:
    for offset in range(0, seconds, every_s):
        series.observe(start_s + offset, power_w)


def test_each_quarter_has_the_mean_of_its_samples(tmp_path: Path) -> None:
    series = PowerSeries(tmp_path / "load.csv", 10.0)
    observe(series, START_S, 450, 100.0)
    observe(series, START_S + 450, 450, 300.0)
    observe(series, START_S + 900, 900, 50.0)
    series.observe(START_S + 1800, 1.0)
    history = series.history(START_S + 1800)
    assert history.start_s == START_S
    assert history.power_w.tolist() == [200.0, 50.0]


def test_a_quarter_that_was_hardly_seen_is_missing(tmp_path: Path) -> None:
    """Two minutes of a kettle are not a quarter of an hour."""
    series = PowerSeries(tmp_path / "load.csv", 10.0)
    observe(series, START_S, 900, 100.0)
    observe(series, START_S + 900, 120, 2000.0)
    observe(series, START_S + 1800, 900, None)
    observe(series, START_S + 2700, 900, 100.0)
    series.observe(START_S + 3600, 1.0)
    power_w = series.history(START_S + 3600).power_w
    assert power_w[0] == power_w[3] == 100.0
    assert np.isnan(power_w[1:3]).all()


def test_it_survives_a_restart_and_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    series = PowerSeries(path, 10.0)
    observe(series, START_S, 1800, 100.0)
    series.observe(START_S + 1800, 1.0)
    with path.open("a") as file:
        file.write("16219")
    again = PowerSeries(path, 10.0)
    assert again.history(START_S + 1800).power_w.tolist() == [100.0, 100.0]


def test_the_hubs_history_fills_only_what_was_not_measured(tmp_path: Path) -> None:
    series = PowerSeries(tmp_path / "load.csv", 10.0)
    observe(series, START_S, 900, 100.0)
    series.observe(START_S + 900, 1.0)
    series.fill(START_S - 900, STEP_S, [7.0, 8.0, None, math.nan])
    assert series.history(START_S + 900).power_w.tolist() == [7.0, 100.0]
    series.fill(START_S, 3600, [1.0])
    assert len(series) == 2


def test_it_stays_bounded(tmp_path: Path) -> None:
    series = PowerSeries(tmp_path / "load.csv", 10.0)
    series.fill(START_S - 900 * 10_000, STEP_S, [1.0] * 10_000)
    assert len(series) == KEPT_STEPS
    assert len(series.history(START_S).power_w) <= KEPT_STEPS


@pytest.mark.parametrize("jump_s", [-7200, 7200])
def test_a_clock_that_jumps_mixes_no_quarters(tmp_path: Path, jump_s: int) -> None:
    series = PowerSeries(tmp_path / "load.csv", 10.0)
    observe(series, START_S, 890, 100.0)
    observe(series, START_S + jump_s, 900, 500.0)
    series.observe(START_S + jump_s + 900, 1.0)
    history = series.history(START_S + 7200 + 900)
    index = round((START_S - history.start_s) / STEP_S)
    assert history.power_w[index] == 100.0
