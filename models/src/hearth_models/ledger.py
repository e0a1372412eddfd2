"""What a day cost, beside what it would have cost without a battery, by simple rules, and with perfect foresight.

All policies start with the same charge, live the same recorded load and PV with the same battery model, and pay the
same prices. What a policy leaves in (or takes out of) the battery is settled with ONE constant price per stored kWh,
the same for every policy and every day: so the settled costs of consecutive days add up to the settled cost of the
whole span, and a day is not rich because it emptied the battery. Costs are money at the meter; wear is a planner's
worry and not in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hearth_core.errors import PermanentError
from hearth_models.arrays import BoolArray, FloatArray
from hearth_models.battery import Battery
from hearth_models.features import utc_offsets_s
from hearth_models.planning.value import Market, ValueFunction, solve

STORED_EUR_PER_KWH = 0.15
"""Price at which stored energy is settled when the caller gives none: between usual feed-in and import prices."""
NIGHT_START_H, NIGHT_END_H = 2, 5
Policy = Literal["value_function", "rule"]
"""What `hearth_core.messages.Plan.policy` may say after a look at the ledger."""
# A policy must have shown itself for so long before it is judged.
_JUDGE_AFTER_DAYS = 7
_HOUR_S = 3600
_DAY_S = 86_400
# Perfect foresight is planned on steps no longer and no shorter than these and lived on the data's own.
_LONGEST_PIECE_S = 900
_SHORTEST_PLAN_S = 300
_FORESIGHT_POINTS = 81
_TRIED_SHARES = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


class LedgerError(PermanentError):
    """A day that cannot be reckoned; names the field."""


@dataclass(frozen=True)
class DayCosts:
    """Costs of the same day, settled for stored energy; negative is an income [EUR]."""

    realised_eur: float
    no_battery_eur: float
    self_consumption_eur: float
    night_timer_eur: float
    perfect_foresight_eur: float

    @property
    def regret_eur(self) -> float:
        """What perfect foresight would have saved beyond what was realised [EUR]."""
        return self.realised_eur - self.perfect_foresight_eur

    @property
    def saved_eur(self) -> float:
        """What the battery and its control saved [EUR]."""
        return self.no_battery_eur - self.realised_eur


@dataclass(frozen=True)
class Lived:
    """What a policy did with recorded net load: grid power of each step [W] and charge at the end [Wh]."""

    grid_w: FloatArray
    stored_wh: float


def day_costs(
    step_s: int,
    load_w: FloatArray,
    pv_w: FloatArray,
    import_wh: FloatArray,
    export_wh: FloatArray,
    import_eur_per_kwh: FloatArray,
    export_eur_per_kwh: FloatArray,
    battery: Battery | None,
    start_soc_percent: float,
    end_soc_percent: float,
    *,
    night: BoolArray | None = None,
    stored_eur_per_kwh: float = STORED_EUR_PER_KWH,
) -> DayCosts:
    """Reckon a day (or any other span); all arrays have one value a step, shape (n,).

    Args:
        step_s: Length of a step, 10 s to an hour.
        load_w: Load of the whole house.
        pv_w: PV power.
        import_wh: Metered energy from the grid; what was realised is reckoned from it.
        export_wh: Metered energy into the grid.
        import_eur_per_kwh: Price of a kWh from the grid.
        export_eur_per_kwh: Payment for a kWh fed in.
        battery: Its physics; None when the home has none.
        start_soc_percent: Charge at the start, where all policies start.
        end_soc_percent: Charge at the end, of the realised one.
        night: In which steps the night timer charges; by default 02:00-05:00 after the first step, which is right when
            the span begins at local midnight (`night_steps` knows the clock).
        stored_eur_per_kwh: Price at which stored energy is settled; keep it the same for all days of a home.

    Raises:
        LedgerError: An array has another length or holds values that are no numbers; the field is named.
    """
    named = {
        "load_w": load_w,
        "pv_w": pv_w,
        "import_wh": import_wh,
        "export_wh": export_wh,
        "import_eur_per_kwh": import_eur_per_kwh,
        "export_eur_per_kwh": export_eur_per_kwh,
    }
    for name, values in named.items():
        if values.shape != load_w.shape or values.ndim != 1 or not len(values):
            raise LedgerError(f"{name}: shape {values.shape} must be that of load_w and not empty")
        if not np.isfinite(values).all():
            raise LedgerError(f"{name}: value {int(np.flatnonzero(~np.isfinite(values))[0])} is not a number")
    market = Market(import_eur_per_kwh, export_eur_per_kwh)
    realised = float(import_wh @ import_eur_per_kwh - export_wh @ export_eur_per_kwh) / 1000
    net_w = load_w - pv_w
    no_battery = bill_eur(net_w, market, step_s)
    if battery is None:
        return DayCosts(realised, no_battery, no_battery, no_battery, no_battery)
    start_wh = battery.stored_wh(start_soc_percent)
    realised -= (battery.stored_wh(end_soc_percent) - start_wh) / 1000 * stored_eur_per_kwh
    charging = _after_midnight(len(net_w), step_s) if night is None else night
    rule = live_rule(net_w, step_s, battery, start_wh)
    timer = live_night_timer(net_w, step_s, battery, start_wh, charging)
    best = live_perfect_foresight(net_w, step_s, market, battery, start_wh, stored_eur_per_kwh)

    def settled(lived: Lived) -> float:
        return bill_eur(lived.grid_w, market, step_s) - (lived.stored_wh - start_wh) / 1000 * stored_eur_per_kwh

    rule_eur, timer_eur = settled(rule), settled(timer)
    # who knows the future can also follow either rule: the grid of charges must not make foresight dearer than that
    foresight_eur = min(settled(best), rule_eur, timer_eur)
    return DayCosts(realised, no_battery, rule_eur, timer_eur, foresight_eur)


def choose_policy(planned_eur: FloatArray, rule_eur: FloatArray) -> Policy:
    """Choose what a home follows from the recent daily costs of both policies.

    Args:
        planned_eur: Settled cost of each of the last days under the plan, oldest first, NaN where unknown.
        rule_eur: The same under the self-consumption rule.

    Returns:
        ``rule`` when the plan earned less over the days both are known for, and by more than chance may take (half a
        standard error); otherwise ``value_function``, the better guess: where it earned more over a year, single
        months still went to the rule.
    """
    gained = rule_eur - planned_eur
    gained = gained[np.isfinite(gained)]
    if len(gained) < _JUDGE_AFTER_DAYS:
        return "value_function"
    by_chance = 0.5 * float(gained.std()) / len(gained) ** 0.5
    return "rule" if float(gained.mean()) < -by_chance else "value_function"


def bill_eur(grid_w: FloatArray, market: Market, step_s: int) -> float:
    """Return what the grid power of a span costs [EUR]."""
    return float(market.cost_eur(grid_w, np.full(len(grid_w), step_s / _HOUR_S)).sum())


def night_steps(start_s: float, step_s: int, n_steps: int, timezone: str) -> BoolArray:
    """Return in which steps a night timer charges: those that begin within 02:00-05:00 local time."""
    at_s = start_s + step_s * np.arange(n_steps, dtype=np.float64)
    local_h = (at_s + utc_offsets_s(at_s, timezone)) % _DAY_S / _HOUR_S
    night: BoolArray = (local_h >= NIGHT_START_H) & (local_h < NIGHT_END_H)
    return night


def live_rule(net_w: FloatArray, step_s: int, battery: Battery, stored_wh: float) -> Lived:
    """Live the inverter's own self-consumption: cover the load, absorb the surplus."""
    return _live(net_w, step_s, battery, stored_wh, np.zeros(len(net_w), dtype=np.bool_))


