"""The house without EV and heat pump: people and machines that switch inside the hour.

The hour's mean is divided into: what the record knows (dishwasher and washing machine as heating blocks, refrigerator
and freezer as compressor cycles), a floor that never stops (45 % of the rest, at most 150 W), kitchen events one
after another (kettle, hob, oven, ...: power and length as usual for such machines, drawn at random while they fit),
and the rest as a few levels of lights and screens. Kitchen on L2, laundry and dishes on L3, light mostly on L1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hearth_sim.blocks import block

FloatArray = NDArray[np.float64]
L1, L2, L3 = 0, 1, 2
_FLOOR_SHARE, _FLOOR_AT_MOST_W = 0.45, 150.0
_HEATER_W, _COMPRESSOR_W = 2000.0, 90.0
_FLOOR_PHASES = np.array([[0.4], [0.35], [0.25]])
_LIGHT_PHASES = np.array([[0.5], [0.2], [0.3]])
# power [W], minutes: kettle, microwave, toaster, hob, oven, short and long
_KITCHEN = ((2000.0, 3.0), (1100.0, 4.0), (900.0, 3.0), (1500.0, 10.0), (2200.0, 12.0), (1000.0, 8.0))
_MOST_EVENTS = 4
_SHORTEST = 0.05  # of an hour; a smaller need runs weaker instead of shorter


@dataclass(frozen=True)
class HouseHour:
    """Mean powers of one hour [W]; the named machines are part of ``mean_w``."""

    mean_w: float
    dishwasher_w: float
    washing_machine_w: float
    cooling_w: float


def house_steps(hour: HouseHour, n_steps: int, rng: np.random.Generator) -> FloatArray:
    """Return the power per phase, shape (3, n_steps) [W], whose sum has the mean ``hour.mean_w``."""
    phases = np.zeros((3, n_steps))
    if hour.mean_w <= 0:
        return phases
    named_w = hour.dishwasher_w + hour.washing_machine_w + hour.cooling_w
    # the record's columns come from different meters: keep room for the floor
    fit = min(1.0, 0.8 * hour.mean_w / named_w) if named_w > 0 else 0.0
    for mean_w, power_w, phase in (
        (hour.dishwasher_w * fit, _HEATER_W, L3),
        (hour.washing_machine_w * fit, _HEATER_W, L3),
        (hour.cooling_w * fit, _COMPRESSOR_W, L2),
    ):
        if mean_w > 0:
            phases[phase] += block(n_steps, mean_w, min(power_w, mean_w / _SHORTEST), float(rng.random()))
    rest_w = hour.mean_w - named_w * fit
    floor_w = min(_FLOOR_SHARE * rest_w, _FLOOR_AT_MOST_W)
    phases += floor_w * _FLOOR_PHASES
    events_w = _add_kitchen(phases, rest_w - floor_w, n_steps, rng)
    phases += _levels(rest_w - floor_w - events_w, n_steps, rng) * _LIGHT_PHASES
    return phases


def _add_kitchen(phases: FloatArray, budget_w: float, n_steps: int, rng: np.random.Generator) -> float:
    """Switch kitchen machines on L2, each in its own part of the hour; return their mean power [W]."""
    used_w = 0.0
    part = n_steps // _MOST_EVENTS
    for number, choice in enumerate(rng.integers(0, len(_KITCHEN), _MOST_EVENTS)):
        power_w, minutes = _KITCHEN[choice]
        length = int(minutes * n_steps / 60)
        mean_w = power_w * length / n_steps
        if used_w + mean_w <= budget_w:
            first = number * part + int(rng.integers(0, part - length))
            phases[L2, first : first + length] += power_w
            used_w += mean_w
    return used_w


def _levels(mean_w: float, n_steps: int, rng: np.random.Generator) -> FloatArray:
    """Return a few constant levels with a given mean, shape (n_steps,) [W]."""
    edges = np.sort(rng.integers(0, n_steps, 4))
    lengths = np.diff(np.concatenate(([0], edges, [n_steps])))
    shape: FloatArray = np.repeat(0.3 + rng.random(lengths.size), lengths)
    return shape * (mean_w / float(shape.mean()))
