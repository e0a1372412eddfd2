"""From the latest values of all devices to what the controller knows of the present."""

from __future__ import annotations

from collections.abc import Mapping

from hearth_agent.control.flows import flows_of
from hearth_agent.control.house import House
from hearth_agent.control.orders import CarReading, HeaterReading, Measurements
from hearth_agent.control.phases import PHASE_V
from hearth_agent.devices.profile import Profile
from hearth_agent.devices.snapshot import Snapshot

FRESH_S = 60.0
"""Older values count as missing."""
SLOW_FRESH_S = 600.0
"""The same for temperatures, which are polled less often."""
# codes of vehicle_state: connected, charging
_WANTING = (2, 3)


class Eyes:
    """Looks at the home through its snapshot."""

    def __init__(self, profiles: Mapping[str, Profile], grid: str | None, snapshot: Snapshot) -> None:
        """Look through the profiles of all devices, by id; ``grid`` is the meter at the grid connection."""
        self._profiles, self._grid, self._snapshot = profiles, grid, snapshot

    def look(self, house: House, now_s: float) -> Measurements:
        """Return the present at an instant of the clock that never goes back [s]."""
        flows = flows_of(self._profiles, lambda id_, point: self._value(id_, point, now_s), now_s)
        phases = house.limits.phases
        return Measurements(
            grid_w=flows.grid_w,
            phase_a=tuple(self._phase(line, phases, now_s) for line in range(1, phases + 1)),
            battery_w=flows.battery_w,
            soc_percent=flows.soc_percent,
            pv_w=self._roof(house.pv_id, now_s),
            cars={one.id: self._car(one.id, now_s) for one in house.chargers},
            heaters={one.id: self._heater(one.id, now_s) for one in house.heaters},
        )

    def _value(self, device: str | None, point: str, now_s: float, within_s: float = FRESH_S) -> float | None:
        return self._snapshot.value(device, point, now_s, within_s)

    def _roof(self, device: str, now_s: float) -> float | None:
        """Return what the roof that can be turned down feeds into the house: that is what its limit holds down."""
        power_w = self._value(device, "power_w", now_s)
        return None if power_w is None else max(power_w, 0.0)

    def _car(self, device: str, now_s: float) -> CarReading:
        code = self._value(device, "vehicle_state", now_s)
        return CarReading(
            line_a=tuple(self._line(device, line, now_s) for line in (1, 2, 3)),
            wanting=None if code is None or code == 0 else code in _WANTING,
        )

    def _heater(self, device: str, now_s: float) -> HeaterReading:
        water_c = self._value(device, "water_temperature_c", now_s, SLOW_FRESH_S)
        flow_c = self._value(device, "flow_temperature_c", now_s, SLOW_FRESH_S)
        return HeaterReading(
            power_w=self._value(device, "power_w", now_s), temperature_c=flow_c if water_c is None else water_c
        )

    def _phase(self, line: int, phases: int, now_s: float) -> float | None:
        """Return a phase's current with the sign of its power: meters tell the magnitude only."""
        current_a = self._line(self._grid, line, now_s)
        power_w = self._value(self._grid, f"power_l{line}_w", now_s)
        if power_w is None and phases == 1:  # of a home with one phase it is the only power
            power_w = self._value(self._grid, "power_w", now_s)
        if power_w is None or current_a is None:
            return None
        return abs(current_a) if power_w >= 0 else -abs(current_a)

    def _line(self, device: str | None, line: int, now_s: float) -> float | None:
        """Return the current of one of a device's phases; where it tells none, what its power needs at least."""
        points = (f"current_l{line}_a", f"power_l{line}_w", f"voltage_l{line}_v")
        current_a, power_w, voltage_v = (self._value(device, point, now_s) for point in points)
        if current_a is None and power_w is not None:
            return power_w / (voltage_v or PHASE_V)
        return current_a
