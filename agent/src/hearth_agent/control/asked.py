"""What plan or owner ask of cars and heaters now; whatever makes no sense is left to the device."""

from __future__ import annotations

import math
from datetime import datetime

from hearth_agent.control.ev import CarWish
from hearth_agent.control.heat import HeatWish
from hearth_agent.control.house import Charger, Heater, House
from hearth_agent.control.orders import Cause, HeatCommand, Reason
from hearth_core.messages import HeatMode, LoadSlot, Override, Plan
from hearth_models.planning.policy import slot_index

NO_PLAN = Reason(Cause.FALLBACK, "as the owner set it: there is no valid plan")
UNPLANNED = Reason(Cause.FALLBACK, "as the owner set it: the plan leaves it alone")
NO_TIME = Reason(Cause.CLOCK, "as the owner set it: the clock cannot be trusted yet")
_LATEST_S = 32_503_680_000.0  # the year 3000: later instants have no calendar worth asking


def slot_time_s(plan: Plan, at_s: float, offset_s: float) -> float:
    """Return the instant whose slot a device follows: a little later than the plan, but not before its begin."""
    return max(at_s - offset_s, plan.valid_from_ms / 1000) if offset_s else at_s


def car_wish(charger: Charger, plan: Plan | None, override: Override | None, at_s: float, fallback: Reason) -> CarWish:
    """Return what one car is asked."""
    if override is not None and override.current_a is not None:
        text = "the owner paused it" if override.current_a <= 0 else f"the owner wants {override.current_a:.0f} A"
        wanted = _current(charger, override.current_a)
        return CarWish(wanted, Reason(Cause.OVERRIDE, text, f"override {override.version}"))
    found = _slot(plan, charger.id, at_s, charger.offset_s)
    if found is None or found[0].current_a is None:
        return CarWish(None, fallback)
    wanted = _current(charger, found[0].current_a)
    if wanted is None:
        return CarWish(None, fallback)
    return CarWish(wanted, Reason(Cause.PLAN, "as planned", found[1]))


def heat_wish(heater: Heater, plan: Plan | None, override: Override | None, at_s: float, fallback: Reason) -> HeatWish:
    """Return what one heater is asked."""
    if override is not None and override.heat_mode is not None:
        reason = Reason(Cause.OVERRIDE, f"the owner wants it {override.heat_mode}", f"override {override.version}")
        mode = override.heat_mode
        return HeatWish(_power_of(heater, mode) if heater.has_power else mode, reason)
    found = _slot(plan, heater.id, at_s, heater.offset_s)
    wanted: HeatCommand = None
    if found is not None:
        wanted = _power(heater, found[0].power_w) if heater.has_power else found[0].heat_mode
    if found is None or wanted is None:
        return HeatWish(None, fallback)
    return HeatWish(wanted, Reason(Cause.PLAN, "as planned", found[1]))


def protected(house: House, at_s: float, *, time_trusted: bool) -> dict[str, str]:
    """Return which heaters may not be held back now because of legionella; without a clock, all that have a window."""
    why: dict[str, str] = {}
    for heater in house.heaters:
        if heater.legionella and (not time_trusted or _in_window(house, heater, at_s)):
            why[heater.id] = "heats against legionella" if time_trusted else "it may be the hour against legionella"
    return why


def _in_window(house: House, heater: Heater, at_s: float) -> bool:
    if not 0 <= at_s < _LATEST_S:
        return True
    local = datetime.fromtimestamp(at_s, house.timezone)
    minute = local.hour * 60 + local.minute
    return any(
        local.weekday() in window.weekdays
        and local.month in window.calendar_months
        and any(begin <= minute < end for begin, end in window.spans_min)
        for window in heater.legionella
    )


def _slot(plan: Plan | None, device: str, at_s: float, offset_s: float) -> tuple[LoadSlot, str] | None:
    """Return what a plan says of one load now, and where it says so."""
    if plan is None:
        return None
    index = slot_index(plan, slot_time_s(plan, at_s, offset_s))
    if index is None or slot_index(plan, at_s) is None:
        return None
    for load in plan.loads:
        if load.device == device:
            return (load.slots[index], slot_ref(plan, index)) if index < len(load.slots) else None
    return None


def slot_ref(plan: Plan, index: int) -> str:
    """Name one slot of a plan."""
    return f"plan {plan.version} slot {index}"


def _current(charger: Charger, wanted_a: float) -> float | None:
    """Return a current a car can be told, 0 for what is below the least; None for what is no current."""
    if not (math.isfinite(wanted_a) and wanted_a >= 0):
        return None
    whole_a = float(math.floor(min(wanted_a, charger.max_a)))
    return whole_a if whole_a >= charger.min_a else 0.0


def _power_of(heater: Heater, mode: HeatMode) -> float | None:
    """Return a mode in the words of a heater that takes a power: nothing, all it has, or as it likes."""
    if mode is HeatMode.NORMAL:
        return None
    return 0.0 if mode is HeatMode.BLOCKED else heater.rated_w


def _power(heater: Heater, wanted_w: float | None) -> float | None:
    if wanted_w is None or not (math.isfinite(wanted_w) and wanted_w >= 0):
        return None
    return float(min(wanted_w, heater.rated_w))
