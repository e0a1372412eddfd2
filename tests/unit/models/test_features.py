"""Features: known at issue time, right on the day the clocks change, and indifferent to gaps."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from hearth_core.messages import Target
from hearth_models.arrays import Float32Array, FloatArray
from hearth_models.features import Place, feature_names, feature_rows, features, is_night, utc_offsets_s
from hearth_models.forecasting import History
from hearth_models.sun import clear_sky_w_per_m2, elevation_degrees

KONSTANZ = Place("Europe/Berlin", 47.66, 9.17)
STEP_S = 900
DAY = 96


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def noise(days: int, seed: int = 1) -> FloatArray:
    return np.random.default_rng(seed).uniform(100, 2_000, days * DAY)


@pytest.mark.parametrize("target", list(Target))
def test_nothing_at_or_after_the_issue_is_read(target: Target) -> None:
    """A model that saw the future in training is brilliant there and useless in the home."""
    start_s = at("2016-03-01T00:00:00")
    past = noise(30)
    other = past.copy()
    issue = 21 * DAY + 37
    other[issue:] = np.nan
    changed = past.copy()
    changed[issue:] *= 7
    issue_s = start_s + issue * STEP_S
    tables = [
        features(target, History(start_s, STEP_S, values), KONSTANZ, issue_s, 2 * DAY)
        for values in (past, other, changed, past[:issue])
    ]
    for table in tables[1:]:
        np.testing.assert_array_equal(tables[0], table)


@pytest.mark.parametrize("target", list(Target))
def test_training_and_inference_see_the_same_row(target: Target) -> None:
    history = History(at("2016-03-01T00:00:00"), STEP_S, noise(30))
    issues, steps = np.array([10 * DAY, 25 * DAY + 3, 25 * DAY + 3]), np.array([10 * DAY + 5, 25 * DAY + 3, 27 * DAY])
    rows = feature_rows(target, history, KONSTANZ, issues, steps)
    assert rows.dtype == np.float32
    assert rows.shape == (3, len(feature_names(target)))
    for row, issue, step in zip(rows, issues, steps, strict=True):
        table = features(target, history, KONSTANZ, history.start_s + int(issue) * STEP_S, 2 * DAY)
        np.testing.assert_allclose(row, table[step - issue], rtol=1e-4, atol=0.05)


def column(table: Float32Array, name: str, target: Target = Target.LOAD) -> FloatArray:
    return table[:, feature_names(target).index(name)].astype(np.float64)


@pytest.mark.parametrize(("day", "steps"), [("2016-03-27", 92), ("2016-10-30", 100), ("2016-05-10", 96)])
def test_a_local_day_has_92_or_100_quarter_hours_when_the_clocks_change(day: str, steps: int) -> None:
    midnight_s = at(f"{day}T00:00:00") - 7_200
    times = midnight_s + STEP_S * np.arange(4 * DAY, dtype=np.float64)
    local_days = (times + utc_offsets_s(times, "Europe/Berlin")) // 86_400
    assert (local_days == at(f"{day}T00:00:00") // 86_400).sum() == steps


def test_after_the_clock_change_breakfast_is_looked_up_at_breakfast() -> None:
    """On 27 March 2016 people rose an hour earlier in UTC; the load's past must follow them."""
    start_s = at("2016-03-10T00:00:00")
    times = start_s + STEP_S * np.arange(20 * DAY, dtype=np.float64)
    local_hour = (times + utc_offsets_s(times, "Europe/Berlin")) % 86_400 / 3_600
    breakfast_w = np.where((local_hour >= 7) & (local_hour < 8), 3_000.0, 200.0)
    history = History(start_s, STEP_S, breakfast_w)
    issue_s = at("2016-03-27T00:00:00")
    load = features(Target.LOAD, history, KONSTANZ, issue_s, DAY)
    hour = column(load, "local_hour")
    expected: FloatArray = np.where((hour >= 7) & (hour < 8), 3_000.0, 200.0)
    np.testing.assert_array_equal(column(load, "last_day_w"), expected)
    np.testing.assert_allclose(column(load, "mean_7d_w"), expected)
    # the sun knows no summer time: PV looks exactly 24 h back
    pv = features(Target.PV, history, KONSTANZ, issue_s, DAY)
    issue = round((issue_s - start_s) / STEP_S)
    np.testing.assert_array_equal(column(pv, "last_day_w", Target.PV), breakfast_w[issue - DAY : issue])


def test_known_values_by_hand() -> None:
    start_s = at("2016-05-02T00:00:00")  # a Monday
    days_w = np.repeat(np.arange(1.0, 11.0) * 100, DAY)
    table = features(Target.LOAD, History(start_s, STEP_S, days_w), KONSTANZ, start_s + 10 * 86_400, 2 * DAY)
    first, tomorrow = table[0], table[DAY]
    row = dict(zip(feature_names(Target.LOAD), first, strict=True))
    assert row["last_day_w"] == 1_000
    assert row["day_before_w"] == 900
    assert row["mean_7d_w"] == pytest.approx(700)  # mean of 400..1000
    assert row["same_weekday_w"] == 400  # Thursday 5 May
    assert row["weekday"] == 3
    assert row["local_hour"] == 2
    assert row["off_1h_w"] == pytest.approx(1_000 - 600)  # mean of the seven days before the last: 300..900
    # a day ahead, yesterday's slot is today and not known: the same known days are used
    assert tomorrow[feature_names(Target.LOAD).index("last_day_w")] == 1_000
    assert tomorrow[feature_names(Target.LOAD).index("lead_h")] == 24


def test_gaps_stay_gaps_and_never_spread() -> None:
    values = noise(20)
    values[15 * DAY : 19 * DAY] = np.nan
    table = features(
        Target.LOAD, History(at("2016-05-02T00:00:00"), STEP_S, values), KONSTANZ, at("2016-05-22T00:00:00"), 4
    )
    assert np.isfinite(column(table, "mean_7d_w")).all()
    assert np.isnan(column(table, "day_before_w")).all()


def test_a_home_without_any_history_has_a_finite_baseline() -> None:
    empty = History(at("2016-05-02T00:00:00"), STEP_S, np.full(DAY, np.nan))
    table = features(Target.LOAD, empty, KONSTANZ, at("2016-05-03T00:00:00"), 8)
    assert (column(table, "mean_7d_w") == 0).all()


def test_the_sun_stands_where_the_almanac_says() -> None:
    """Konstanz: 65.8 degrees at noon on 21 June, 18.9 on 21 December; the equator is lit from above in March."""
    noon = np.array([at("2016-06-21T11:25:00"), at("2016-12-21T11:21:00")])
    np.testing.assert_allclose(elevation_degrees(noon, 47.66, 9.17), [65.78, 18.9], atol=0.3)
    equinox = np.array([at("2016-03-20T12:07:00")])
    assert elevation_degrees(equinox, 0.0, 0.0)[0] == pytest.approx(90, abs=1.0)
    assert clear_sky_w_per_m2(np.array([-5.0, 0.0, 90.0]))[[0, 1]].tolist() == [0, 0]
    assert clear_sky_w_per_m2(np.array([90.0]))[0] == pytest.approx(1_037, abs=2)


def test_night_is_dark_from_dusk_to_dawn() -> None:
    night = is_night(at("2016-06-21T00:00:00"), 3_600, 24, KONSTANZ)
    # sunrise 03:26 UTC, sunset 19:27 UTC
    assert np.flatnonzero(~night).tolist() == list(range(3, 20))
