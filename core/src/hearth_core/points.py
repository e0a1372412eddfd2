"""The closed vocabulary of measured points: names with units, signs and plausible ranges.

Signs (docs/architecture.md): seen from the home's busbar, power that flows INTO the home is positive (grid + = import,
pv + = production, battery + = discharge); every consumer is positive when it consumes.
A value outside its range is a broken reading, and a broken reading is missing, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeviceKind(StrEnum):
    """What a device is to the home."""

    GRID_METER = "grid_meter"
    PV = "pv"
    BATTERY = "battery"
    HYBRID_INVERTER = "hybrid_inverter"
    EV_CHARGER = "ev_charger"
    HEAT_PUMP = "heat_pump"
    WATER_HEATER = "water_heater"
    APPLIANCE = "appliance"


class PointClass(StrEnum):
    """How a value behaves in time, and so how it is stored."""

    GAUGE = "gauge"  # stored as real
    COUNTER = "counter"  # only grows but for resets; double precision, because real loses Wh above 16.7 MWh
    STATE = "state"  # a small code; smallint


@dataclass(frozen=True)
class Point:
    """One measurable quantity."""

    name: str
    unit: str
    point_class: PointClass
    low: float
    high: float
    text: str


def _gauge(name: str, unit: str, low: float, high: float, text: str) -> Point:
    return Point(name, unit, PointClass.GAUGE, low, high, text)


def _counter(name: str, text: str) -> Point:
    return Point(name, "Wh", PointClass.COUNTER, 0.0, 1e12, text)


_POWER_W = 1e6
_ALL = (
    _gauge("power_w", "W", -_POWER_W, _POWER_W, "active power at the AC terminals; sign by kind of device"),
    _gauge("power_l1_w", "W", -_POWER_W, _POWER_W, "active power of phase L1, sign as power_w"),
    _gauge("power_l2_w", "W", -_POWER_W, _POWER_W, "active power of phase L2, sign as power_w"),
    _gauge("power_l3_w", "W", -_POWER_W, _POWER_W, "active power of phase L3, sign as power_w"),
    _gauge("voltage_l1_v", "V", 0, 1000, "voltage L1 to neutral"),
    _gauge("voltage_l2_v", "V", 0, 1000, "voltage L2 to neutral"),
    _gauge("voltage_l3_v", "V", 0, 1000, "voltage L3 to neutral"),
    _gauge("current_l1_a", "A", -5000, 5000, "current of phase L1"),
    _gauge("current_l2_a", "A", -5000, 5000, "current of phase L2"),
    _gauge("current_l3_a", "A", -5000, 5000, "current of phase L3"),
    _gauge("frequency_hz", "Hz", 40, 70, "grid frequency"),
    _counter("import_energy_wh", "energy drawn from the grid"),
    _counter("export_energy_wh", "energy fed into the grid"),
    _counter("energy_wh", "energy produced (inverter, AC side) or consumed (consumer)"),
    _gauge("pv_power_w", "W", 0, _POWER_W, "PV power of a hybrid inverter, DC side"),
    _counter("pv_energy_wh", "PV energy of a hybrid inverter, DC side"),
    _gauge("battery_power_w", "W", -_POWER_W, _POWER_W, "battery power, DC side; + = discharge"),
    _counter("battery_charge_energy_wh", "energy charged into the battery, DC side"),
    _counter("battery_discharge_energy_wh", "energy discharged from the battery, DC side"),
    _gauge("soc_percent", "%", 0, 100, "state of charge"),
    _gauge("current_limit_a", "A", 0, 100, "charging current the charger offers the car"),
    _gauge("session_energy_wh", "Wh", 0, 1e6, "energy of the present charging session"),
    _gauge("outdoor_temperature_c", "degC", -60, 70, "outdoor temperature"),
    _gauge("water_temperature_c", "degC", -20, 110, "hot water temperature"),
    _gauge("flow_temperature_c", "degC", -20, 110, "heating flow temperature"),
    Point("vehicle_state", "", PointClass.STATE, 0, 9, "0 unknown, 1 no car, 2 connected, 3 charging, 4 finished"),
    Point("operating_state", "", PointClass.STATE, 0, 32767, "the device's own state code (see its profile)"),
)

POINTS: dict[str, Point] = {point.name: point for point in _ALL}

# What a vendor has beyond the vocabulary travels under names that start with this.
EXTRA_PREFIX = "x_"


def is_known(name: str) -> bool:
    """Tell whether a name may appear in a batch: canonical, or a named extra."""
    return name in POINTS or (name.startswith(EXTRA_PREFIX) and name[2:].replace("_", "").isalnum())
