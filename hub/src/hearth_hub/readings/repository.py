"""SQL of readings: the latest ones, means over time, energies, and the quarter-hours of homes.

A reading's key is (at, device_id): made for writing it. What asks for a span of one home reads the aggregates, which
are keyed the other way round; single readings are read over short spans only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hearth_core.points import POINTS
from hearth_hub.database.arrays import array_cursor
from hearth_hub.database.pool import Connection
from hearth_hub.readings.aggregates import Width
from hearth_models.arrays import FloatArray

IntArray: TypeAlias = npt.NDArray[np.int64]

QUARTER_S = 900
QUARTER_COLUMNS = ("grid_w", "pv_w", "battery_w", "load_w", "ev_w", "heat_pump_w", "soc_percent")
_POINT_COLUMNS = ", ".join(f"l.{name}" for name in POINTS)


@dataclass(frozen=True)
class LatestReading:
    """The newest reading of one device; ``at`` is None when there is none."""

    device_id: int
    device: str
    kind: str | None
    at: datetime | None
    points: dict[str, float]


async def latest(connection: Connection, home_id: int) -> list[LatestReading]:
    """Return the newest reading of every device of a home."""
    cursor = await connection.execute(
        f"select d.id, d.device, d.kind, l.at, l.extra, {_POINT_COLUMNS}"  # noqa: S608  names of the vocabulary
        " from device d left join latest l on l.device_id = d.id where d.home_id = %s order by d.device",
        [home_id],
    )
    readings = []
    for device_id, device, kind, at, extra, *values in await cursor.fetchall():
        points = {name: value for name, value in zip(POINTS, values, strict=True) if value is not None}
        readings.append(LatestReading(device_id, device, kind, at, points | (extra or {})))
    return readings


GAUGES = ("power_w", "pv_power_w", "battery_power_w", "soc_percent")


@dataclass(frozen=True)
class Bins:
    """What one device measured, in the steps in which it measured anything."""

    device_id: int
    steps: IntArray
    """Numbers of the steps from the start, shape (n,)."""
    means: FloatArray
    """Of `GAUGES`, shape (4, n); NaN = missing."""
    counters_wh: FloatArray
    """The grid's import and export at the end of each step, shape (2, n); NaN = missing."""


async def bins(
    connection: Connection, device_ids: list[int], start: datetime, end: datetime, step_s: int, source: Width | None
) -> list[Bins]:
    """Average what devices measured into steps.

    Args:
        connection: Database.
        device_ids: Devices.
        start: Start of the first step; with a source, a whole multiple of its width.
        end: End of the last step.
        step_s: Length of a step [s]; with a source, a whole multiple of its width.
        source: Aggregate to read; None = single readings, which costs the more the more homes there are.
    """
    ending = "_last" if source else ""
    counters = (f"import_energy_wh{ending}", f"export_energy_wh{ending}")
    step = "floor(extract(epoch from at - %(start)s)::float8 / %(step_s)s)"
    if source is not None and step_s == source.seconds:
        selected, grouping = [*GAUGES, *counters], ""
    else:
        selected = [f"avg({name}) as {name}" for name in GAUGES] + [f"max({name}) as {name}" for name in counters]
        grouping = " group by 1, 2"
    arrays = ", ".join(f"array_agg(coalesce({name}::float8, 'NaN'))" for name in (*GAUGES, *counters))
    cursor = array_cursor(connection)
    await cursor.execute(
        f"select device_id, array_agg(step), {arrays} from (select device_id, {step} as step,"  # noqa: S608  own names
        f" {', '.join(selected)} from {source.table if source else 'reading'}"
        f" where at >= %(start)s and at < %(end)s and device_id = any(%(devices)s){grouping}) s"
        " group by device_id".encode(),
        {"start": start, "end": end, "step_s": step_s, "devices": device_ids},
    )
    return [
        Bins(device, steps.astype(np.int64), np.array(columns[:4]), np.array(columns[4:]))
        for device, steps, *columns in await cursor.fetchall()
    ]


async def quarters(connection: Connection, home_id: int, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """Return (at, then `QUARTER_COLUMNS`) of each quarter-hour that is known."""
    cursor = await connection.execute(
        f"select at, {', '.join(QUARTER_COLUMNS)} from quarter"  # noqa: S608
        " where home_id = %s and at >= %s and at < %s order by at",
        [home_id, start, end],
    )
    return await cursor.fetchall()


async def first_and_last(connection: Connection, home_id: int) -> tuple[datetime, datetime] | None:
    """Return the first and last quarter-hour of a home."""
    cursor = await connection.execute("select min(at), max(at) from quarter where home_id = %s", [home_id])
    row = await cursor.fetchone()
    return (row[0], row[1]) if row and row[0] else None
