"""The recorded home at a resolution of 5 s: invented inside the hour, true to the record over it.

Each hour is made from its number and the seed alone, so the value at an instant does not depend on how time is stepped,
and history and live house agree. What is invented, and how: `appliances` (house), `blocks` (EV, heat pump), `clouds`
(PV). Every hour keeps the recorded energy of each of the four to rounding error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from hearth_sim.appliances import HouseHour, house_steps
from hearth_sim.blocks import HourNeed, car_steps, heat_pump_steps
from hearth_sim.clouds import clear_sky_bound, pv_steps
from hearth_sim.recorded import HOUR_S, LATITUDE, LONGITUDE, Record, konstanz
from hearth_sim.solar import sine_of_elevation

FloatArray = NDArray[np.float64]

STEP_S = 5
STEPS = HOUR_S // STEP_S
# Diffuse light bends the start and end of a PV day; 0.02 is a sun 1.1 degrees below the horizon.
_TWILIGHT = 0.02

Row = tuple[float, float, float, float, float, float, float]


@dataclass(frozen=True)
class Hour:
    """One hour in steps of 5 s; every power in W, each array of shape (720,) or (3, 720)."""

    house_w: FloatArray
    """Per phase, without EV and heat pump."""
    pv_w: FloatArray
    heat_pump_w: FloatArray
    car_w: FloatArray
    """What the car wants to charge."""
    charger_waiting_w: float

    @cached_property
    def rows(self) -> list[Row]:
        """Return (house L1, L2, L3, PV, heat pump, car, waiting charger) of every step, quick to index one by one."""
        columns = [column.tolist() for column in (*self.house_w, self.pv_w, self.heat_pump_w, self.car_w)]
        return list(zip(*columns, [self.charger_waiting_w] * STEPS, strict=True))

    @property
    def load_w(self) -> FloatArray:
        """All consumption, nothing delayed, shape (720,)."""
        total: FloatArray = self.house_w.sum(axis=0) + self.heat_pump_w + self.car_w + self.charger_waiting_w
        return total


class Variation:
    """Makes the hours of one record with one seed."""

    def __init__(self, record: Record, seed: int) -> None:
        self.record, self.seed = record, seed
        self._bound_w = clear_sky_bound(record.pv_w)
        self.hour = lru_cache(maxsize=8)(self._make)

    def _make(self, hour: int) -> Hour:
        """Make an hour counted from 1970 (use `hour`, which remembers the last ones)."""
        record = self.record
        row = record.row(hour)
        rng = np.random.default_rng((self.seed, row))
        at_s = record.start_s + row * HOUR_S + np.arange(STEP_S / 2, HOUR_S, STEP_S)
        height = sine_of_elevation(at_s, LATITUDE, LONGITUDE)
        sun = np.where(height > -_TWILIGHT, height + _TWILIGHT, 0.0)
        house = HouseHour(
            float(record.house_w[row]),
            float(record.dishwasher_w[row]),
            float(record.washing_machine_w[row]),
            float(record.cooling_w[row]),
        )
        car_w, waiting_w = car_steps(_need(record.ev_w, row), STEPS, rng)
        return Hour(
            house_w=house_steps(house, STEPS, rng),
            pv_w=pv_steps(float(record.pv_w[row]), float(self._bound_w[row]), sun, STEP_S, rng),
            heat_pump_w=heat_pump_steps(_need(record.heat_pump_w, row), STEPS, rng),
            car_w=car_w,
            charger_waiting_w=waiting_w,
        )


def _need(series_w: FloatArray, row: int) -> HourNeed:
    before_w = float(series_w[row - 1]) if row > 0 else 0.0
    after_w = float(series_w[row + 1]) if row + 1 < series_w.size else 0.0
    return HourNeed(before_w, float(series_w[row]), after_w)


@lru_cache(maxsize=4)
def konstanz_variation(seed: int) -> Variation:
    """Return the shipped home with one seed."""
    return Variation(konstanz(), seed)
