"""What an owner may wish of which device; the hub asks before it signs a wish, the agent before it follows one."""

from __future__ import annotations

from hearth_core.messages import HeatMode, Mode
from hearth_core.points import DeviceKind

LEAST_A = 6.0
"""Below this no car charges (IEC 61851)."""
_MOST_A = 80.0
_MOST_W = 1e6
_FITS = {
    "battery": (DeviceKind.HYBRID_INVERTER, DeviceKind.BATTERY),
    "current_a": (DeviceKind.EV_CHARGER,),
    "heat_mode": (DeviceKind.HEAT_PUMP, DeviceKind.WATER_HEATER),
}
_FORCED = (Mode.CHARGE_FROM_GRID, Mode.EXPORT)


def misfit(
    kind: str | None,
    battery: Mode | None,
    power_w: float | None,
    current_a: float | None,
    heat_mode: HeatMode | None,
) -> tuple[str, str] | None:
    """Return the field that such a device cannot follow, and why; None when all is well.

    Args:
        kind: What the device is (a `DeviceKind`); None when nobody knows.
        battery: What its battery may do.
        power_w: For the modes that force a power [W].
        current_a: Of each phase of a charger [A]; 0 pauses.
        heat_mode: Of a heat pump or water heater.
    """
    asked = {"battery": battery, "current_a": current_a, "heat_mode": heat_mode}
    for field, fitting in _FITS.items():
        if asked[field] is not None and kind not in fitting:
            return field, f"it is not for a device of the kind {kind or 'unknown'}"
    if battery in _FORCED and power_w is None:
        return "power_w", f"{battery} needs a power in W"
    if battery not in _FORCED and power_w is not None:
        return "power_w", "it belongs to charge_from_grid and export; leave it out"
    if power_w is not None and not 0 < power_w <= _MOST_W:
        return "power_w", f"{power_w:g} W are none; give more than 0"
    if current_a is not None and current_a != 0 and not LEAST_A <= current_a <= _MOST_A:
        return "current_a", f"a car takes 0 A (pause), or {LEAST_A:g} to {_MOST_A:g} A"
    return None
