"""What a lived home cost beside no battery, the two simple rules and perfect foresight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from hearth_core.messages import Target
from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.backtest.car import CarLife, read_sessions
from hearth_models.backtest.homes import RecordedHome
from hearth_models.backtest.life import Life, Lived
from hearth_models.backtest.market import lay
from hearth_models.battery import Battery
from hearth_models.ledger import bill_eur, live_night_timer, live_perfect_foresight, night_steps
from hearth_models.series import Recorded


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The same days under each policy, settled for stored energy; negative is an income [EUR]."""

    no_battery: float
    self_consumption: float
    night_timer: float
    perfect_foresight: float
    hearth: float
    plan_only: float
    """What the plan would have cost had it been followed on every day."""


class CarCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What charging adds to the bill, before the battery helps [EUR]."""

    sessions: int
    energy_kwh: float
    at_once: float
    cheapest_in_window: float
    hearth: float
    above_cheapest: float | None
    """Share by which Hearth's charging is dearer than the cheapest in the windows; None where that costs nothing."""


class Solving(msgspec.Struct, frozen=True, kw_only=True):
    """How long a plan took, scenarios included [ms]."""

    p50: float
    p99: float
    max: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A home's year."""

    home: str
    days: float
    cost_eur: Costs
    captured_of_oracle: float | None
    """Share of what perfect foresight saves against no battery that Hearth saved; None where it saves nothing."""
    captured_over_rule: float | None
    """Share of what perfect foresight saves against the self-consumption rule that Hearth saved."""
    rule_of_oracle: float | None
    """Share of what perfect foresight saves against no battery that the rule saved."""
    changes_per_day: float
    """How often the battery's order changed."""
    battery_cycles: float
    """Energy out of the cells over the usable capacity."""
    solve_ms: Solving
    days_on_plan: int
    load_skill: float | None
    pv_skill: float | None
    filled_steps: int
    """Steps that were not measured and lived with the mean of the days around."""
    timezone: str
    place_from: str
    prices_moved_days: int
    car: CarCosts | None = None
    plot: str | None = None


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture needs; arrays have one value a lived step."""

    life: Life
    hearth: Lived
    rule: Lived
    foresight_w: FloatArray


def backtest(
    home: RecordedHome,
    prices: Recorded,
    battery: Battery,
    tariff: Tariff,
    sessions: Path | None = None,
    user: str = "",
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Outcome, Year]:
    """Live a recorded home and reckon.

    Args:
        home: The recording.
        prices: Day-ahead prices [EUR/kWh].
        battery: The battery it is given.
        tariff: What it pays.
        sessions: Plug-ins of a car, see `read_sessions`.
        user: Whose plug-ins.
        progress: Told the share lived, 0..1.

    Raises:
        BacktestError: Too little is recorded, or prices are too few.
        ConfigError: The sessions cannot be read.
    """
    laid = lay(prices, home.load.start_s, home.load.end_s)
    life = Life.of(home, laid, battery, tariff)
    car = None
    house_w = life.net_w.copy()
    if sessions is not None:
        end_s = life.start_s + life.n_steps * life.step_s
        car = CarLife(read_sessions(sessions, life.start_s, end_s, user), life.start_s, life.step_s, life.n_steps)
    hearth, plan, rule = life.live(car, progress)
    net_w, step_s, market = life.net_w, life.step_s, life.market
    night = night_steps(life.start_s, step_s, life.n_steps, home.place.timezone)
    timer = live_night_timer(net_w, step_s, battery, life.start_wh, night)
    best = live_perfect_foresight(net_w, step_s, market, battery, life.start_wh, life.settle_eur_per_wh * 1000)
    rule_eur = life.settled_eur(rule.grid_w, float(rule.stored_wh[-1]))
    timer_eur = life.settled_eur(timer.grid_w, timer.stored_wh)
    costs = Costs(
        no_battery=bill_eur(net_w, market, step_s),
        self_consumption=rule_eur,
        night_timer=timer_eur,
        # who knows the future can also follow either rule: the grid of charges must not make foresight dearer
        perfect_foresight=min(life.settled_eur(best.grid_w, best.stored_wh), rule_eur, timer_eur),
        hearth=life.settled_eur(hearth.grid_w, float(hearth.stored_wh[-1])),
        plan_only=life.settled_eur(plan.grid_w, float(plan.stored_wh[-1])),
    )
    diary = life.diary
    cells_w = battery.cell_power_w(np.maximum(hearth.battery_w, 0.0))
    outcome = Outcome(
        home=home.name,
        days=round(life.days, 3),
        cost_eur=costs,
        captured_of_oracle=_share(costs.no_battery, costs.hearth, costs.perfect_foresight),
        captured_over_rule=_share(costs.self_consumption, costs.hearth, costs.perfect_foresight),
        rule_of_oracle=_share(costs.no_battery, costs.self_consumption, costs.perfect_foresight),
        changes_per_day=round(diary.changes / life.days, 2),
        battery_cycles=round(float(cells_w.sum()) * step_s / 3600 / (battery.max_wh - battery.min_wh), 1),
        solve_ms=_solving(diary.solve_ms),
        days_on_plan=diary.days_on_plan,
        load_skill=_mean(life.learner.skills[Target.LOAD]),
        pv_skill=_mean(life.learner.skills[Target.PV]),
        filled_steps=life.filled_steps,
        timezone=home.place.timezone,
        place_from=home.place_from,
        prices_moved_days=laid.moved_days,
        car=None if car is None else _car_costs(car, life, house_w),
    )
    return outcome, Year(life=life, hearth=hearth, rule=rule, foresight_w=best.grid_w)


def _car_costs(car: CarLife, life: Life, house_w: FloatArray) -> CarCosts:
    without_eur = bill_eur(house_w, life.market, life.step_s)

    def added_eur(charged_w: FloatArray) -> float:
        return round(bill_eur(house_w + charged_w, life.market, life.step_s) - without_eur, 4)

    cheapest, hearth = added_eur(car.cheapest_w(house_w, life.market)), added_eur(car.charged_w)
    return CarCosts(
        sessions=len(car.sessions),
        energy_kwh=round(float(car.charged_w.sum()) * life.step_s / 3.6e6, 2),
        at_once=added_eur(car.at_once_w()),
        cheapest_in_window=cheapest,
        hearth=hearth,
        above_cheapest=round(hearth / cheapest - 1, 4) if cheapest > 0 else None,
    )


def _share(worst_eur: float, own_eur: float, best_eur: float) -> float | None:
    gap = worst_eur - best_eur
    return round((worst_eur - own_eur) / gap, 4) if gap > 1e-6 else None


def _solving(times_ms: list[float]) -> Solving:
    p50, p99, most = np.percentile(times_ms, [50, 99, 100])
    return Solving(p50=round(float(p50), 2), p99=round(float(p99), 2), max=round(float(most), 2))


def _mean(values: list[float]) -> float | None:
    return round(float(np.mean(values)), 3) if values else None
