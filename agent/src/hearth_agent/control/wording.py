"""From what the controller wants of a device to the numbers its profile may write.

An order is the set of variables of its control (`VARIABLES`); None is the device's own mode. Orders of one control
can be compared: `meet` says the order that allows nothing that either of two does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from hearth_agent.control.orders import HeatCommand, Interval
from hearth_agent.devices.profile import Case, ControlKind
from hearth_core.messages import HeatMode
from hearth_core.wishes import LEAST_A

POWER_STEP_W = 50.0
_HEATER_STEP_W = 10.0
# a little more power is not worth a write, nor soon after the last one; less power always is
_MORE_W = 200.0
_MORE_AFTER_S = 30.0
_NORMAL = 1
# the state of SG-Ready, and its two contacts A:B
_SG_READY = {
    HeatMode.BLOCKED: (0.0, 1.0, 0.0),
    HeatMode.NORMAL: (1.0, 0.0, 0.0),
    HeatMode.RECOMMENDED: (2.0, 0.0, 1.0),
    HeatMode.FORCED: (3.0, 1.0, 1.0),
}

Variables = Mapping[str, float]


class InForce(Protocol):
    """What is known of the order a device has now."""

    @property
    def order(self) -> Variables | None:
        """The order in force; None for the device's own mode, or unknown."""
        ...

    def since_write_s(self) -> float:
        """Return how long ago the device was last told something [s]."""
        ...


def ev_order(limit_a: float | None) -> Variables | None:
    """Turn a current limit into an order: 0 pauses and leaves the current alone."""
    if limit_a is None:
        return None
    if limit_a <= 0:
        return {"current_a": LEAST_A, "paused": 1.0, "allowed": 0.0}
    return {"current_a": float(math.floor(limit_a)), "paused": 0.0, "allowed": 1.0}


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
    return {"power_w": math.floor(command / _HEATER_STEP_W) * _HEATER_STEP_W}


def pv_order(limit_w: float | None) -> Variables | None:
    """Turn the roof's limit into an order."""
    return None if limit_w is None else {"limit_w": limit_w, "limited": 1.0}


def battery_order(wanted: Interval | None, widest: Interval, lease: InForce) -> Variables | None:
    """Turn an interval into an order worth writing: rounded towards safety, steady inside a dead band.

    Args:
        wanted: What the controller allows now; None or the widest interval is the device's own mode.
        widest: The device's own mode.
        lease: Whose present order is kept while the new one is nearly the same.
    """
    if wanted is None or wanted.contains(widest):
        return None
    low, high = _rounded(wanted)
    current = lease.order
    if current is not None:
        pairs = ((-current["charge_w"], low), (current["discharge_w"], high))
        changed = any(_gentler(old, new) for old, new in pairs)
        more_w = max(abs(new - old) for old, new in pairs)
        if not changed and (more_w < _MORE_W or lease.since_write_s() < _MORE_AFTER_S):
            return current
    return _interval_order(low, high)


def _interval_order(low: float, high: float) -> Variables:
    charge_w, discharge_w = max(0.0, -high), max(0.0, low)
    return {
        "charge_w": -low + 0.0,
        "discharge_w": high + 0.0,
        # a forced charge is the only order that may take power from the grid
        "grid_charge": 1.0 if high < 0 else 0.0,
        "charge_limit_w": max(0.0, -low),
        "discharge_limit_w": max(0.0, high),
        "forced": 1.0 if charge_w else 2.0 if discharge_w else 0.0,
        "forced_w": discharge_w - charge_w,
        "forced_charge_w": charge_w,
        "forced_discharge_w": discharge_w,
    }


