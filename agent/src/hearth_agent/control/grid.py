"""What the grid operator allows, and what that leaves for the devices this home can steer.

An import limit (such as § 14a EnWG) is on what the steered devices take *from the grid*, measured at the meter: what
they draw together may be the limit, plus what the home makes itself and its other loads leave over. The other loads
of the home are not limited. Steered devices are cars, heaters, and the battery while it charges.

An export limit is on the meter; the battery takes what it can, and the roof is turned down by the rest.
"""

from __future__ import annotations

import math

import msgspec

from hearth_agent.control.house import House
from hearth_agent.control.orders import Cause, GridCaps, Measurements, Reason, State
from hearth_agent.control.phases import since

EXPORT_BEARABLE_S = 5.0
"""How long feed-in may be above its limit before the roof is turned down: the battery is quicker."""
_PV_RAISE_AFTER_S = 10.0
_PV_STEP_W = 100.0


def import_budget_w(caps: GridCaps, measured: Measurements, steered_w: float) -> float | None:
    """Return what the steered devices may draw together; None is no limit [W].

    Args:
        caps: The grid operator's.
        measured: The present.
        steered_w: What they draw now [W].
    """
    if caps.import_w is None:
        return None
    own_w = 0.0 if measured.grid_w is None else max(0.0, steered_w - measured.grid_w)
    return caps.import_w + own_w


def export_limit_w(house: House, caps: GridCaps) -> float | None:
    """Return the narrower of the site's and the grid operator's limit; None is no limit [W]."""
    limits = [one for one in (house.limits.export_limit_w, caps.export_w) if one is not None]
    return min(limits, default=None)


def limit_roof(
    house: House, state: State, measured: Measurements, most_w: float | None, tick_s: float
) -> tuple[float | None, State, Reason]:
    """Return the most the roof may give, None is no limit [W]: down at once, up in slow steps."""
    free = Reason(Cause.FALLBACK, "no limit on feed-in is near")
    if house.pv_rated_w is None:
        return None, state, free
    if most_w is None:
        return None, _turned(state, None, tick_s), free
    reason = Reason(Cause.GRID, f"feed-in is at its limit of {most_w:.0f} W")
    if measured.grid_w is None or measured.pv_w is None:
        # with an unseen meter only a roof that never gives more than the limit keeps it
        if state.pv_limit_w is None and not state.seen:
            return None, state, free
        wanted_w = min(most_w, house.pv_rated_w)
        blind = Reason(Cause.METER, "the roof gives no more than may be fed in: meter or roof is not seen")
        return wanted_w, _turned(state, wanted_w, tick_s), blind
    since_s = since(state.exporting_since_s, tick_s, holds=-measured.grid_w > most_w)
    if since_s != state.exporting_since_s:
        state = msgspec.structs.replace(state, exporting_since_s=since_s)
    room_w = measured.pv_w + measured.grid_w + most_w
    wanted_w = min(max(math.floor(room_w / _PV_STEP_W) * _PV_STEP_W, 0.0), house.pv_rated_w)
    now_w = house.pv_rated_w if state.pv_limit_w is None else state.pv_limit_w
    if wanted_w < now_w and since_s is not None and tick_s - since_s >= EXPORT_BEARABLE_S:
        return wanted_w, _turned(state, wanted_w, tick_s), reason
    if wanted_w > now_w and tick_s - state.pv_changed_s >= _PV_RAISE_AFTER_S:
        limit_w = None if wanted_w >= house.pv_rated_w else wanted_w
        return limit_w, _turned(state, limit_w, tick_s), reason if limit_w is not None else free
    return state.pv_limit_w, state, free if state.pv_limit_w is None else reason


def _turned(state: State, limit_w: float | None, tick_s: float) -> State:
    if limit_w == state.pv_limit_w:
        return state
    return msgspec.structs.replace(state, pv_limit_w=limit_w, pv_changed_s=tick_s)
