"""From the worth of stored energy to what the battery may do now; cheap, for once a second.

With ``worth`` the value of one more kWh in the cells, and prices at the meter:

* covering the house pays while ``import * discharge efficiency - wear > worth``,
* taking the sun's surplus pays while ``worth * charge efficiency > export``,
* charging from the grid pays while ``worth * charge efficiency > import``,
* selling from the battery pays while ``export * discharge efficiency - wear > worth``.

The first two choose among the four modes that only react to the house's own surplus and load; the last two force a
power, so they must pay by a margin. Efficiency is that of the power in question: covering a very small load costs more
than it saves. The device closes the mode against its own meter, so no forecast error becomes a watt.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from hearth_core.messages import Mode, Plan, Slot, StoredValue
from hearth_models.battery import Battery
from hearth_models.planning.words import cents

# What is not plain self-consumption must pay by this share of the present price: rounding and forecast noise would make
# the battery chatter otherwise. A share, because a market's price is a tenth of a household's.
MARGIN_SHARE = 0.01
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


def choose(
    worth: Worth, import_eur_per_kwh: float, export_eur_per_kwh: float, battery: Battery, net_w: float | None = None
) -> Choice:
    """Choose the mode that earns most at the present worth of stored energy.

    Args:
        worth: Of one kWh more and one kWh less in the cells.
        import_eur_per_kwh: What a kWh from the grid costs now.
        export_eur_per_kwh: What a kWh fed in earns now.
        battery: Its efficiency and wear.
        net_w: Present load minus PV [W]; None when unknown, then usual powers are judged.
    """
    prices = import_eur_per_kwh, export_eur_per_kwh
    margin = MARGIN_SHARE * max(abs(import_eur_per_kwh), abs(export_eur_per_kwh))
    charge_w, charge_gain = _best_charge(worth.one_more, prices, battery, net_w or 0.0, margin)
    export_w, export_gain = _best_export(worth.one_less, prices, battery, net_w or 0.0, margin)
    if charge_w > 0 and charge_gain >= export_gain:
        return Choice(Mode.CHARGE_FROM_GRID, charge_w)
    if export_w > 0:
        return Choice(Mode.EXPORT, export_w)
    out, into = _efficiencies(battery, net_w)
    covers = import_eur_per_kwh * out - battery.wear_eur_per_kwh > worth.one_less - margin
    absorbs = worth.one_more * into > export_eur_per_kwh - margin
    if covers and absorbs:
        return Choice(Mode.SELF_CONSUMPTION, 0.0)
    if absorbs:
        return Choice(Mode.ABSORB_SURPLUS, 0.0)
    return Choice(Mode.COVER_LOAD if covers else Mode.HOLD, 0.0)


def decide(
    plan: Plan, battery: Battery, at_s: float, soc_percent: float | None, net_w: float | None = None
) -> Order | None:
    """Say what the battery may do now: by the value function first, by the slot's mode otherwise.

    Pure and deterministic: the same plan, instant and charge give the same order.

    Args:
        plan: The home's plan.
        battery: The home's battery.
        at_s: Now, seconds since 1970-01-01 UTC.
        soc_percent: Present state of charge; None when unknown.
        net_w: Present load minus PV [W]; None when unknown.

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
    choice = choose(worth, slot.import_eur_per_kwh, slot.export_eur_per_kwh, battery, net_w)
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


def _best_charge(
    one_more: float, prices: tuple[float, float], battery: Battery, net_w: float, margin: float
) -> tuple[float, float]:
    """Return the charging power that earns most per hour, and its gain per kWh beyond what the surplus gives.

    It is 0 when none pays.
    """
    best_w, best_eur, best_gain = 0.0, 0.0, 0.0
    surplus_w = min(max(-net_w, 0.0), battery.max_charge_w)
    taken = -battery.cell_power_w(-surplus_w)
    for share in _FORCED_SHARES:
        power_w = battery.max_charge_w * share
        if power_w <= surplus_w:
            continue
        stored = (-battery.cell_power_w(-power_w) - taken) / (power_w - surplus_w)
        gain = stored * one_more - prices[0]
        if gain > margin and gain * (power_w - surplus_w) > best_eur:
            best_w, best_eur, best_gain = power_w, gain * (power_w - surplus_w), gain
    return best_w, best_gain


def _best_export(
    one_less: float, prices: tuple[float, float], battery: Battery, net_w: float, margin: float
) -> tuple[float, float]:
    """Return the selling power that earns most per hour, and its gain per kWh beyond what the load takes; 0 for none.

    Nothing is ever sold at a loss to make room: the expectation that would justify it may be wrong, the loss is sure.
    """
    best_w, best_eur, best_gain = 0.0, 0.0, 0.0
    if prices[1] <= 0:
        return best_w, best_gain
    load_w = min(max(net_w, 0.0), battery.max_discharge_w)
    given = battery.cell_power_w(load_w)
    for share in _FORCED_SHARES:
        power_w = battery.max_discharge_w * share
        if power_w <= load_w:
            continue
        drawn = (battery.cell_power_w(power_w) - given) / (power_w - load_w)
        gain = prices[1] - drawn * (one_less + battery.wear_eur_per_kwh)
        if gain > margin and gain * (power_w - load_w) > best_eur:
            best_w, best_eur, best_gain = power_w, gain * (power_w - load_w), gain
    return best_w, best_gain


def _efficiencies(battery: Battery, net_w: float | None) -> tuple[float, float]:
    """Return the efficiency of covering the present load, and of taking the present surplus."""
    if not net_w:
        return battery.efficiency, battery.efficiency
    if net_w > 0:
        return battery.discharge_efficiency(min(net_w, battery.max_discharge_w)), battery.efficiency
    return battery.efficiency, battery.charge_efficiency(min(-net_w, battery.max_charge_w))


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
