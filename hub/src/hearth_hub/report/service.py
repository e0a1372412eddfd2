"""A home over a span: readings, energies, plans, forecasts and money, for people and for checks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hearth_core.points import DeviceKind
from hearth_hub.accounts.service import reconcile
from hearth_hub.database.pool import Connection
from hearth_hub.forecasts.service import accuracy
from hearth_hub.homes.repository import Home, list_devices
from hearth_hub.plans.repository import figures
from hearth_hub.readings import energy as readings
from hearth_hub.readings.days import local_days
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.savings.service import reckon

_SHORTEST_DAY = timedelta(minutes=15)
_MONEY = ("realised", "no_battery", "self_consumption", "night_timer", "perfect_foresight", "regret")


async def report(connection: Connection, home: Home, start: datetime, end: datetime) -> dict[str, Any]:
    """Return the report of a span; what cannot be told is None."""
    await RollUp(home.id).everything(connection)
    reconciliation = await reconcile(connection, home.agent)
    forecast = await accuracy(connection, home, start, end)
    plans = await figures(connection, home.id, start, end)
    return {
        "home": home.agent,
        "from": start.isoformat(),
        "to": end.isoformat(),
        "readings": {**reconciliation.totals(), "reconciled": reconciliation.reconciled},
        **await _energies(connection, home, start, end),
        "plans": {
            "made": plans.made,
            "solve_ms_p50": _rounded(plans.solve_ms_p50, 2),
            "solve_ms_p99": _rounded(plans.solve_ms_p99, 2),
            "broken_wishes": plans.broken_wishes,
        },
        "forecast": {f"{target}_skill": found.skill for target, found in forecast.items()},
        "money_eur": await _money(connection, home, start, end),
    }


@dataclass(frozen=True)
class _Energy:
    """One energy of the report: where it comes from."""

    name: str
    column: str
    kinds: tuple[DeviceKind, ...]
    is_counter: bool = True


_ENERGIES = (
    _Energy("import", "import_energy_wh", (DeviceKind.GRID_METER,)),
    _Energy("export", "export_energy_wh", (DeviceKind.GRID_METER,)),
    _Energy("pv_dc", "pv_energy_wh", (DeviceKind.HYBRID_INVERTER,)),
    _Energy("battery_charge", "battery_charge_energy_wh", (DeviceKind.HYBRID_INVERTER,)),
    _Energy("battery_discharge", "battery_discharge_energy_wh", (DeviceKind.HYBRID_INVERTER,)),
    _Energy("battery_ac", "power_w", (DeviceKind.BATTERY,), is_counter=False),
    _Energy("pv_ac", "power_w", (DeviceKind.PV,), is_counter=False),
    _Energy("ev", "energy_wh", (DeviceKind.EV_CHARGER,)),
    _Energy("heat_pump", "energy_wh", (DeviceKind.HEAT_PUMP,)),
    _Energy("grid_integrated", "power_w", (DeviceKind.GRID_METER,), is_counter=False),
)


async def _energies(connection: Connection, home: Home, start: datetime, end: datetime) -> dict[str, Any]:
    devices = await list_devices(connection, home.id)
    found: dict[str, float | None] = {}
    for energy in _ENERGIES:
        ids = [device.id for device in devices if device.kind in energy.kinds]
        measure = readings.counter_increase if energy.is_counter else readings.integrated
        found[energy.name] = _rounded(await measure(connection, ids, energy.column, start, end), 1)
    hybrids = [device.id for device in devices if device.kind == DeviceKind.HYBRID_INVERTER]
    found["inverter_ac"] = _rounded(await _inverter_energy(connection, hybrids, start, end), 1)
    pv = [found[name] for name in ("pv_dc", "pv_ac") if found[name] is not None]
    imported, exported = found["import"], found["export"]
    load: float | None = None
    if imported is not None and exported is not None:
        others = sum(found[name] or 0.0 for name in ("inverter_ac", "battery_ac", "pv_ac"))
        load = round(imported - exported + others, 1)
    sources = {one.name: "counter" if one.is_counter else "integrated power" for one in _ENERGIES}
    return {
        "energy_wh": found | {"pv": sum(value for value in pv if value is not None) if pv else None, "load": load},
        "energy_source": sources
        | {
            "inverter_ac": "counter of what it delivers - integrated power of what it draws",
            "load": "import - export + inverter_ac + battery_ac + pv_ac",
        },
    }


async def _inverter_energy(connection: Connection, devices: list[int], start: datetime, end: datetime) -> float | None:
    """Return what crossed the busbar from hybrid inverters [Wh].

    Their counter knows what they delivered; it does not fall when the battery is charged from the grid.
    """
    delivered = await readings.counter_increase(connection, devices, "energy_wh", start, end)
    if delivered is None:
        return await readings.integrated(connection, devices, "power_w", start, end)
    drawn = await readings.integrated(connection, devices, "power_w", start, end, only_negative=True)
    return delivered + (drawn or 0.0)


async def _money(connection: Connection, home: Home, start: datetime, end: datetime) -> dict[str, float | None]:
    """Sum the ledger over the local days of the span, each cut to the span; minutes at an edge are no day."""
    if home.site is None:
        return dict.fromkeys(_MONEY)
    total = dict.fromkeys(_MONEY, 0.0)
    for _, begin, finish in local_days(home.site.timezone, start, end):
        begin, finish = max(begin, start), min(finish, end)
        if finish - begin < _SHORTEST_DAY:
            continue
        if (found := await reckon(connection, home, begin, finish)) is None:
            return dict.fromkeys(_MONEY)
        for name in _MONEY:
            total[name] += getattr(found.costs, f"{name}_eur")
    return {name: round(value, 4) for name, value in total.items()}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)
