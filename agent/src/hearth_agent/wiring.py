"""A profile as a device is wired in this home: turned meters, turned batteries, meters of something else.

The rest of the agent sees the profile that comes out, so that a sign is turned in this one place and never again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from hearth_agent.devices.profile import PointSpec, Profile
from hearth_core.points import DeviceKind

Sign = Literal[1, -1]

_POWERS = ("power_w", "power_l1_w", "power_l2_w", "power_l3_w")
_BATTERY = ("battery_power_w",)
_GRID_COUNTERS = {"import_energy_wh": "export_energy_wh", "export_energy_wh": "import_energy_wh"}
_BATTERY_COUNTERS = {
    "battery_charge_energy_wh": "battery_discharge_energy_wh",
    "battery_discharge_energy_wh": "battery_charge_energy_wh",
}


def as_wired(profile: Profile, sign: Sign, battery_sign: Sign, role: DeviceKind | None) -> Profile:
    """Return the profile with its powers turned and its role in the home.

    Args:
        profile: As the maker documents the device.
        sign: -1 when the device tells its AC powers the other way round (both counters change places too).
        battery_sign: -1 when it tells its battery's power the other way round.
        role: What a meter measures when it is not the grid connection.
    """
    points = profile.points
    if sign < 0:
        points = _renamed({n: _turned(p) if n in _POWERS else p for n, p in points.items()}, _GRID_COUNTERS)
    if battery_sign < 0:
        points = _renamed({n: _turned(p) if n in _BATTERY else p for n, p in points.items()}, _BATTERY_COUNTERS)
    if role is None or role is profile.kind:
        return profile if points is profile.points else msgspec.structs.replace(profile, points=points)
    # the counter that runs with the positive power is the one counter of a producer or consumer
    points = {n: p for n, p in points.items() if n != "export_energy_wh"}
    return msgspec.structs.replace(profile, kind=role, points=_renamed(points, {"import_energy_wh": "energy_wh"}))


def _turned(point: PointSpec) -> PointSpec:
    if point.terms:
        terms = [msgspec.structs.replace(term, sign=_other(term.sign)) for term in point.terms]
        return msgspec.structs.replace(point, terms=terms)
    return msgspec.structs.replace(point, sign=_other(point.sign))


def _other(sign: Sign) -> Sign:
    return -1 if sign > 0 else 1


def _renamed(points: dict[str, PointSpec], names: dict[str, str]) -> dict[str, PointSpec]:
    return {names.get(name, name): point for name, point in points.items()}
