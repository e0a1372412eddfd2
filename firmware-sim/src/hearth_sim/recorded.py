"""The recorded home and the prices of its days, as hourly arrays without holes.

Filling: an hour in which load, PV, EV or heat pump is missing is taken as a whole from the nearest day that has the
same hour of the day (the day before first, then the day after, then two days before, ...), so that its columns still
belong together. Missing appliances count as 0: they only shape the inside of an hour.
Never negative: where EV and heat pump together exceed the metered load (9 hours), the rest of the house is set to 0.
PV is 0 in hours in which the sun never rises above the horizon (the record holds 1 W there now and then).
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hearth_core.errors import PermanentError
from hearth_sim.solar import sine_of_elevation

FloatArray = NDArray[np.float64]
HOUR_S = 3600
DATA_DIR = Path(__file__).parent / "data"
HOME_FILE = DATA_DIR / "konstanz_r4.csv.gz"
PRICES_FILE = DATA_DIR / "nl_dayahead.csv.gz"
LATITUDE, LONGITUDE = 47.66, 9.17

_MAIN = ("load_w", "pv_w", "ev_w", "heat_pump_w")
_APPLIANCES = ("dishwasher_w", "washing_machine_w", "freezer_w", "refrigerator_w")
_DAY_H = 24
# Outside the record time wraps by whole years of 52 weeks and whole weeks, which keeps weekday and time of day.
_YEAR_H, _WEEK_H = 364 * _DAY_H, 7 * _DAY_H


class RecordError(PermanentError):
    """A file of the recorded home is not what it should be, or does not reach far enough."""


@dataclass(frozen=True)
class Record:
    """Mean powers of consecutive hours, each of shape (n_hours,) [W]."""

    start_s: int
    house_w: FloatArray
    """Load without EV and heat pump."""
    pv_w: FloatArray
    ev_w: FloatArray
    heat_pump_w: FloatArray
    dishwasher_w: FloatArray
    washing_machine_w: FloatArray
    cooling_w: FloatArray
    """Refrigerator and freezer."""

    @property
    def hours(self) -> int:
        """Number of hours."""
        return int(self.pv_w.size)

    @property
    def end_s(self) -> int:
        """End of the last hour [s since 1970 UTC]."""
        return self.start_s + self.hours * HOUR_S

    def row(self, hour: int) -> int:
        """Return the row that stands for an hour counted from 1970; outside the record it wraps (see `_YEAR_H`)."""
        row = hour - self.start_s // HOUR_S
        if 0 <= row < self.hours:
            return row
        row %= _YEAR_H
        return row if row < self.hours else row % (self.hours // _WEEK_H * _WEEK_H)


def parse_instant(text: str) -> float:
    """Read an ISO 8601 instant that names its zone, e.g. ``2016-04-04T00:00:00Z`` [s since 1970 UTC].

    Raises:
        ValueError: It is no instant, or has no zone.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        msg = f"{text!r} names no time zone"
        raise ValueError(msg)
    return at.timestamp()


def fill_like_days(columns: FloatArray) -> FloatArray:
    """Replace hours with a missing value by the same hour of the nearest complete day.

    Args:
        columns: Shape (n_hours, n_columns), NaN = missing.

    Returns:
        The same shape without NaN.

    Raises:
        RecordError: An hour of the day is never complete.
    """
    filled = columns.copy()
    complete = np.asarray(np.isfinite(columns).all(axis=1), dtype=np.bool_)
    for row in np.flatnonzero(~complete):
        for days in range(1, len(columns) // _DAY_H + 2):
            donors = [r for r in (row - days * _DAY_H, row + days * _DAY_H) if 0 <= r < len(columns) and complete[r]]
            if donors:
                filled[row] = columns[donors[0]]
                break
        else:
            raise RecordError(f"row {row}: no day has this hour complete")
    return filled


def read_record(path: Path) -> Record:
    """Read the home's file and fill its gaps.

    Raises:
        RecordError: A column is missing, or the hours are not consecutive.
    """
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = ("timestamp_utc", *_MAIN, *_APPLIANCES)
    missing = [name for name in wanted if not rows or name not in rows[0]]
    if missing:
        raise RecordError(f"{path}: column {missing[0]} is missing")
    at_s = np.array([parse_instant(row["timestamp_utc"]) for row in rows])
    if not np.all(np.diff(at_s) == float(HOUR_S)):
        raise RecordError(f"{path}: the hours are not consecutive")
    table = {n: np.array([float(r[n]) if r[n] else np.nan for r in rows]) for n in wanted[1:]}
    main = fill_like_days(np.column_stack([table[name] for name in _MAIN]))
    load_w, pv_w, ev_w, heat_pump_w = np.maximum(main, 0.0).T
    within_s = np.arange(0.0, HOUR_S, 300)
    height = sine_of_elevation(at_s[:, None] + within_s, LATITUDE, LONGITUDE).max(axis=1)
    other = {name: np.nan_to_num(table[name]) for name in _APPLIANCES}
    return Record(
        start_s=int(at_s[0]),
        house_w=np.maximum(load_w - ev_w - heat_pump_w, 0.0),
        pv_w=np.where(height > 0, pv_w, 0.0),
        ev_w=ev_w,
        heat_pump_w=heat_pump_w,
        dishwasher_w=other["dishwasher_w"],
        washing_machine_w=other["washing_machine_w"],
        cooling_w=other["freezer_w"] + other["refrigerator_w"],
    )


@cache
def konstanz() -> Record:
    """Return the home that ships with the simulator."""
    return read_record(HOME_FILE)


def prices_path() -> Path:
    """Return the file of day-ahead prices that ships with the simulator (``timestamp_utc,price_eur_per_mwh``)."""
    return PRICES_FILE
