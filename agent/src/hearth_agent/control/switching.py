"""One phase or three: a charger is switched only while it is paused and nothing flows, and not often.

A car that finds no room on three phases charges on one; with room for three, for long enough, it goes back.
"""

from __future__ import annotations

import msgspec

from hearth_agent.control.cars import Car
from hearth_agent.control.orders import CarState
from hearth_agent.control.phases import since

SPACING_S = 60.0
TIGHT_S = 60.0
AMPLE_S = 300.0
_STILL_A = 0.5
_STILL_S = 5.0
"""So long nothing may flow before a phase is switched."""


def switch_phases(
    car: Car, limit_a: float, state: CarState, fits: tuple[bool, bool], tick_s: float
) -> tuple[float, CarState]:
    """Return the current that may be allowed now, and the number of phases within the state.

    Args:
        car: The car before this step.
        limit_a: What it may have otherwise [A].
        state: Its state, maybe changed in this step.
        fits: Whether its least current has room on one phase, and on three.
        tick_s: Seconds of a clock that never goes back.
    """
    if not car.charger.switchable:
        return limit_a, state
    on_one, on_three = fits
    waits = car.target_a >= car.charger.min_a and limit_a <= 0
    tight = state.phases == 3 and waits and on_one and not on_three
    ample = state.phases == 1 and car.active and on_three
    still = car.limit_a <= 0 and car.drawn_a is not None and car.drawn_a <= _STILL_A
    tight_s = since(state.tight_since_s, tick_s, holds=tight)
    ample_s = since(state.ample_since_s, tick_s, holds=ample)
    zero_s = since(state.zero_since_s, tick_s, holds=still)
    if (tight_s, ample_s, zero_s) != (state.tight_since_s, state.ample_since_s, state.zero_since_s):
        state = msgspec.structs.replace(state, tight_since_s=tight_s, ample_since_s=ample_s, zero_since_s=zero_s)
    to_one = tight_s is not None and tick_s - tight_s >= TIGHT_S
    to_three = ample_s is not None and tick_s - ample_s >= AMPLE_S
    if not (to_one or to_three) or tick_s - state.phases_s < SPACING_S:
        return limit_a, state
    if zero_s is None or tick_s - zero_s < _STILL_S:
        return (limit_a if _too_young(car, tick_s) else 0.0), state
    return 0.0, msgspec.structs.replace(
        state,
        phases=1 if to_one else 3,
        phases_s=tick_s,
        switched_s=tick_s,
        tight_since_s=None,
        ample_since_s=None,
        zero_since_s=None,
    )


def _too_young(car: Car, tick_s: float) -> bool:
    """Tell whether the car charges since a moment only; it is not paused for a switch then."""
    return car.limit_a > 0 and tick_s - car.state.switched_s < SPACING_S
