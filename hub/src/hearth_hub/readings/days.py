"""What a home drew, fed in, made and used in each local day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from hearth_core.points import DeviceKind
from hearth_hub.database.arrays import microseconds
from hearth_hub.database.pool import Connection
from hearth_hub.errors import RequestError
from hearth_hub.homes.repository import Device, Home, list_devices
from hearth_hub.readings.energy import daily_growth, daily_power
from hearth_hub.timing import instant, milliseconds
from hearth_models.arrays import FloatArray, IntArray

_MOST_DAYS = 400


@dataclass(frozen=True)
class _Source:
    """One energy of a kind of device: its counter, and the power that stands in for a missing one."""

    energy: str
    kind: DeviceKind
    counter: str
    power: str
    is_below_zero: bool = False


ENERGIES = ("import_wh", "export_wh", "pv_wh", "battery_charge_wh", "battery_discharge_wh", "ev_wh", "heat_pump_wh")
_SOURCES = (
    _Source("import_wh", DeviceKind.GRID_METER, "import_energy_wh", "power_w"),
    _Source("export_wh", DeviceKind.GRID_METER, "export_energy_wh", "power_w", is_below_zero=True),
    _Source("pv_wh", DeviceKind.HYBRID_INVERTER, "pv_energy_wh", "pv_power_w"),
    _Source("pv_wh", DeviceKind.PV, "energy_wh", "power_w"),
    *(
        source
        for kind, power in ((DeviceKind.HYBRID_INVERTER, "battery_power_w"), (DeviceKind.BATTERY, "power_w"))
        for source in (
            _Source("battery_charge_wh", kind, "battery_charge_energy_wh", power, is_below_zero=True),
            _Source("battery_discharge_wh", kind, "battery_discharge_energy_wh", power),
        )
    ),
    _Source("ev_wh", DeviceKind.EV_CHARGER, "energy_wh", "power_w"),
    _Source("heat_pump_wh", DeviceKind.HEAT_PUMP, "energy_wh", "power_w"),
)


def local_days(timezone: str, start: datetime, end: datetime) -> Iterator[tuple[date, datetime, datetime]]:
    """Yield each local day that touches a span, as (day, its start, its end); a day may have 23 or 25 hours."""
    zone = ZoneInfo(timezone)
    day = start.astimezone(zone).date()
    while (begin := datetime.combine(day, time(), zone).astimezone(UTC)) < end:
        following = day + timedelta(days=1)
        yield day, begin, datetime.combine(following, time(), zone).astimezone(UTC)
        day = following


async def daily_energies(connection: Connection, home: Home, from_ms: int, to_ms: int) -> dict[str, Any]:
    """Return the energies of every local day that touches a span, columnar [Wh]; NaN = missing.

    They come from counters, resets included, and from the mean power of quarter-hours where a device has none.

    Raises:
        RequestError: The span is empty, or longer than 400 days.
    """
    if not from_ms < to_ms <= from_ms + _MOST_DAYS * 86_400_000:
        raise RequestError("to_ms", to_ms, f"to_ms must be after from_ms, and at most {_MOST_DAYS} days after it")
    timezone = home.site.timezone if home.site else "UTC"
    days = list(local_days(timezone, instant(from_ms), instant(to_ms)))
    edges_us = np.array([microseconds(edge) for edge in (days[0][1], *(end for *_, end in days))])
    columns = await energies(connection, await list_devices(connection, home.id), edges_us)
    return {
        "timezone": timezone,
        "day": [day for day, *_ in days],
        "start_ms": [milliseconds(start) for _, start, _ in days],
    } | {name: np.round(columns[name], 1) for name in ENERGIES}


async def energies(connection: Connection, devices: list[Device], edges_us: IntArray) -> dict[str, FloatArray]:
    """Return each of `ENERGIES` of a home between neighbouring edges [Wh], which `microseconds` counts.

    A sum with a missing part is missing, and so is what the home has no device for.
    """
    has = {source: [device.id for device in devices if device.kind == source.kind] for source in _SOURCES}
    counters: dict[str, list[int]] = {}
    for source, ids in has.items():
        counters.setdefault(source.counter, []).extend(ids)
    counted = await daily_growth(connection, counters, edges_us)
    parts: dict[str, list[FloatArray]] = {}
    for source, ids in has.items():
        uncounted = [device for device in ids if (source.counter, device) not in counted]
        summed = await _summed_up(connection, source, uncounted, edges_us)
        parts.setdefault(source.energy, []).extend(
            summed[device] if device in summed else counted[source.counter, device] for device in ids
        )
    return {name: np.sum(parts[name], axis=0) if parts[name] else _nothing(edges_us) for name in ENERGIES}


async def _summed_up(
    connection: Connection, source: _Source, device_ids: list[int], edges_us: IntArray
) -> dict[int, FloatArray]:
    found = {device: _nothing(edges_us) for device in device_ids}
    if device_ids:
        for one in await daily_power(connection, source.power, device_ids, edges_us):
            found[one.device_id][one.day] = -one.below_zero_wh if source.is_below_zero else one.above_zero_wh
    return found


def _nothing(edges_us: IntArray) -> FloatArray:
    return np.full(len(edges_us) - 1, np.nan)