def spelled(kind: ControlKind, order: Variables | None) -> str:
    """Say an order to a person, signs as everywhere."""
    if order is None:
        return "its own mode"
    match kind:
        case ControlKind.BATTERY_INTERVAL:
            return f"between {-order['charge_w'] + 0.0:g} and {order['discharge_w']:g} W"
        case ControlKind.EV_CURRENT:
            return "paused" if order["paused"] else f"at most {order['current_a']:g} A"
        case ControlKind.EV_PHASES:
            return f"phases: {order['phases']:g}"
        case ControlKind.HEAT_MODE:
            return next(str(mode) for mode, (state, *_) in _SG_READY.items() if state == order["mode"])
        case ControlKind.HEAT_POWER:
            return f"{order['power_w']:g} W"
        case ControlKind.PV_LIMIT:
            return f"at most {order['limit_w']:g} W"


def case_of(kind: ControlKind, order: Variables) -> Case | None:
    """Return what kind of order it is; None for controls that have only one kind."""
    if kind is ControlKind.EV_CURRENT:
        return Case.PAUSE if order["paused"] else Case.RUN
    if kind is not ControlKind.BATTERY_INTERVAL:
        return None
    if order["forced"]:
        return Case.CHARGE if order["forced_charge_w"] else Case.DISCHARGE
    return Case.HOLD if order["charge_limit_w"] == order["discharge_limit_w"] == 0 else Case.LIMIT


def may_raise(kind: ControlKind, old: Variables | None, new: Variables | None) -> bool:
    """Tell whether a new order lets a device do anything the old one does not; its own mode never counts as more."""
    if new is None:
        return False
    if old is None:
        return _forces(kind, new)
    return any(after > before for before, after in zip(_powers(kind, old), _powers(kind, new), strict=True))


def meet(kind: ControlKind, one: Variables, other: Variables) -> Variables:
    """Return the order that allows only what both allow and forces only what both force."""
    if kind is not ControlKind.BATTERY_INTERVAL:
        return min(one, other, key=lambda order: _powers(kind, order))
    pairs = zip(_powers(kind, one), _powers(kind, other), strict=True)
    charge_w, discharge_w, forced_charge_w, forced_discharge_w = (min(pair) for pair in pairs)
    low = forced_discharge_w if forced_discharge_w else -charge_w
    high = -forced_charge_w if forced_charge_w else discharge_w
    return _interval_order(low, high)


def _forces(kind: ControlKind, order: Variables) -> bool:
    """Tell whether an order makes a device run that would not run by itself."""
    if kind is ControlKind.BATTERY_INTERVAL:
        return order["forced"] != 0
    if kind is ControlKind.HEAT_MODE:
        return order["mode"] > _NORMAL
    return kind is ControlKind.HEAT_POWER and order["power_w"] > 0


def _powers(kind: ControlKind, order: Variables) -> tuple[float, ...]:
    """Return what an order allows and forces, each as a number that grows with the power."""
    match kind:
        case ControlKind.BATTERY_INTERVAL:
            return tuple(order[name] for name in _BATTERY_POWERS)
        case ControlKind.EV_CURRENT:
            return (0.0 if order["paused"] else order["current_a"],)
        case ControlKind.EV_PHASES:
            return (order["phases"],)
        case ControlKind.HEAT_MODE:
            return (order["mode"],)
        case ControlKind.HEAT_POWER:
            return (order["power_w"],)
        case ControlKind.PV_LIMIT:
            return (order["limit_w"],)


_BATTERY_POWERS = ("charge_limit_w", "discharge_limit_w", "forced_charge_w", "forced_discharge_w")


def _gentler(old: float, new: float) -> bool:
    """Tell whether a bound moves towards 0, or to another side of it (which is another mode)."""
    return abs(new) < abs(old) or old * new < 0 or (old == 0) != (new == 0)


def _rounded(wanted: Interval) -> tuple[float, float]:
    """Round to whole steps: a limit towards 0, so that it holds; what is forced stays within the limit."""
    low = math.ceil(wanted.lowest_w / POWER_STEP_W) * POWER_STEP_W
    high = math.floor(wanted.highest_w / POWER_STEP_W) * POWER_STEP_W
    if high < low:  # less than a step apart: the limit nearer to 0 counts
        low = high = low if high < 0 or low < 0 else high
    return low + 0.0, high + 0.0
