"""From what single devices measure to the flows of a home. Pure; NaN is missing and stays missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hearth_core.points import DeviceKind
from hearth_models.arrays import FloatArray


@dataclass(frozen=True)
class Measured:
    """What one device measured, each array of the same shape (n,), NaN where missing."""

    kind: str | None
    power_w: FloatArray
    pv_power_w: FloatArray
    battery_power_w: FloatArray
    soc_percent: FloatArray


@dataclass(frozen=True)
class Flows:
    """The power flows of a home, each of shape (n,) [W]; NaN where missing or where there is no such device.

    Grid + = import, PV + = production, battery + = discharge; load, EV and heat pump + = consumption. The load is what
    crosses the busbar into the house: grid + AC power of everything that generates or stores. The state of charge is
    the mean of those that are known.
    """

    grid_w: FloatArray
    pv_w: FloatArray
    battery_w: FloatArray
    load_w: FloatArray
    ev_w: FloatArray
    heat_pump_w: FloatArray
    soc_percent: FloatArray
    house_w: FloatArray
    """The load without EV and heat pump."""


_SOURCES = (DeviceKind.HYBRID_INVERTER, DeviceKind.PV, DeviceKind.BATTERY)
_CONSUMERS = (DeviceKind.EV_CHARGER, DeviceKind.HEAT_PUMP)


def compose(devices: Iterable[Measured], n_steps: int) -> Flows:
    """Add up the devices of a home.

    A sum with a missing part is missing: half a home's power is a wrong number, not an approximate one. The roll-up
    does the same in SQL.
    """
    by_kind: dict[str | None, list[Measured]] = {}
    for device in devices:
        by_kind.setdefault(device.kind, []).append(device)

    def total(*parts: tuple[DeviceKind, str]) -> FloatArray:
        arrays = [getattr(device, name) for kind, name in parts for device in by_kind.get(kind, [])]
        return np.sum(arrays, axis=0) if arrays else np.full(n_steps, np.nan)

    grid_w = total((DeviceKind.GRID_METER, "power_w"))
    sources_w = [device.power_w for kind in _SOURCES for device in by_kind.get(kind, [])]
    charges = [device.soc_percent for kind in _SOURCES for device in by_kind.get(kind, [])]
    load_w = grid_w + np.sum(sources_w, axis=0) if sources_w else grid_w
    consumers_w = [device.power_w for kind in _CONSUMERS for device in by_kind.get(kind, [])]
    return Flows(
        grid_w=grid_w,
        pv_w=total((DeviceKind.HYBRID_INVERTER, "pv_power_w"), (DeviceKind.PV, "power_w")),
        battery_w=total((DeviceKind.HYBRID_INVERTER, "battery_power_w"), (DeviceKind.BATTERY, "power_w")),
        load_w=load_w,
        ev_w=total((DeviceKind.EV_CHARGER, "power_w")),
        heat_pump_w=total((DeviceKind.HEAT_PUMP, "power_w")),
        soc_percent=_mean_of_known(charges, n_steps),
        house_w=load_w - np.sum(consumers_w, axis=0) if consumers_w else load_w,
    )


def _mean_of_known(charges: list[FloatArray], n_steps: int) -> FloatArray:
    """Average charges: an inverter without a battery has none."""
    table = np.array(charges) if charges else np.full((1, n_steps), np.nan)
    known = np.isfinite(table).sum(axis=0)
    return np.where(known > 0, np.nan_to_num(table).sum(axis=0) / np.maximum(known, 1), np.nan)
