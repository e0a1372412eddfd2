"""A home's flows: now, over time, and in the quarter-hours that forecasts and plans are made from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np

from hearth_core.clock import Clock, now
from hearth_hub.database.pool import Connection
from hearth_hub.errors import RequestError
from hearth_hub.homes.repository import Home, list_devices
from hearth_hub.plans.repository import latest_version
from hearth_hub.prices.consumption import Remembered
from hearth_hub.prices.service import price_now
from hearth_hub.readings import repository
from hearth_hub.readings.aggregates import MINUTE, QUARTER, Width
from hearth_hub.readings.flows import Flows, Measured, compose
from hearth_hub.readings.repository import QUARTER_COLUMNS, QUARTER_S, LatestReading
from hearth_hub.timing import instant, instant_s, milliseconds, speed_of
from hearth_models.arrays import FloatArray
from hearth_models.forecasting import History

# A device that was silent for this long is missing, whatever it said last ...
_SILENT_S = 300.0
# ... but a reading needs real time to come here, however fast the clock of a demo runs.
_ON_ITS_WAY_REAL_S = 5.0
_MOST_STEPS = 20_000
SERIES = ("grid_w", "pv_w", "battery_w", "load_w", "ev_w", "heat_pump_w", "soc_percent")
# From this span on whole quarter-hours are read instead of single readings.
_LONG = timedelta(days=2)
# What no aggregate has is read from single readings, and that costs the more the more homes there are.
_LONGEST_RAW = timedelta(hours=6)


def silent_after_s(clock: Clock) -> float:
    """Return after how many seconds of the clock without a reading a device counts as missing."""
    return max(_SILENT_S, _ON_ITS_WAY_REAL_S * speed_of(clock))


async def now_of(
    connection: Connection, home: Home, clock: Clock, remembered: Remembered | None = None
) -> dict[str, Any]:
    """Return the present state of a home, as ``GET /now`` and the live stream show it."""
    at = now(clock)
    readings = await repository.latest(connection, home.id)
    oldest = at - timedelta(seconds=silent_after_s(clock))
    fresh = [one for one in readings if one.at and one.at >= oldest]
    flows = compose([_measured(one, fresh=one in fresh) for one in readings], 1)
    import_price, export_price = await price_now(connection, home, at, remembered)
    soc = _one(flows.soc_percent)
    battery = home.site.battery if home.site else None
    newest = max((one.at for one in readings if one.at), default=None)
    return {
        "at_ms": milliseconds(newest) if newest else None,
        "state": home.state,
        "mode": home.mode,
        "reason": home.reason,
        "plan_version": await latest_version(connection, home.id),
        "lag_s": home.lag_s,
        "flows": {
            name: _one(getattr(flows, name))
            for name in ("grid_w", "pv_w", "battery_w", "house_w", "ev_w", "heat_pump_w", "load_w")
        },
        "soc_percent": soc,
        "stored_wh": None if soc is None or battery is None else soc / 100 * battery.capacity_wh,
        "import_eur_per_kwh": import_price,
        "export_eur_per_kwh": export_price,
        "devices": [
            {
                "device": one.device,
                "kind": one.kind,
                "at_ms": milliseconds(one.at) if one.at else None,
                "age_s": (at - one.at).total_seconds() if one.at else None,
                "points": one.points,
            }
            for one in readings
        ],
    }


async def series(connection: Connection, home: Home, start_ms: int, end_ms: int, step_s: int) -> dict[str, Any]:
    """Return flows over time, columnar: value i is the mean from ``start_ms + i * step_s`` on; NaN = missing.

    Raises:
        RequestError: The step is not 10 s to a day, or there are more than 20,000 of them.
    """
    if not 10 <= step_s <= 86_400:
        raise RequestError("step_s", step_s, "step_s must be between 10 and 86400")
    n_steps = -((start_ms - end_ms) // (step_s * 1000))
    if n_steps > _MOST_STEPS:
        raise RequestError("step_s", step_s, f"{n_steps} steps are more than {_MOST_STEPS}", "Use longer steps.")
    start = instant(start_ms)
    end = start + timedelta(seconds=step_s * n_steps)
    if step_s % QUARTER_S == 0 and start_ms % (QUARTER_S * 1000) == 0 and end - start > _LONG:
        columns = await _from_quarters(connection, home, start, n_steps, step_s)
    else:
        flows = (await measured(connection, home, start, n_steps, step_s)).flows
        columns = {name: getattr(flows, name) for name in SERIES}
    return {"start_ms": start_ms, "step_s": step_s} | {name: np.round(columns[name], 1) for name in SERIES}


class Steps:
    """What a home measured in equal steps: its flows, and the grid meter's counters at the end of each step."""

    def __init__(self, flows: Flows, import_counter_wh: FloatArray, export_counter_wh: FloatArray) -> None:
        self.flows, self.import_counter_wh, self.export_counter_wh = flows, import_counter_wh, export_counter_wh


