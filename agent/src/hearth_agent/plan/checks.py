"""What a plan must be before a home follows it: for this home, newer, finite, and of a sane time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from hearth_core.errors import PermanentError
from hearth_core.messages import Plan, StoredValue

LONGEST_MS = 72 * 3600 * 1000
FUTURE_MS = 5 * 60 * 1000
_MOST_W = 1e6
_MOST_A = 1e3
_MOST_EUR_PER_KWH = 1e3
_MOST_EUR = 1e6
_MOST_KWH = 1e9


class PlanRefusedError(PermanentError):
    """A plan this home does not follow; the text says why."""


def check_plan(plan: Plan, home: str, last_version: int, now_ms: int) -> None:
    """Refuse a plan that cannot be right.

    Raises:
        PlanRefusedError: With the reason.
    """
    if plan.home != home:
        raise PlanRefusedError(f"it is for {plan.home}, this home is {home}")
    if plan.version <= last_version:
        raise PlanRefusedError(f"version {plan.version} is not newer than {last_version}")
    check_window(plan, now_ms)
    _check_slots(plan)
    _check_loads(plan)
    for name, value, most in _numbers(plan):
        if not math.isfinite(value) or abs(value) > most:
            raise PlanRefusedError(f"{name} is {value}, which cannot be")
    if plan.stored_value is not None:
        _check_value_function(plan.stored_value)


def check_window(plan: Plan, now_ms: int) -> None:
    """Refuse a plan that is over, from the future, or too long.

    Raises:
        PlanRefusedError: With the reason.
    """
    if plan.valid_until_ms <= now_ms:
        raise PlanRefusedError("it is over")
    if plan.issued_ms > now_ms + FUTURE_MS:
        raise PlanRefusedError(f"it was issued {(plan.issued_ms - now_ms) / 1000:.0f} s in the future")
    if not 0 < plan.valid_until_ms - plan.valid_from_ms <= LONGEST_MS:
        raise PlanRefusedError("its window is empty or longer than 72 h")
    if plan.valid_from_ms > now_ms + LONGEST_MS:
        raise PlanRefusedError("it begins too late")


def _check_slots(plan: Plan) -> None:
    step_ms = plan.step_s * 1000
    if len(plan.slots) * step_ms > LONGEST_MS:
        raise PlanRefusedError("its slots cover more than 72 h")
    for index, slot in enumerate(plan.slots):
        if slot.start_ms != plan.slots[0].start_ms + index * step_ms:
            raise PlanRefusedError(f"slot {index} does not follow the one before")


def _check_loads(plan: Plan) -> None:
    devices = [load.device for load in plan.loads]
    if len(devices) != len(set(devices)):
        raise PlanRefusedError("it plans a load twice")
    for load in plan.loads:
        if len(load.slots) != len(plan.slots):
            raise PlanRefusedError(f"it has {len(load.slots)} slots for {load.device} and {len(plan.slots)} of its own")


def _numbers(plan: Plan) -> Iterator[tuple[str, float, float]]:
    for index, slot in enumerate(plan.slots):
        for name in ("power_w", "load_w", "pv_w", "battery_w", "grid_w"):
            yield f"slots[{index}].{name}", getattr(slot, name), _MOST_W
        for name in ("import_eur_per_kwh", "export_eur_per_kwh", "marginal_eur_per_kwh"):
            yield f"slots[{index}].{name}", getattr(slot, name), _MOST_EUR_PER_KWH
        yield f"slots[{index}].soc_percent", slot.soc_percent, 200.0
        if slot.power_w < 0:
            yield f"slots[{index}].power_w", math.nan, 0.0
    for load in plan.loads:
        for index, asked in enumerate(load.slots):
            for name, most in (("current_a", _MOST_A), ("power_w", _MOST_W)):
                value = getattr(asked, name)
                # what is below nothing is as wrong as what is no number
                yield f"loads.{load.device}[{index}].{name}", math.nan if (value or 0.0) < 0 else value or 0.0, most
    if plan.market is not None:
        for index, price in enumerate(plan.market.eur_per_kwh):
            yield f"market.eur_per_kwh[{index}]", price or 0.0, _MOST_EUR_PER_KWH
    if plan.consumed is not None:
        for name in plan.consumed.__struct_fields__:
            yield f"consumed.{name}", getattr(plan.consumed, name), _MOST_KWH
    if plan.stored_value is not None:
        for step, values in enumerate(plan.stored_value.value_eur):
            for value in values:
                yield f"stored_value.value_eur[{step}]", value, _MOST_EUR


def _check_value_function(stored: StoredValue) -> None:
    grid = stored.soc_percent
    if len(grid) < 2 or any(upper <= lower for lower, upper in pairwise(grid)):
        raise PlanRefusedError("the charges of its value function do not rise")
    if not (all(math.isfinite(soc) for soc in grid) and grid[0] >= 0 and grid[-1] <= 100):
        raise PlanRefusedError("the charges of its value function are not within 0..100 %")
    if any(len(values) != len(grid) for values in stored.value_eur):
        raise PlanRefusedError("its value function has rows of the wrong length")
