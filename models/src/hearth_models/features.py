"""What a forecast may know: calendar, sun and the home's own past, the same code for training and inference.

Every feature of a row is known when the forecast is issued, for every lead: nothing at or after the issue step is read.
The load's past is looked up by wall clock (people live by it, also on the day the clocks change), the sun's by UTC.
Missing measurements stay NaN, which the trees understand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from hearth_core.messages import Target
from hearth_models.arrays import BoolArray, Float32Array, FloatArray, IntArray
from hearth_models.sun import clear_sky_w_per_m2, elevation_degrees

FEATURES_VERSION = 1
BASELINE = "mean_7d_w"
"""The column a model is a correction of."""
LAG_DAYS = 7
_DAY_S = 86_400
_HOUR_S = 3_600
_SHARED = (
    "lead_h",
    "local_hour",
    "sun_degrees",
    "last_day_w",
    "day_before_w",
    "same_weekday_w",
    BASELINE,
    "spread_7d_w",
    "smooth_7d_w",
    "highest_7d_w",
    "last_step_w",
    "off_1h_w",
    "off_3h_w",
    "off_24h_w",
)
_NAMES = {
    Target.LOAD: (*_SHARED, "weekday", "mean_24h_w", "lowest_24h_w"),
    Target.PV: (*_SHARED, "clear_sky_w_per_m2", "clearness_3h_w", "clearness_24h_w"),
}


@dataclass(frozen=True)
class Place:
    """Where a home is: its clock and its sun."""

    timezone: str
    latitude: float
    longitude: float


class Series(Protocol):
    """A regular series, see `hearth_models.forecasting.History`."""

    @property
    def start_s(self) -> float:
        """Start of the first step [s]."""
        ...

    @property
    def step_s(self) -> int:
        """Length of a step [s]."""
        ...

    @property
    def power_w(self) -> FloatArray:
        """Mean power, shape (n,), NaN where missing [W]."""
        ...


def feature_names(target: Target) -> list[str]:
    """Return the names of a target's feature columns, in order."""
    return list(_NAMES[target])


def features(target: Target, history: Series, place: Place, issue_s: float, horizon_steps: int) -> Float32Array:
    """Return what is known at ``issue_s`` about each of the next steps.

    Args:
        target: What is forecast.
        history: The target's past; steps from ``issue_s`` on are not read.
        place: Where the home is.
        issue_s: Start of the step the forecast begins with [s].
        horizon_steps: How many steps.

    Returns:
        Shape (horizon_steps, len(feature_names(target))), NaN where unknown.
    """
    issue = round((issue_s - history.start_s) / history.step_s)
    leads = np.arange(horizon_steps)
    return feature_rows(target, history, place, np.full(horizon_steps, issue), issue + leads)


def feature_rows(target: Target, history: Series, place: Place, issue: IntArray, step: IntArray) -> Float32Array:
    """Return features for pairs of issue and target step, both indices into the history (they may lie beyond its end).

    Args:
        target: What is forecast.
        history: The target's past.
        place: Where the home is.
        issue: First step not yet measured when the forecast is made, shape (m,).
        step: Step that is forecast, shape (m,), not before ``issue``.

    Returns:
        Shape (m, len(feature_names(target))).
    """
    past = _Past.of(target, history, place, int(step.max()) + 1)
    lagged = past.same_slots(issue, step)
    smooth = past.same_slots(issue, step, smooth=True)
    weekly = past.same_weekday(issue, step)
    count = np.isfinite(lagged).sum(axis=1)
    mean_24h = past.mean_before(past.power_w, issue, _DAY_S)
    baseline = np.where(count > 0, _nan_mean(lagged), mean_24h)
    hour, weekday = past.calendar(step)
    columns = [
        (step - issue) * history.step_s / _HOUR_S,
        hour,
        past.sun[step - past.first],
        lagged[:, 0],
        lagged[:, 1],
        weekly,
        np.where(np.isfinite(baseline), baseline, past.overall_before(issue)),
        _nan_spread(lagged),
        _nan_mean(smooth),
        _nan_max(lagged),
        past.mean_before(past.power_w, issue, history.step_s),
        past.mean_before(past.off_w, issue, _HOUR_S),
        past.mean_before(past.off_w, issue, 3 * _HOUR_S),
        past.mean_before(past.off_w, issue, _DAY_S),
    ]
    if target is Target.LOAD:
        columns += [weekday, mean_24h, past.lowest_before(issue)]
    else:
        clear = clear_sky_w_per_m2(past.sun)
        now = clear[step - past.first]
        columns += [now, *(past.clearness_before(issue, span_s, clear) * now for span_s in (3 * _HOUR_S, _DAY_S))]
    return np.stack(columns, axis=1).astype(np.float32)