async def measured(connection: Connection, home: Home, start: datetime, n_steps: int, step_s: int) -> Steps:
    """Average what a home measured into steps.

    Raises:
        RequestError: The steps are not made of whole minutes, and there are more than six hours of them.
    """
    end = start + timedelta(seconds=step_s * n_steps)
    source = _source(start, end, step_s)
    devices = await list_devices(connection, home.id)
    table = np.full((len(devices), 4, n_steps), np.nan)
    counters = np.full((len(devices), 2, n_steps), np.nan)
    places = {device.id: place for place, device in enumerate(devices)}
    for found in await repository.bins(connection, list(places), start, end, step_s, source):
        place = places[found.device_id]
        table[place][:, found.steps] = found.means
        counters[place][:, found.steps] = found.counters_wh
    parts = [Measured(device.kind, *table[place]) for place, device in enumerate(devices)]
    meters = [place for place, device in enumerate(devices) if device.kind == "grid_meter"]
    counted = counters[meters].sum(axis=0) if meters else np.full((2, n_steps), np.nan)
    return Steps(compose(parts, n_steps), counted[0], counted[1])


def _source(start: datetime, end: datetime, step_s: int) -> Width | None:
    """Choose the longest buckets that steps are made of; None = single readings."""
    for width in (QUARTER, MINUTE):
        if step_s % width.seconds == 0 and start.timestamp() % width.seconds == 0:
            return width
    if end - start <= _LONGEST_RAW:
        return None
    if step_s % MINUTE.seconds:
        remedy = "Use whole minutes (60, 120, ...), or ask for at most six hours."
        raise RequestError("step_s", step_s, f"steps of {step_s} s are too fine for so long a span", remedy)
    remedy = "Begin at a whole minute, or ask for at most six hours."
    raise RequestError("start_ms", milliseconds(start), "start_ms is not a whole minute", remedy)


async def history(connection: Connection, home: Home, until_s: float, days: int) -> tuple[History, History]:
    """Return load and PV of the last days in quarter-hours, for forecasts and training.

    Args:
        connection: Database.
        home: Home.
        until_s: End of the history, exclusive; floored to the quarter [s].
        days: How many days.
    """
    end_s = until_s // QUARTER_S * QUARTER_S
    start_s = end_s - days * 86_400
    columns = await _from_quarters(connection, home, instant_s(start_s), days * 96, QUARTER_S)
    load_w, pv_w = np.maximum(columns["load_w"], 0.0), np.maximum(columns["pv_w"], 0.0)
    return History(start_s, QUARTER_S, load_w), History(start_s, QUARTER_S, pv_w)


async def _from_quarters(
    connection: Connection, home: Home, start: datetime, n_steps: int, step_s: int
) -> dict[str, FloatArray]:
    per_step = step_s // QUARTER_S
    table = np.full((n_steps * per_step, len(QUARTER_COLUMNS)), np.nan)
    end = start + timedelta(seconds=n_steps * step_s)
    for at, *values in await repository.quarters(connection, home.id, start, end):
        place = int((at - start).total_seconds() // QUARTER_S)
        table[place] = [np.nan if value is None else value for value in values]
    present = np.isfinite(table).reshape(n_steps, per_step, -1).sum(axis=1)
    total = np.nan_to_num(table).reshape(n_steps, per_step, -1).sum(axis=1)
    mean = np.where(present > 0, total / np.maximum(present, 1), np.nan)
    return {name: mean[:, column] for column, name in enumerate(QUARTER_COLUMNS)}


def _measured(reading: LatestReading, *, fresh: bool) -> Measured:
    points = reading.points if fresh else {}
    values = [
        np.array([points.get(name, np.nan)]) for name in ("power_w", "pv_power_w", "battery_power_w", "soc_percent")
    ]
    return Measured(reading.kind, *values)


def _one(values: FloatArray) -> float | None:
    value = float(values[0])
    return None if np.isnan(value) else round(value, 3)