def live_night_timer(net_w: FloatArray, step_s: int, battery: Battery, stored_wh: float, night: BoolArray) -> Lived:
    """Live a fixed timer: charge from the grid to full at night, otherwise self-consumption."""
    return _live(net_w, step_s, battery, stored_wh, night)


def live_perfect_foresight(
    net_w: FloatArray, step_s: int, market: Market, battery: Battery, stored_wh: float, stored_eur_per_kwh: float
) -> Lived:
    """Live the cheapest course, knowing everything.

    Its value function comes from dynamic programming on steps of 5 to 15 min; each step of the data then takes the best
    of covering its net load, resting and forced powers, so the grid of charges costs little.
    """
    plain = Battery(**{**battery.__dict__, "wear_eur_per_kwh": 0.0}) if battery.wear_eur_per_kwh else battery
    join = max(1, _SHORTEST_PLAN_S // step_s)
    pieces = _pieces(step_s)
    planned_net_w = np.repeat(_joined(net_w, join), pieces)
    planned = Market(
        np.repeat(_joined(market.import_eur_per_kwh, join), pieces),
        np.repeat(_joined(market.export_eur_per_kwh, join), pieces),
    )
    grid = np.linspace(plain.min_wh, plain.max_wh, _FORESIGHT_POINTS)
    terminal_eur = (grid - grid[0]) / 1000 * stored_eur_per_kwh
    plan_s = step_s * join // pieces
    value = foresight_value(planned_net_w, planned, plain, plan_s, terminal_eur)
    tried_w = np.concatenate([[0.0], -plain.max_charge_w * _TRIED_SHARES, plain.max_discharge_w * _TRIED_SHARES])
    grid_w = np.empty(len(net_w))
    piece_s = step_s / pieces
    for step in range(len(net_w)):
        total_w = 0.0
        for piece in range(pieces):
            row = min(step // join * pieces + piece + 1, len(value.value_eur) - 1)
            prices = float(market.import_eur_per_kwh[step]), float(market.export_eur_per_kwh[step])
            net = float(net_w[step])
            stored_wh, delivered_w = _best_step(net, prices, value, row, plain, stored_wh, tried_w, piece_s)
            total_w += net - delivered_w
        grid_w[step] = total_w / pieces
    return Lived(grid_w, stored_wh)


def foresight_value(
    net_w: FloatArray, market: Market, battery: Battery, step_s: int, terminal_eur: FloatArray
) -> ValueFunction:
    """Return the value function of a certain future, solved in stretches so that a year fits into memory."""
    stretch = 2 * _DAY_S // step_s
    end = terminal_eur
    rows: list[FloatArray] = []
    first_of_last = (len(net_w) - 1) // stretch * stretch
    for first in range(first_of_last, -1, -stretch):
        part = slice(first, first + stretch)
        piece = Market(market.import_eur_per_kwh[part], market.export_eur_per_kwh[part])
        net = net_w[None, part]
        value = solve(net, piece, battery, step_s, grid_points=_FORESIGHT_POINTS, terminal_eur=end)
        end = value.value_eur[0]
        rows.insert(0, value.value_eur if first == first_of_last else value.value_eur[:-1])
    return ValueFunction(value.stored_wh, np.concatenate(rows))


def _best_step(
    net_w: float,
    prices: tuple[float, float],
    value: ValueFunction,
    row: int,
    battery: Battery,
    stored_wh: float,
    tried_w: FloatArray,
    duration_s: float,
) -> tuple[float, float]:
    power_w = np.append(tried_w, net_w)
    after_wh, delivered_w = battery.run(np.full(len(power_w), stored_wh), power_w, duration_s)
    grid_w = net_w - delivered_w
    cost = np.where(grid_w > 0, grid_w * prices[0], grid_w * prices[1]) * duration_s / 3.6e6
    best = int(np.argmax(np.interp(after_wh, value.stored_wh, value.value_eur[row]) - cost))
    return float(after_wh[best]), float(delivered_w[best])


def _live(net_w: FloatArray, step_s: int, battery: Battery, stored_wh: float, charging: BoolArray) -> Lived:
    pieces = _pieces(step_s)
    piece_s = step_s / pieces
    grid_w = []
    for net, forced in zip(net_w.tolist(), charging.tolist(), strict=True):
        total_w = 0.0
        for _ in range(pieces):
            stored_wh, delivered_w = battery.run(stored_wh, -battery.max_charge_w if forced else net, piece_s)
            total_w += net - delivered_w
        grid_w.append(total_w / pieces)
    return Lived(np.array(grid_w), stored_wh)


def _pieces(step_s: int) -> int:
    return max(1, -(-step_s // _LONGEST_PIECE_S))


def _joined(values: FloatArray, join: int) -> FloatArray:
    """Return means of ``join`` neighbours; the last group may be shorter."""
    if join == 1:
        return values
    starts = np.arange(0, len(values), join)
    sizes = np.diff(np.append(starts, len(values)))
    means: FloatArray = np.add.reduceat(values, starts) / sizes
    return means


def _after_midnight(n_steps: int, step_s: int) -> BoolArray:
    hour = np.arange(n_steps) * step_s % _DAY_S / _HOUR_S
    night: BoolArray = (hour >= NIGHT_START_H) & (hour < NIGHT_END_H)
    return night
