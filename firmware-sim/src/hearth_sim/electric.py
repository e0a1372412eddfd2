"""The grid the home hangs on: voltage that wanders and sags with load, frequency, and what a phase current is.

The wandering is a sum of slow sines of the time of day, so that it depends on nothing but the instant. Line impedance
and idle reactive power are usual for a house connection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

NOMINAL_V = 230.0
_LINE_OHM = 0.2
# Electronics of a house draw a little capacitive reactive power all the time.
REACTIVE_VAR = -60.0
_DAY_S = 86_400.0


class Phase(NamedTuple):
    """What a meter sees on one phase; power + = into the home, current is never negative."""

    power_w: float
    voltage_v: float
    apparent_va: float
    current_a: float


@dataclass(frozen=True)
class Supply:
    """Three phases and the frequency at one instant."""

    phases: tuple[Phase, Phase, Phase]
    frequency_hz: float

    @property
    def power_w(self) -> float:
        """Sum of the three phases [W]."""
        return sum(phase.power_w for phase in self.phases)


def open_voltage_v(at_s: float, phase: int) -> float:
    """Return the voltage of a phase without load at an instant [V]."""
    day = 2 * math.pi * (at_s % _DAY_S) / _DAY_S
    return 232.0 + 1.8 * math.sin(day + phase) + 0.7 * math.sin(at_s / 97.0 + 2.1 * phase)


def frequency_hz(at_s: float) -> float:
    """Return the grid's frequency at an instant [Hz]."""
    return 50.0 + 0.015 * math.sin(at_s / 47.0) + 0.008 * math.sin(at_s / 11.3)


def phase_at(at_s: float, number: int, power_w: float) -> Phase:
    """Return what a meter sees on phase 0..2 when ``power_w`` flows into the home there."""
    voltage_v = open_voltage_v(at_s, number) - _LINE_OHM * power_w / NOMINAL_V
    apparent_va = math.hypot(power_w, REACTIVE_VAR)
    return Phase(power_w, voltage_v, apparent_va, apparent_va / voltage_v)


def supply_at(at_s: float, powers_w: tuple[float, float, float]) -> Supply:
    """Return the home's supply for three phase powers [W]."""
    a, b, c = (phase_at(at_s, number, power_w) for number, power_w in enumerate(powers_w))
    return Supply((a, b, c), frequency_hz(at_s))
