"""Which of the owner's own wishes hold now. Each ends by itself, whatever the wall clock says meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hearth_agent.control.orders import State
from hearth_core.messages import Override


def in_force(
    overrides: Mapping[str, Override], state: State, at_s: float, tick_s: float, *, time_trusted: bool
) -> tuple[dict[str, Override], State]:
    """Return the overrides that hold, by device, and note those seen for the first time.

    An override lasts until its end by the wall clock while that is trusted, and never longer than it was meant to last
    counted from when it was first seen: no jump of the clock makes it eternal.
    """
    if not overrides:
        return {}, state if not state.overrides else msgspec.structs.replace(state, overrides={})
    seen = {
        device: state.overrides[device]
        if state.overrides.get(device, (0, 0.0))[0] == one.version
        else (one.version, tick_s)
        for device, one in overrides.items()
    }
    if seen != state.overrides:
        state = msgspec.structs.replace(state, overrides=seen)
    lasting: dict[str, Override] = {}
    for device, one in overrides.items():
        left_s = (one.until_ms - one.issued_ms) / 1000 - (tick_s - seen[device][1])
        if left_s > 0 and (not time_trusted or at_s * 1000 < one.until_ms):
            lasting[device] = one
    return lasting, state
