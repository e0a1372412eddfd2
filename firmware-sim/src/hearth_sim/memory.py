"""What a house remembers over a restart of its process: the physics, not the orders.

A restart is a power cut for the devices: orders and limits are gone (the inverter is its own master again), while
energy in the battery, counters, backlogs and what was noted for the report live on. Orders that only a lease or a
volatile register held are lost on real devices as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hearth_core.errors import ConfigError
from hearth_sim.counters import Counters
from hearth_sim.house import House
from hearth_sim.modbus_server import WriteCount


@dataclass
class Memory:
    """A house's state at one instant; energies in Wh, instants in s since 1970 UTC."""

    start_s: float
    seed: int
    capacity_wh: float
    at_s: float
    stored_wh: float
    start_soc_percent: float
    counters: Counters
    start_counters: Counters
    car_backlog_wh: float
    heat_pump_backlog_wh: float
    session_wh: float
    plugged_until_s: float | None
    limits_broken: list[dict[str, Any]]
    reversions: int
    written: dict[str, WriteCount]

    def belongs_to(self, house: House) -> bool:
        """Tell whether this is an earlier life of a house: same start, seed and battery."""
        mine = (self.start_s, self.seed, self.capacity_wh)
        return mine == (house.start_s, house.variation.seed, house.battery.capacity_wh)


def remember(house: House, written: Mapping[str, WriteCount]) -> Memory:
    """Return the house's present state."""
    return Memory(
        start_s=house.start_s,
        seed=house.variation.seed,
        capacity_wh=house.battery.capacity_wh,
        at_s=house.at_s,
        stored_wh=house.stored_wh,
        start_soc_percent=house.start_soc_percent,
        counters=house.counters,
        start_counters=house.start_counters,
        car_backlog_wh=house.car.backlog_wh,
        heat_pump_backlog_wh=house.heat_pump.backlog_wh,
        session_wh=house.charger.session_wh,
        plugged_until_s=house.wanted_until_s if math.isfinite(house.wanted_until_s) else None,
        limits_broken=house.watch.broken,
        reversions=house.storage.reversions,
        written=dict(written),
    )


def recall(memory: Memory, house: House, written: Mapping[str, WriteCount]) -> None:
    """Put a freshly built house and its write counts back into a remembered state."""
    house.at_s, house.stored_wh = memory.at_s, memory.stored_wh
    house.start_soc_percent = memory.start_soc_percent
    house.counters, house.start_counters = memory.counters, memory.start_counters
    house.car.backlog_wh, house.heat_pump.backlog_wh = memory.car_backlog_wh, memory.heat_pump_backlog_wh
    house.charger.session_wh = memory.session_wh
    house.wanted_until_s = -math.inf if memory.plugged_until_s is None else memory.plugged_until_s
    house.watch.broken.extend(memory.limits_broken)
    house.storage.reversions = memory.reversions
    for device, count in written.items():
        before = memory.written.get(device, WriteCount())
        count.writes, count.refreshes = before.writes, before.refreshes
    house.look_at_present()


def load(path: Path) -> Memory | None:
    """Read a remembered state, or None where there is none.

    Raises:
        ConfigError: The file is no memory of a house.
    """
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except msgspec.DecodeError as error:
        remedy = "Delete it to let the house begin anew."
        raise ConfigError(str(path), "the file", str(error), remedy) from error
