"""The powers of the whole home at one look, gathered from the readings of all devices; signs as everywhere.

None is missing, and never 0: a balance with a hole in it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from hearth_agent.devices.profile import Profile
from hearth_core.points import DeviceKind

Value = Callable[[str, str], float | None]
"""Device id and point -> its present value."""

_CONSUMERS = (DeviceKind.EV_CHARGER, DeviceKind.HEAT_PUMP, DeviceKind.WATER_HEATER, DeviceKind.APPLIANCE)
PRODUCERS = (DeviceKind.HYBRID_INVERTER, DeviceKind.PV, DeviceKind.BATTERY)
_LINES = (1, 2, 3)


class Flows(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the home; powers in W, + = into the home, consumers + = consumption."""

    at_s: float
    grid_w: float | None = None
    phase_w: tuple[float | None, ...] = (None, None, None)
    """Grid power of each phase."""
    phase_va: tuple[float | None, ...] = (None, None, None)
    """Voltage times current of each phase, never negative."""
    inverter_w: float | None = None
    """AC power of all producers and batteries together; 0 in a home without any."""
    pv_w: float | None = None
    """All roofs together: DC side of a hybrid inverter, AC side of others; None where there is none."""
    battery_w: float | None = None
    """DC side of a hybrid inverter, AC side of a battery that has an inverter of its own."""
    soc_percent: float | None = None
    has_dc: bool = False
    """`inverter_w` is one hybrid inverter's, whose PV and battery are measured too."""
    car_w: float | None = None
    """All EV chargers."""
    consumers_w: float = 0.0
    """All consumers that are measured for themselves, cars included; a missing one counts as 0."""

    @property
    def load_w(self) -> float | None:
        """What the house consumes, cars included."""
        return None if self.grid_w is None or self.inverter_w is None else self.grid_w + self.inverter_w

    @property
    def dc_w(self) -> float | None:
        """PV and battery on the DC side of the hybrid inverter."""
        return (
            self.pv_w + self.battery_w if self.has_dc and self.pv_w is not None and self.battery_w is not None else None
        )


def flows_of(profiles: Mapping[str, Profile], told: Value, at_s: float, *, is_dark: bool = False) -> Flows:
    """Gather one look.

    Args:
        profiles: Of all devices, as wired, by id.
        told: The present values.
        at_s: Seconds of a clock that never goes back.
        is_dark: The sun is down: a PV inverter that does not answer is asleep, and gives nothing.
    """

    def value(id_: str, point: str) -> float | None:
        known = told(id_, point)
        asleep = known is None and is_dark and point == "power_w" and profiles[id_].kind is DeviceKind.PV
        return 0.0 if asleep else known

    grid = _first(profiles, DeviceKind.GRID_METER)
    store = _first(profiles, DeviceKind.HYBRID_INVERTER) or _first(profiles, DeviceKind.BATTERY)
    producers = [id_ for id_, profile in profiles.items() if profile.kind in PRODUCERS]
    roofs = [(id_, point) for id_ in producers if (point := _pv_point(profiles[id_])) is not None]
    consumers = [id_ for id_, profile in profiles.items() if profile.kind in _CONSUMERS]
    cars = [id_ for id_ in consumers if profiles[id_].kind is DeviceKind.EV_CHARGER]
    volts = [value(grid, f"voltage_l{n}_v") if grid else None for n in _LINES]
    amps = [value(grid, f"current_l{n}_a") if grid else None for n in _LINES]
    return Flows(
        at_s=at_s,
        grid_w=value(grid, "power_w") if grid else None,
        phase_w=tuple(value(grid, f"power_l{n}_w") if grid else None for n in _LINES),
        phase_va=tuple(_product(v, a) for v, a in zip(volts, amps, strict=True)),
        inverter_w=_sum([_ac_power(profiles[id_], id_, value) for id_ in producers]),
        pv_w=_sum([value(id_, point) for id_, point in roofs]) if roofs else None,
        battery_w=_battery_power(profiles[store], store, value) if store else None,
        soc_percent=value(store, "soc_percent") if store else None,
        has_dc=len(producers) == 1 and profiles[producers[0]].kind is DeviceKind.HYBRID_INVERTER,
        car_w=_sum([value(id_, "power_w") for id_ in cars]) if cars else None,
        consumers_w=sum(value(id_, "power_w") or 0.0 for id_ in consumers),
    )


def mean_of(looks: Sequence[Flows]) -> Flows:
    """Return the mean of looks, at the instant of the last; a value missing in one of them is missing."""

    def mean(values: Sequence[float | None]) -> float | None:
        total = _sum(values)
        return None if total is None else total / len(values)

    def means(rows: Sequence[tuple[float | None, ...]]) -> tuple[float | None, ...]:
        return tuple(mean(column) for column in zip(*rows, strict=True))

    return Flows(
        at_s=looks[-1].at_s,
        grid_w=mean([one.grid_w for one in looks]),
        phase_w=means([one.phase_w for one in looks]),
        phase_va=means([one.phase_va for one in looks]),
        inverter_w=mean([one.inverter_w for one in looks]),
        pv_w=mean([one.pv_w for one in looks]),
        battery_w=mean([one.battery_w for one in looks]),
        soc_percent=looks[-1].soc_percent,
        has_dc=looks[-1].has_dc,
        car_w=mean([one.car_w for one in looks]),
        consumers_w=sum(one.consumers_w for one in looks) / len(looks),
    )


def _first(profiles: Mapping[str, Profile], kind: DeviceKind) -> str | None:
    return next((id_ for id_, profile in profiles.items() if profile.kind is kind), None)


def _ac_power(profile: Profile, id_: str, value: Value) -> float | None:
    if profile.kind is DeviceKind.BATTERY and "power_w" not in profile.points:
        return value(id_, "battery_power_w")
    return value(id_, "power_w")


def _battery_power(profile: Profile, id_: str, value: Value) -> float | None:
    is_hybrid = profile.kind is DeviceKind.HYBRID_INVERTER
    return value(id_, "battery_power_w") if is_hybrid else _ac_power(profile, id_, value)


def _pv_point(profile: Profile) -> str | None:
    if profile.kind is DeviceKind.PV:
        return "power_w"
    return "pv_power_w" if profile.kind is DeviceKind.HYBRID_INVERTER and "pv_power_w" in profile.points else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) if len(known) == len(values) else None


def _product(volts: float | None, amps: float | None) -> float | None:
    return None if volts is None or amps is None else volts * abs(amps)
