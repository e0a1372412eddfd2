"""Measured values as the JSON of whole columns, made once and shared: a message only cuts its part out of them.

A few dozen *variants* of a home each hold one day as text; homes are dealt to them. Gauges repeat each day, counters
add the day's energy, so that they never fall. What is measured follows from variant and instant alone.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

import msgspec
import numpy as np

from hearth_core.points import POINTS, PointClass
from hearth_sim.fleet.physics import Array, imagine_day

_PHASES = (1, 2, 3)
SERIES = (
    "power_w",
    *(f"power_l{n}_w" for n in _PHASES),
    *(f"voltage_l{n}_v" for n in _PHASES),
    *(f"current_l{n}_a" for n in _PHASES),
    "frequency_hz",
    "pv_power_w",
    "battery_power_w",
    "soc_percent",
    "import_energy_wh",
    "export_energy_wh",
    "pv_energy_wh",
    "energy_wh",
    "operating_state",
    "outdoor_temperature_c",
    "battery_charge_energy_wh",
    "battery_discharge_energy_wh",
    "water_temperature_c",
    "flow_temperature_c",
    "session_energy_wh",
    "current_limit_a",
    "vehicle_state",
)
"""The points of the inverter; with fewer series the first ones count."""

_DAY_MS = 86_400_000
_SINCE_MS = 1_577_836_800_000  # 2020-01-01: counters began at 0 there
_MOST_STEPS = 8640
_MEMORY_VALUES = 2_000_000
_MOST_VARIANTS = 32
_DECIMALS = {"Hz": 3, "V": 1, "A": 2, "W": 1, "%": 1, "degC": 1, "Wh": 1, "": 0}
_LAPS_KEPT = 3


class _Text(NamedTuple):
    """A column: ``values[starts[i]:starts[i + 1]]`` is value i with its comma."""

    values: bytes
    starts: array[int]


class _Counter(NamedTuple):
    since_midnight_wh: Array
    a_day_wh: float


class Variant:
    """One day of one imagined home."""

    def __init__(self, seed: int, number: int, series: int, interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self.steps = steps_a_lap(interval_ms)
        day = imagine_day(np.random.default_rng((seed, number)), self.steps, interval_ms / 1000)
        self._names = SERIES[:series]
        self._keys = [b'"%b":[' % name.encode() for name in self._names]
        self._gauges = {
            name: _as_text(np.round(day.gauges[name], _DECIMALS[POINTS[name].unit]))
            for name in self._names
            if POINTS[name].point_class is not PointClass.COUNTER
        }
        self._counters = {
            name: _counted(day.powers_w[name], interval_ms)
            for name in self._names
            if POINTS[name].point_class is PointClass.COUNTER
        }
        self._laps: dict[int, list[_Text]] = {}
        self._newest_place, self._newest_row = (0, -1), b""

    def rows_that_fit(self, at_ms: int, wanted: int, limit_bytes: int, extra_bytes: int) -> int:
        """Return how many rows from an instant on may be asked of `points`; 1 at least.

        They end with the lap, and need no more than ``limit_bytes`` with ``extra_bytes`` more for each row.
        """
        lap, first = self._place(at_ms)
        columns = self._columns(lap)
        rows = max(1, min(wanted, self.steps - first))
        while rows > 1:
            size = sum(one.starts[first + rows] - one.starts[first] for one in columns) + rows * extra_bytes
            if size <= limit_bytes:
                break
            rows = max(1, min(rows - 1, rows * limit_bytes // size))
        return rows

    def points(self, at_ms: int, rows: int) -> bytes:
        """Return the inside of a batch's ``points`` object for consecutive instants of one lap."""
        place = self._place(at_ms)
        if rows > 1:
            return self._cut(place, rows)
        if place != self._newest_place:  # all homes of this variant measure the same within one interval
            self._newest_place, self._newest_row = place, self._cut(place, 1)
        return self._newest_row

    def _cut(self, place: tuple[int, int], rows: int) -> bytes:
        lap, first = place
        last = first + rows
        parts = [
            key + text.values[text.starts[first] : text.starts[last] - 1]
            for key, text in zip(self._keys, self._columns(lap), strict=True)
        ]
        return b"],".join(parts) + b"]"

    def _place(self, at_ms: int) -> tuple[int, int]:
        return divmod((at_ms - _SINCE_MS) // self._interval_ms, self.steps)

    def _columns(self, lap: int) -> list[_Text]:
        columns = self._laps.get(lap)
        if columns is None:
            if len(self._laps) >= _LAPS_KEPT:  # live readings need the newest, backlog moves on to newer ones
                del self._laps[min(self._laps)]
            counters = {
                name: _as_text(np.round(lap * one.a_day_wh + one.since_midnight_wh, 1))
                for name, one in self._counters.items()
            }
            columns = self._laps[lap] = [self._gauges.get(name) or counters[name] for name in self._names]
        return columns


def make_variants(seed: int, homes: int, series: int, interval_ms: int) -> list[Variant]:
    """Make as many variants as are worth their memory (about 20 MB in all)."""
    affordable = _MEMORY_VALUES // (steps_a_lap(interval_ms) * series)
    count = min(homes, _MOST_VARIANTS, max(4, affordable))
    return [Variant(seed, number, series, interval_ms) for number in range(count)]


def steps_a_lap(interval_ms: int) -> int:
    """Return after how many steps the gauges repeat: a day, or less where readings come faster than every 10 s."""
    return min(_MOST_STEPS, -(-_DAY_MS // interval_ms))


def _counted(power_w: Array, interval_ms: int) -> _Counter:
    energy_wh = np.cumsum(power_w) * interval_ms / 3_600_000
    return _Counter(energy_wh, float(energy_wh[-1]))


def _as_text(values: Array) -> _Text:
    text = msgspec.json.encode(values.tolist())[1:-1] + b","
    commas = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord(","))
    starts = array("I", [0])
    starts.frombytes((commas + 1).astype(np.uint32).tobytes())
    return _Text(text, starts)
