"""From the controller's commands to the numbers a profile's orders are made of; None is the device's own mode.

Battery and charging current are in `hearth_agent.control.leases`, for they depend on what the lease holds already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hearth_agent.control.orders import HeatCommand
from hearth_core.messages import HeatMode

Variables = Mapping[str, float]
POWER_STEP_W = 10.0
# the state of SG-Ready, and its two contacts A:B
_SG_READY = {
    HeatMode.BLOCKED: (0.0, 1.0, 0.0),
    HeatMode.NORMAL: (1.0, 0.0, 0.0),
    HeatMode.RECOMMENDED: (2.0, 0.0, 1.0),
    HeatMode.FORCED: (3.0, 1.0, 1.0),
}


def phases_order(phases: int | None) -> Variables | None:
    """Turn a number of phases into an order."""
    return None if phases is None else {"phases": float(phases)}


def heat_order(command: HeatCommand) -> Variables | None:
    """Turn a mode or a power into an order; a power is rounded down."""
    if command is None:
        return None
    if isinstance(command, HeatMode):
        mode, contact_a, contact_b = _SG_READY[command]
        return {"mode": mode, "contact_a": contact_a, "contact_b": contact_b}
    return {"power_w": math.floor(command / POWER_STEP_W) * POWER_STEP_W}


def pv_order(limit_w: float | None) -> Variables | None:
    """Turn the roof's limit into an order."""
    return None if limit_w is None else {"limit_w": limit_w, "limited": 1.0}
