"""From the site file and the profiles to what the controller knows of the home."""

from __future__ import annotations

import hashlib
from zoneinfo import ZoneInfo

from hearth_agent.control.house import ALL_CASES, Charger, Heater, House
from hearth_agent.devices.profile import Case, ControlKind, ControlSpec
from hearth_agent.facts import HeaterFacts
from hearth_agent.settings import DeviceSettings, Home
from hearth_core.points import DeviceKind
from hearth_core.site import Limits
from hearth_core.wishes import LEAST_A
from hearth_models.battery import Battery


def house_of(home: Home, offered: frozenset[tuple[str, ControlKind]]) -> House:
    """Return the home as the controller sees it.

    Args:
        home: Settings and profiles.
        offered: Which controls of which devices may be used; what is only watched is not among them.
    """
    site = home.settings.site
    battery_id = _first(home, offered, ControlKind.BATTERY_INTERVAL)
    roof = _first(home, offered, ControlKind.PV_LIMIT)
    battery = Battery.from_facts(site.battery) if site.battery and battery_id else None
    return House(
        limits=site.limits,
        timezone=ZoneInfo(site.timezone),
        battery=battery,
        battery_id=battery_id or "battery",
        cases=_cases(home, battery_id),
        battery_offset_s=slot_offset_s(home.settings.agent, battery_id or "battery", site.limits),
        chargers=tuple(
            _charger(home, device, offered)
            for device in home.settings.devices
            if home.profiles[device.id].kind is DeviceKind.EV_CHARGER or (device.id, ControlKind.EV_CURRENT) in offered
        ),
        heaters=tuple(
            _heater(home, device, offered)
            for device in home.settings.devices
            if (device.id, ControlKind.HEAT_MODE) in offered or (device.id, ControlKind.HEAT_POWER) in offered
        ),
        pv_id=roof or "pv",
        pv_rated_w=home.device(roof).rated_w if roof else None,
    )


def slot_offset_s(home: str, device: str, limits: Limits) -> float:
    """Return the fixed share of the home's slot spread that is this device's [s]."""
    digest = hashlib.blake2b(f"{home}/{device}".encode(), digest_size=4).digest()
    return limits.slot_spread_s * int.from_bytes(digest) / 0xFFFFFFFF


def _first(home: Home, offered: frozenset[tuple[str, ControlKind]], kind: ControlKind) -> str | None:
    return next((one.id for one in home.settings.devices if (one.id, kind) in offered), None)


def _cases(home: Home, device: str | None) -> frozenset[Case]:
    if device is None:
        return ALL_CASES
    control: ControlSpec = home.profiles[device].controls[ControlKind.BATTERY_INTERVAL]
    return ALL_CASES if control.order else ALL_CASES & frozenset(control.cases)


def _charger(home: Home, device: DeviceSettings, offered: frozenset[tuple[str, ControlKind]]) -> Charger:
    spec = home.profiles[device.id].controls.get(ControlKind.EV_CURRENT)
    lines = _lines(home, device)
    max_a = min(spec.max_a if spec else 16.0, device.max_current_a or 80.0)
    return Charger(
        id=device.id,
        lines=lines,
        min_a=max(spec.min_a, LEAST_A) if spec else LEAST_A,
        max_a=max_a,
        switchable=len(lines) == 3 and (device.id, ControlKind.EV_PHASES) in offered,
        controlled=(device.id, ControlKind.EV_CURRENT) in offered,
        offset_s=slot_offset_s(home.settings.agent, device.id, home.settings.site.limits),
    )


def _lines(home: Home, device: DeviceSettings) -> tuple[int, ...]:
    """Return the home's phases (from 0) of a device's L1, L2, L3; all in order where nobody has said or seen it.

    A car on one phase shows where L1 lies, and no more: the others follow in the order of a rotated line.
    """
    known = home.phases_of(device.id) or (1, 2, 3)
    if device.phase_rotation is None and len(known) == 1 and "current_l2_a" in home.profiles[device.id].points:
        known = tuple((known[0] - 1 + step) % 3 + 1 for step in range(3))
    return tuple(line - 1 for line in known if line <= home.settings.site.limits.phases) or (0,)


def _heater(home: Home, device: DeviceSettings, offered: frozenset[tuple[str, ControlKind]]) -> Heater:
    facts = device.heater or HeaterFacts()
    return Heater(
        id=device.id,
        rated_w=facts.rated_w,
        lines=_lines(home, device),
        has_power=(device.id, ControlKind.HEAT_MODE) not in offered,
        dwell_s=facts.dwell_s,
        longest_block_s=facts.longest_block_s,
        starts_per_hour=facts.starts_per_hour,
        floor_c=facts.comfort_floor_c,
        legionella=tuple(facts.legionella),
        offset_s=slot_offset_s(home.settings.agent, device.id, home.settings.site.limits),
    )
