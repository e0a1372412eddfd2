"""The truth about the house since its start, for whoever wants to check what Hearth says about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hearth_sim.house import House
from hearth_sim.modbus_server import WriteCount

_ENERGIES = (
    "load_wh",
    "pv_wh",
    "ev_wh",
    "heat_pump_wh",
    "grid_import_wh",
    "grid_export_wh",
    "battery_charge_wh",
    "battery_discharge_wh",
)


def truth(house: House, written: Mapping[str, WriteCount]) -> dict[str, Any]:
    """Return energies [Wh, AC side], state of charge, broken limits and register writes since the start.

    A write is one carried out request; ``refreshes`` are those among them that changed nothing but a lease.
    """
    energies = {
        name: round(getattr(house.counters, name) - getattr(house.start_counters, name), 3) for name in _ENERGIES
    }
    return {
        "since_ms": int(house.start_s * 1000),
        "at_ms": int(house.at_s * 1000),
        **energies,
        "soc_percent": round(house.soc_percent, 4),
        "soc_start_percent": house.start_soc_percent,
        "ev_backlog_wh": round(house.car.backlog_wh, 3),
        "heat_pump_backlog_wh": round(house.heat_pump.backlog_wh, 3),
        "limits_broken": house.watch.broken,
        "register_writes": {
            device: {"writes": count.writes, "refreshes": count.refreshes} for device, count in written.items()
        },
        "reversions": house.storage.reversions,
    }


def write_atomically(path: Path, content: object) -> None:
    """Replace a JSON file as a whole, so that a reader never sees half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    fresh.replace(path)
