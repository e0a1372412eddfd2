"""From the worth of stored energy to what the battery may do now; cheap, for once a second.

With ``worth`` the value of one more kWh in the cells, and prices at the meter:

* covering the house pays while ``import * discharge efficiency - wear > worth``,
* taking the sun's surplus pays while ``worth * charge efficiency > export``,
* charging from the grid pays while ``worth * charge efficiency > import``,
* selling from the battery pays while ``export * discharge efficiency - wear > worth``.

The first two choose among the four modes that only react to the house's own surplus and load; the last two force a
power, so they must pay by a margin. The device closes the mode against its own meter, so no forecast error becomes a
watt.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from hearth_core.messages import Mode, Plan, Slot, StoredValue
from hearth_models.battery import Battery
from hearth_models.planning.words import cents

# A forced power must earn at least this much per kWh, or rounding and forecast noise would make it chatter.
FORCED_MARGIN_EUR_PER_KWH = 0.002
# Resting must pay by this much, or the battery just covers the house: ties then never flicker, and cost nothing.
REST_MARGIN_EUR_PER_KWH = 0.002
# The worth of a kWh is measured over this much charge up or down [share of capacity].
_STEP_PERCENT = 2.0
_FORCED_SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Order:
    """What the battery may do from now on: ``clip(net load, lowest, highest)``, + = discharge [W]."""

    mode: Mode
    lowest_w: float
    highest_w: float
    reason: str


class Worth(NamedTuple):
    """What stored energy is worth at one moment [EUR per kWh in the cells]."""

    one_more: float
    one_less: float


class Choice(NamedTuple):
    """A mode, and for forced modes the power [W]."""

    mode: Mode
    power_w: float


def interval(mode: Mode, power_w: float, battery: Battery) -> tuple[float, float]:
    """Return lowest and highest battery power of a mode, + = discharge [W].

    Args:
        mode: What the battery may do.
        power_w: For the two forced modes: how much at least [W].
        battery: Whose limits apply.
    """
    charge_w, discharge_w = -battery.max_charge_w, battery.max_discharge_w
    match mode:
        case Mode.SELF_CONSUMPTION:
            return charge_w, discharge_w
        case Mode.ABSORB_SURPLUS:
            return charge_w, 0.0
        case Mode.COVER_LOAD:
            return 0.0, discharge_w
        case Mode.HOLD:
            return 0.0, 0.0
        case Mode.CHARGE_FROM_GRID:
            return charge_w, -min(max(power_w, 0.0), battery.max_charge_w)
        case Mode.EXPORT:
            return min(max(power_w, 0.0), battery.max_discharge_w), discharge_w


def choose(worth: Worth, import_eur_per_kwh: float, export_eur_per_kwh: float, battery: Battery) -> Choice:
    """Choose the mode that earns most at the present worth of stored energy.

    Args:
        worth: Of one kWh more and one kWh less in the cells.
        import_eur_per_kwh: What a kWh from the grid costs now.
        export_eur_per_kwh: What a kWh fed in earns now.
        battery: Its efficiency and wear.
    """
    charge_w, charge_gain = _best_charge(worth.one_more, import_eur_per_kwh, battery)
    export_w, export_gain = _best_export(worth.one_less, export_eur_per_kwh, battery)
    if charge_w > 0 and charge_gain >= export_gain:
        return Choice(Mode.CHARGE_FROM_GRID, charge_w)
    if export_w > 0:
        return Choice(Mode.EXPORT, export_w)
    saved = import_eur_per_kwh * battery.efficiency - battery.wear_eur_per_kwh
    covers = saved > worth.one_less - REST_MARGIN_EUR_PER_KWH
    absorbs = worth.one_more * battery.efficiency > export_eur_per_kwh - REST_MARGIN_EUR_PER_KWH
    if covers and absorbs:
        return Choice(Mode.SELF_CONSUMPTION, 0.0)
    if absorbs:
        return Choice(Mode.ABSORB_SURPLUS, 0.0)
    return Choice(Mode.COVER_LOAD if covers else Mode.HOLD, 0.0)


def decide(plan: Plan, battery: Battery, at_s: float, soc_percent: float | None) -> Order | None:
    """Say what the battery may do now: by the value function first, by the slot's mode otherwise.

    Pure and deterministic: the same plan, instant and charge give the same order.

    Args:
        plan: The home's plan.
        battery: The home's battery.
        at_s: Now, seconds since 1970-01-01 UTC.
        soc_percent: Present state of charge; None when unknown.

    Returns:
        The order, or None when the plan does not cover the instant.
    """
    index = slot_index(plan, at_s)
    if index is None:
        return None
    slot = plan.slots[index]
    if soc_percent is None:
        return _order(Choice(Mode.SELF_CONSUMPTION, 0.0), battery, "covers the house itself: the charge is unknown")
    if plan.policy == "rule":
        reason = "covers the house itself: plain self-consumption earned more in the last weeks"
        return _order(Choice(Mode.SELF_CONSUMPTION, 0.0), battery, reason)
    if plan.policy == "modes" or plan.stored_value is None or index >= len(plan.stored_value.value_eur):
        return _order(Choice(slot.mode, slot.power_w), battery, slot.reason)
    worth = worth_at(plan.stored_value, index, soc_percent, battery)
    choice = choose(worth, slot.import_eur_per_kwh, slot.export_eur_per_kwh, battery)
    reason = slot.reason if choice.mode is slot.mode else explain(choice.mode, worth, slot)
    return _order(choice, battery, reason)


def slot_index(plan: Plan, at_s: float) -> int | None:
    """Return which slot covers an instant, or None."""
    at_ms = at_s * 1000
    if not plan.valid_from_ms <= at_ms < plan.valid_until_ms:
        return None
    index = int((at_ms - plan.slots[0].start_ms) // (plan.step_s * 1000))
    return index if 0 <= index < len(plan.slots) else None


def worth_at(stored: StoredValue, index: int, soc_percent: float, battery: Battery) -> Worth:
    """Return the worth of one kWh more and less in the cells, by the value at the end of a step.

    Args:
        stored: The value function.
        index: Which step.
        soc_percent: Present state of charge.
        battery: Its capacity turns percent into kWh.
    """
    grid, values = stored.soc_percent, stored.value_eur[index]
    # at an edge of the band the slope just inside counts: there is nothing beyond it
    upper = min(max(soc_percent, grid[0]), grid[-1] - _STEP_PERCENT)
    lower = min(max(soc_percent, grid[0] + _STEP_PERCENT), grid[-1])
    kwh = battery.capacity_wh * _STEP_PERCENT / 100_000
    one_more = (_interpolate(grid, values, upper + _STEP_PERCENT) - _interpolate(grid, values, upper)) / kwh
    one_less = (_interpolate(grid, values, lower) - _interpolate(grid, values, lower - _STEP_PERCENT)) / kwh
    return Worth(one_more, one_less)


def explain(mode: Mode, worth: Worth, slot: Slot) -> str:
    """Say in plain words why a mode was chosen that the plan did not expect."""
    buys, sells = cents(slot.import_eur_per_kwh), cents(slot.export_eur_per_kwh)
    more, less = cents(worth.one_more), cents(worth.one_less)
    match mode:
        case Mode.SELF_CONSUMPTION:
            return f"covers the house and stores surplus: grid power costs {buys}, feed-in earns {sells}"
        case Mode.ABSORB_SURPLUS:
            return f"keeps what is stored: it will be worth {less} later, grid power costs {buys} now"
        case Mode.COVER_LOAD:
            return f"covers the house and sells surplus at {sells}: storing more would be worth {more}"
        case Mode.HOLD:
            return f"rests: stored power is worth {less} later, grid power costs {buys}, feed-in earns {sells}"
        case Mode.CHARGE_FROM_GRID:
            return f"charges from the grid at {buys}: it will be worth {more} later"
        case Mode.EXPORT:
            return f"sells stored power at {sells}: keeping it would be worth {less}"


def _best_charge(one_more: float, import_eur_per_kwh: float, battery: Battery) -> tuple[float, float]:
    """Return the charging power that earns most per hour, and its gain per kWh; 0 when none pays."""
    best_w, best_eur, best_gain = 0.0, 0.0, 0.0
    for share in _FORCED_SHARES:
        power_w = battery.max_charge_w * share
        gain = -battery.cell_power_w(-power_w) / power_w * one_more - import_eur_per_kwh
        if gain > FORCED_MARGIN_EUR_PER_KWH and gain * power_w > best_eur:
            best_w, best_eur, best_gain = power_w, gain * power_w, gain
    return best_w, best_gain


def _best_export(one_less: float, export_eur_per_kwh: float, battery: Battery) -> tuple[float, float]:
    """Return the selling power that earns most per hour, and its gain per kWh; 0 when none pays.

    Nothing is ever sold at a loss to make room: the expectation that would justify it may be wrong, the loss is sure.
    """
    best_w, best_eur, best_gain = 0.0, 0.0, 0.0
    if export_eur_per_kwh <= 0:
        return best_w, best_gain
    for share in _FORCED_SHARES:
        power_w = battery.max_discharge_w * share
        drawn = battery.cell_power_w(power_w) / power_w
        gain = export_eur_per_kwh - drawn * (one_less + battery.wear_eur_per_kwh)
        if gain > FORCED_MARGIN_EUR_PER_KWH and gain * power_w > best_eur:
            best_w, best_eur, best_gain = power_w, gain * power_w, gain
    return best_w, best_gain


def _interpolate(grid: list[float], values: list[float], at: float) -> float:
    if at <= grid[0]:
        return values[0]
    if at >= grid[-1]:
        return values[-1]
    right = bisect_right(grid, at)
    share = (at - grid[right - 1]) / (grid[right] - grid[right - 1])
    return values[right - 1] + share * (values[right] - values[right - 1])


def _order(choice: Choice, battery: Battery, reason: str) -> Order:
    lowest_w, highest_w = interval(choice.mode, choice.power_w, battery)
    return Order(choice.mode, lowest_w, highest_w, reason)
