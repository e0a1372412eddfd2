"""What cannot be true together in a home's file: an error where nothing could be done about it while the agent runs.

A limit that another one already keeps within bounds is only strange: such things are told as warnings, because homes
exist that are built so (a battery stronger than the main fuse, for one, which the fuse's guard holds back).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from hearth_agent.devices.profile import ControlKind, Profile
from hearth_agent.reach import where
from hearth_core.errors import ConfigError
from hearth_core.points import DeviceKind

if TYPE_CHECKING:
    from hearth_agent.settings import AgentSettings, DeviceSettings

_PHASE_V = 230.0
_LEAST_ROOM_PERCENT = 10.0
"""An export limit that only the battery can keep needs at least so much of its charge to be movable."""
_HEATERS = {DeviceKind.HEAT_PUMP, DeviceKind.WATER_HEATER}
_ON_PHASES = {DeviceKind.EV_CHARGER, *_HEATERS}
_PRODUCERS = {DeviceKind.HYBRID_INVERTER, DeviceKind.PV, DeviceKind.BATTERY}
_ROLES = (DeviceKind.PV, DeviceKind.EV_CHARGER, DeviceKind.HEAT_PUMP, DeviceKind.WATER_HEATER, DeviceKind.APPLIANCE)


def check_site(settings: AgentSettings, profiles: Mapping[str, Profile], source: str) -> None:
    """Refuse what contradicts itself.

    Raises:
        ConfigError: The first thing that is wrong, with file, field, value and remedy.
    """
    _check_endpoints(settings.devices, profiles, source)
    for index, device in enumerate(settings.devices):
        _check_charger(settings, device, profiles[device.id], f"devices[{index}]", source)
    _check_export(settings, profiles, source)


def check_device(device: DeviceSettings, profile: Profile, field: str, source: str) -> None:
    """Refuse settings that do not fit the device's (unwired) profile.

    Raises:
        ConfigError: The first one.
    """
    if device.controlled and not profile.controls:
        remedy = f"The profile {profile.profile} has no controls; set it to false."
        raise ConfigError(source, f"{field}.controlled", value=True, remedy=remedy)
    if device.role is not None:
        known = ", ".join(_ROLES)
        if device.role not in _ROLES:
            raise ConfigError(source, f"{field}.role", str(device.role), f"A meter can stand for one of: {known}.")
        if profile.kind is not DeviceKind.GRID_METER:
            remedy = f"Only a meter can stand for something else; {profile.profile} is a {profile.kind}. Remove it."
            raise ConfigError(source, f"{field}.role", str(device.role), remedy)
    if device.battery_sign < 0 and "battery_power_w" not in profile.points:
        remedy = f"{profile.profile} measures no battery; remove it."
        raise ConfigError(source, f"{field}.battery_sign", device.battery_sign, remedy)
    is_charger = ControlKind.EV_CURRENT in profile.controls
    if device.max_current_a is not None and not is_charger:
        raise ConfigError(
            source, f"{field}.max_current_a", device.max_current_a, "Only an EV charger has it; remove it."
        )
    if device.heater is not None and not _HEATERS & {profile.kind, device.role}:
        remedy = f"Only a heat pump or a water heater has it; {profile.profile} is a {profile.kind}. Remove it."
        raise ConfigError(source, f"{field}.heater", msgspec.to_builtins(device.heater), remedy)
    if device.rated_w < 1e6 and ControlKind.PV_LIMIT not in profile.controls:
        remedy = f"Only an inverter whose PV can be limited needs it; {profile.profile} has no such control. Remove it."
        raise ConfigError(source, f"{field}.rated_w", device.rated_w, remedy)
    if device.phase_rotation is not None and not _ON_PHASES & {profile.kind, device.role}:
        remedy = "Only an EV charger or a heater has it; remove it."
        raise ConfigError(source, f"{field}.phase_rotation", device.phase_rotation, remedy)


def warnings(settings: AgentSettings, profiles: Mapping[str, Profile]) -> Iterator[str]:
    """Yield what is strange, though the home can live with it: field, value and what follows."""
    limits, battery = settings.site.limits, settings.site.battery
    carried_w = limits.main_fuse_a * _PHASE_V * limits.phases
    if battery is not None:
        for name, power_w in (("max_charge_w", battery.max_charge_w), ("max_discharge_w", battery.max_discharge_w)):
            if power_w > carried_w:
                yield (
                    f"site.battery.{name} = {power_w:g}: the main fuse carries {carried_w:g} W; "
                    "the battery is held below that"
                )
    for index, device in enumerate(settings.devices):
        for kind, control in profiles[device.id].controls.items():
            if not device.controlled:
                continue
            if kind is ControlKind.BATTERY_INTERVAL and battery is None:
                yield f"devices[{index}].controlled = true: without site.battery it is left in its own mode"
            if kind is ControlKind.EV_CURRENT and (device.max_current_a or control.max_a) > limits.main_fuse_a:
                yield (
                    f"devices[{index}].max_current_a is not given: the charger's {control.max_a:g} A are more than "
                    f"the main fuse of {limits.main_fuse_a:g} A; it is shed when they flow"
                )


def _check_endpoints(devices: Sequence[DeviceSettings], profiles: Mapping[str, Profile], source: str) -> None:
    by_id = {device.id: device for device in devices}
    owners: dict[str, str] = {}
    for index, device in enumerate(devices):
        found = where(device, profiles[device.id])
        if device.behind is not None:
            _check_behind(device, by_id.get(device.behind), profiles, f"devices[{index}].behind", source)
            continue
        owner = owners.setdefault(found, device.id)
        if owner != device.id:
            remedy = (
                f"{owner} is already read at {found}. Give each its own unit id, or write `behind: {owner}` "
                "where one is read through the other."
            )
            raise ConfigError(source, f"devices[{index}].unit", device.unit, remedy)


def _check_behind(
    device: DeviceSettings, other: DeviceSettings | None, profiles: Mapping[str, Profile], field: str, source: str
) -> None:
    if other is None or other.id == device.id:
        raise ConfigError(source, field, device.behind, "Name the other device through which this one is read.")
    if where(device, profiles[device.id]) != where(other, profiles[other.id]):
        remedy = f"{other.id} has another host, port or unit; remove `behind`, or give both the same."
        raise ConfigError(source, field, device.behind, remedy)
    if profiles[device.id].profile == profiles[other.id].profile:
        remedy = f"Both have the profile {profiles[other.id].profile}: they would be the same device twice."
        raise ConfigError(source, field, device.behind, remedy)
    if {profiles[device.id].kind, profiles[other.id].kind} <= _PRODUCERS:
        remedy = f"The power of one inverter would count twice; keep one of {device.id} and {other.id}."
        raise ConfigError(source, field, device.behind, remedy)


def _check_charger(settings: AgentSettings, device: DeviceSettings, profile: Profile, field: str, source: str) -> None:
    limits, most_a = settings.site.limits, device.max_current_a
    if most_a is not None and most_a > limits.main_fuse_a:
        remedy = f"It is above site.limits.main_fuse_a, {limits.main_fuse_a:g} A; give what its wiring allows."
        raise ConfigError(source, f"{field}.max_current_a", most_a, remedy)
    control = profile.controls.get(ControlKind.EV_CURRENT)
    if most_a is not None and control is not None and most_a < control.min_a:
        remedy = f"It is below the {control.min_a:g} A with which this charger starts; it could never charge."
        raise ConfigError(source, f"{field}.max_current_a", most_a, remedy)
    rotation = device.phase_rotation
    if rotation is not None and (len(set(rotation)) != len(rotation) or max(rotation) > limits.phases):
        remedy = f"Name the home's phase of the charger's L1, L2, L3, each once, from 1 to {limits.phases}."
        raise ConfigError(source, f"{field}.phase_rotation", rotation, remedy)


def _check_export(settings: AgentSettings, profiles: Mapping[str, Profile], source: str) -> None:
    """An export limit needs something that can keep it: PV that can be limited, or a battery with room to take it."""
    limits, battery = settings.site.limits, settings.site.battery
    if limits.export_limit_w is None or battery is None:
        return
    steered = [profiles[device.id] for device in settings.devices if device.controlled]
    can_limit = any(ControlKind.PV_LIMIT in profile.controls for profile in steered)
    room_percent = battery.max_soc_percent - battery.min_soc_percent
    if steered and not can_limit and room_percent < _LEAST_ROOM_PERCENT:
        remedy = (
            f"Only the battery can keep it, and min_soc_percent {battery.min_soc_percent:g} leaves {room_percent:g} % "
            f"for that; leave at least {_LEAST_ROOM_PERCENT:g} %, or control a device that can limit PV."
        )
        raise ConfigError(source, "site.limits.export_limit_w", limits.export_limit_w, remedy)
