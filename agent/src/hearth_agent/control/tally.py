"""What the steered devices draw together, and what they were allowed lately and do not draw yet."""

from __future__ import annotations

from typing import NamedTuple

from hearth_agent.control.cars import drawn, lines_of, most_a
from hearth_agent.control.heat import claim_w, draw_w
from hearth_agent.control.house import Charger, House
from hearth_agent.control.orders import CarState, Measurements, State
from hearth_agent.control.phases import CLAIM_S, PHASE_V


class Tally(NamedTuple):
    """Powers of one moment [W]."""

    cars_w: float
    """What the steered cars draw."""
    all_cars_w: float
    """The same with those that are only watched."""
    heaters_w: float
    charging_w: float
    """What the battery takes."""
    claims_a: tuple[float, ...]
    """What heaters and battery were allowed and do not draw yet, on each line [A]."""

    @property
    def steered_w(self) -> float:
        """All steered devices together."""
        return self.cars_w + self.heaters_w + self.charging_w


def tally(house: House, state: State, measured: Measurements, tick_s: float) -> Tally:
    """Count what devices draw; one that does not tell draws all it may."""
    lines = house.limits.phases
    claims_a = [_battery_claim_w(house, state, measured, tick_s) / PHASE_V / lines] * lines
    heaters_w = 0.0
    for heater in house.heaters:
        kept, reading = state.heater(heater.id), measured.heater(heater.id)
        heaters_w += draw_w(heater, kept, reading)
        for line in heater.lines:
            claims_a[line] += claim_w(heater, kept, reading, tick_s) / PHASE_V / len(heater.lines)
    cars_w = {one: car_w(one, state, measured) for one in house.chargers}
    steered_w = sum(power_w for one, power_w in cars_w.items() if one.controlled)
    return Tally(steered_w, sum(cars_w.values()), heaters_w, max(0.0, -(measured.battery_w or 0.0)), tuple(claims_a))


def car_w(charger: Charger, state: State, measured: Measurements) -> float:
    """Return what one car draws [W]."""
    kept, reading = state.car(charger.id), measured.car(charger.id)
    if drawn(reading) is not None:
        return sum(max(one or 0.0, 0.0) for one in reading.line_a) * PHASE_V
    return most_a(charger, kept) * len(lines_of(charger, kept, reading)) * PHASE_V


def car_currents(
    house: House, state: State, after: dict[str, CarState], measured: Measurements, tick_s: float
) -> tuple[list[float], list[float]]:
    """Return by how much cars will carry other currents than the meter tells, on each line [A].

    Returns:
        All changes, and those upwards only: what was lowered is still there until it was seen to be gone.
    """
    moved_a, promised_a = [0.0] * house.limits.phases, [0.0] * house.limits.phases
    for charger in house.chargers:
        if charger.id not in after:
            continue
        before, kept, reading = state.car(charger.id), after[charger.id], measured.car(charger.id)
        counted_a, limit_a = drawn(reading) or 0.0, most_a(charger, kept)
        more_a = max(limit_a - counted_a, 0.0) if tick_s - kept.raised_s < CLAIM_S else 0.0
        for line in lines_of(charger, before, reading):
            moved_a[line] += more_a + min(limit_a - counted_a, 0.0)
            promised_a[line] += more_a
    return moved_a, promised_a


def _battery_claim_w(house: House, state: State, measured: Measurements, tick_s: float) -> float:
    """Return what a forced charge will take beyond what the meter tells [W]."""
    if house.battery is None or state.battery is None or tick_s - state.battery_s >= CLAIM_S:
        return 0.0
    known_w = house.battery.max_discharge_w if measured.battery_w is None else measured.battery_w
    return max(0.0, known_w - state.battery.highest_w) if state.battery.highest_w < 0 else 0.0