def is_night(start_s: float, step_s: int, n_steps: int, place: Place) -> BoolArray:
    """Tell for each step whether the sun is down for the whole of it, shape (n_steps,)."""
    edges = start_s + step_s * np.arange(n_steps + 1, dtype=np.float64)
    below = elevation_degrees(edges, place.latitude, place.longitude) <= 0
    middle = elevation_degrees(edges[:-1] + step_s / 2, place.latitude, place.longitude) <= 0
    night: BoolArray = below[:-1] & below[1:] & middle
    return night


@lru_cache(maxsize=50_000)
def _utc_offset_s(hour: int, timezone: str) -> int:
    offset = datetime.fromtimestamp(hour * _HOUR_S, tz=ZoneInfo(timezone)).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def utc_offsets_s(at_s: FloatArray, timezone: str) -> IntArray:
    """Return local clock minus UTC at each instant [s] (clocks change on full UTC hours in every zone of today)."""
    hours, back = np.unique((at_s // _HOUR_S).astype(np.int64), return_inverse=True)
    offsets: IntArray = np.array([_utc_offset_s(int(hour), timezone) for hour in hours], dtype=np.int64)[back]
    return offsets


@dataclass(frozen=True)
class _Past:
    """A history with what its features need; arrays run over ``[first, end)``, where step 0 starts the history."""

    first: int
    step_s: int
    power_w: FloatArray
    smooth_w: FloatArray
    off_w: FloatArray
    offset_steps: IntArray
    local_s: FloatArray
    sun: FloatArray

    @classmethod
    def of(cls, target: Target, history: Series, place: Place, end: int) -> _Past:
        step_s, per_day = history.step_s, _DAY_S // history.step_s
        first = -2 * LAG_DAYS * per_day
        at_s = history.start_s + step_s * np.arange(first, end, dtype=np.float64)
        power_w = np.full(end - first, np.nan)
        measured = history.power_w[: max(end, 0)]
        power_w[-first : -first + len(measured)] = measured
        offset_s = utc_offsets_s(at_s, place.timezone)
        by_clock = offset_s // step_s if target is Target.LOAD else np.zeros(len(at_s), dtype=np.int64)
        past = cls(
            first,
            step_s,
            power_w,
            _smooth(power_w, _HOUR_S // 2 // step_s),
            np.empty(0),
            by_clock,
            at_s + offset_s,
            elevation_degrees(at_s + step_s / 2, place.latitude, place.longitude),
        )
        steps = np.arange(first + LAG_DAYS * per_day + per_day, end)
        off_w = np.full(end - first, np.nan)
        off_w[steps - first] = power_w[steps - first] - _nan_mean(past.same_slots(steps, steps))
        return cls(first, step_s, power_w, past.smooth_w, off_w, by_clock, past.local_s, past.sun)

    def same_slots(self, issue: IntArray, step: IntArray, *, smooth: bool = False) -> FloatArray:
        """Return the values of the last days at the same slot, newest first, shape (m, LAG_DAYS)."""
        per_day = _DAY_S // self.step_s
        nearest = (self._wall(step) - self._wall(issue)) // per_day + 1
        days = nearest[:, None] + np.arange(LAG_DAYS)
        return self._at(issue, step, days * per_day, smooth=smooth)

    def _wall(self, step: IntArray) -> IntArray:
        """Return the number of a step by the clock its past is looked up with."""
        wall: IntArray = step + self.offset_steps[step - self.first]
        return wall

    def same_weekday(self, issue: IntArray, step: IntArray) -> FloatArray:
        """Return the value of the same slot on the last same weekday, shape (m,)."""
        per_week = 7 * _DAY_S // self.step_s
        weeks = (self._wall(step) - self._wall(issue)) // per_week + 1
        return self._at(issue, step, (weeks * per_week)[:, None])[:, 0]

    def _at(self, issue: IntArray, step: IntArray, back: IntArray, *, smooth: bool = False) -> FloatArray:
        last = len(self.power_w) - 1
        rough = np.clip(step[:, None] - back - self.first, 0, last)
        moved = self.offset_steps[step - self.first][:, None] - self.offset_steps[rough]
        # the same wall clock: on the day after the clocks change a day ago is 23 or 25 hours ago
        lag = step[:, None] - back + moved
        source = self.smooth_w if smooth else self.power_w
        reach = max(_HOUR_S // 2 // self.step_s, 0) if smooth else 0
        known = (lag + reach < issue[:, None]) & (lag >= self.first)
        return np.where(known, source[np.clip(lag - self.first, 0, last)], np.nan)

    def calendar(self, step: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return local hour of the day (0..24) and weekday (0 Monday .. 6 Sunday)."""
        local = self.local_s[step - self.first]
        # 1970-01-01 was a Thursday
        return np.mod(local, _DAY_S) / _HOUR_S, np.mod(local // _DAY_S + 3, 7)

    def mean_before(self, values: FloatArray, issue: IntArray, span_s: int) -> FloatArray:
        """Return the mean of the present values in the span before each issue, NaN when there is none."""
        total, count = self._window(values, issue, max(1, span_s // self.step_s))
        mean: FloatArray = np.divide(total, count, out=np.full(len(issue), np.nan), where=count > 0)
        return mean

    def overall_before(self, issue: IntArray) -> FloatArray:
        """Return the mean of everything known at each issue; 0 when nothing is."""
        total, count = self._window(self.power_w, issue, len(self.power_w))
        return np.divide(total, count, out=np.zeros(len(issue)), where=count > 0)

    def clearness_before(self, issue: IntArray, span_s: int, clear: FloatArray) -> FloatArray:
        """Return PV power per clear-sky irradiance over the span before each issue [W per W/m2]."""
        steps = max(1, span_s // self.step_s)
        lit = np.where(np.isfinite(self.power_w) & (clear > 20), clear, np.nan)
        energy, _ = self._window(np.where(np.isfinite(lit), self.power_w, np.nan), issue, steps)
        light, count = self._window(lit, issue, steps)
        clearness: FloatArray = np.divide(energy, light, out=np.full(len(issue), np.nan), where=count > 0)
        return clearness

    def lowest_before(self, issue: IntArray) -> FloatArray:
        """Return the lowest hour of the day before each issue: the home's standby [W]."""
        per_day = _DAY_S // self.step_s
        unique, back = np.unique(issue, return_inverse=True)
        index = np.clip(unique[:, None] - per_day + np.arange(per_day) - self.first, 0, len(self.smooth_w) - 1)
        # the smoothed value next to the issue would look half an hour ahead
        reach = _HOUR_S // 2 // self.step_s
        window = self.smooth_w[index][:, : per_day - reach]
        lowest: FloatArray = np.where(np.isfinite(window), window, np.inf).min(axis=1)
        return np.where(np.isfinite(lowest), lowest, np.nan)[back]

    def _window(self, values: FloatArray, issue: IntArray, steps: int) -> tuple[FloatArray, FloatArray]:
        present = np.isfinite(values)
        total = np.concatenate([[0.0], np.cumsum(np.where(present, values, 0.0))])
        count = np.concatenate([[0.0], np.cumsum(present)])
        high = np.clip(issue - self.first, 0, len(values))
        low = np.clip(issue - self.first - steps, 0, len(values))
        return total[high] - total[low], count[high] - count[low]


def _smooth(values: FloatArray, reach: int) -> FloatArray:
    """Return the centred mean of the present values within ``reach`` steps on either side."""
    if reach < 1:
        return values
    window = np.ones(2 * reach + 1)
    present = np.isfinite(values)
    total = np.convolve(np.where(present, values, 0.0), window, mode="same")
    count = np.convolve(present.astype(np.float64), window, mode="same")
    mean: FloatArray = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
    return mean


def _nan_mean(table: FloatArray) -> FloatArray:
    present = np.isfinite(table)
    count = present.sum(axis=1)
    total = np.where(present, table, 0.0).sum(axis=1)
    mean: FloatArray = np.divide(total, count, out=np.full(len(table), np.nan), where=count > 0)
    return mean


def _nan_spread(table: FloatArray) -> FloatArray:
    mean = _nan_mean(table)
    return np.sqrt(_nan_mean((table - mean[:, None]) ** 2))


def _nan_max(table: FloatArray) -> FloatArray:
    highest = np.where(np.isfinite(table), table, -np.inf).max(axis=1)
    return np.where(np.isfinite(highest), highest, np.nan)
