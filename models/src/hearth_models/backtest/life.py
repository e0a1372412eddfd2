"""One recorded home lived from its first to its last day: learn, forecast, plan, decide.

Plan and rule are both lived in the shadow, and each day Hearth follows the one that earned more in the last weeks:
that is what keeps it from falling below the rule. What the planner is shown ends where the present begins; what is
lived (gaps filled from the days around) is never shown to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hearth_core.messages import Mode, Target
from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.backtest.car import CarLife
from hearth_models.backtest.homes import RecordedHome
from hearth_models.backtest.learner import Learner
from hearth_models.backtest.market import BacktestError, Laid, filled, joined, published_until_s
from hearth_models.battery import Battery
from hearth_models.ledger import Policy, bill_eur, choose_policy
from hearth_models.planning.course import worth_of
from hearth_models.planning.inputs import extend_prices
from hearth_models.planning.policy import Choice, choose, interval
from hearth_models.planning.scenarios import PAST_DAYS, net_scenarios
from hearth_models.planning.value import Market, ValueFunction, solve
from hearth_models.tariffs import prices as tariff_prices

_DAY_S, _HOUR_S = 86_400, 3600
_HORIZON_S = 48 * _HOUR_S
_PLAN_EVERY_S = 3600
# A plan's steps: those of the market, but no shorter and no longer than these.
_SHORTEST_STEP_S, _LONGEST_STEP_S = 900, 3600
# The controller decides at least so often.
_PIECE_S = 900
_MEMORY_DAYS = 28
_PRICE_DAYS = 7


@dataclass(frozen=True)
class Lived:
    """What a policy did: grid power of each step, shape (n_steps,) [W], and charge at the end of each [Wh]."""

    grid_w: FloatArray
    stored_wh: FloatArray
    battery_w: FloatArray


@dataclass
class Diary:
    """What happened on the way."""

    daily_plan_eur: list[float] = field(default_factory=list)
    """Settled cost of each whole day under the plan, as `choose_policy` wants it."""
    daily_rule_eur: list[float] = field(default_factory=list)
    days_on_plan: int = 0
    changes: int = 0
    """How often the battery's order changed."""
    solve_ms: list[float] = field(default_factory=list)


@dataclass
class Life:
    """A recording on one grid of time, and what Hearth has learned so far."""

    home: RecordedHome
    battery: Battery
    tariff: Tariff
    start_s: float
    step_s: int
    plan_step_s: int
    known_net_w: FloatArray
    """On the plan's steps, NaN where nothing was measured."""
    learner: Learner
    spot: FloatArray
    """Of each step of the plan, also beyond the end as far as prices are there, NaN where missing [EUR/kWh]."""
    net_w: FloatArray
    """What really happened, of each step that is lived."""
    market: Market
    filled_steps: int
    diary: Diary = field(default_factory=Diary)

    @classmethod
    def of(cls, home: RecordedHome, laid: Laid, battery: Battery, tariff: Tariff) -> Life:
        """Bring a recording and prices to one grid.

        Raises:
            BacktestError: Less than a day is recorded, or prices are missing.
        """
        prices = laid.prices
        recorded_s = home.load.step_s
        plan_step_s = min(max(prices.step_s, recorded_s, _SHORTEST_STEP_S), _LONGEST_STEP_S)
        step_s = min(recorded_s, prices.step_s)
        present = np.flatnonzero(np.isfinite(home.load.values))
        if not len(present):
            raise BacktestError(f"{home.name}: load_w: no value is recorded")
        begin_s = -(-max(home.load.start_s + present[0] * recorded_s, laid.from_s) // _HOUR_S) * _HOUR_S
        until_s = min(home.load.start_s + (present[-1] + 1) * recorded_s, laid.until_s)
        hours = int((until_s - begin_s) // _HOUR_S)
        if hours < 24:
            raise BacktestError(f"{home.name}: load_w: {hours} h have load and prices; at least a day is needed")
        n_steps = hours * _HOUR_S // step_s
        load_w = home.load.on_grid(begin_s, step_s, n_steps)
        pv_w = np.zeros(n_steps) if home.pv is None else home.pv.on_grid(begin_s, step_s, n_steps)
        join = plan_step_s // step_s
        ahead = _HORIZON_S // plan_step_s
        at_s = begin_s + plan_step_s * np.arange(n_steps // join + ahead, dtype=np.float64)
        spot = joined(prices.on_grid(begin_s, step_s, len(at_s) * join), join)
        lived_spot = prices.on_grid(begin_s, step_s, n_steps)
        if np.isnan(lived_spot).mean() > 0.02:
            raise BacktestError(f"{home.name}: prices: {np.isnan(lived_spot).mean():.0%} of the span are missing")
        lived_at_s = begin_s + step_s * np.arange(n_steps, dtype=np.float64)
        buy, sell = tariff_prices(tariff, lived_at_s, filled(lived_spot, step_s), home.place.timezone)
        known = {Target.LOAD: joined(load_w, join), Target.PV: joined(pv_w, join)}
        return cls(
            home,
            battery,
            tariff,
            begin_s,
            step_s,
            plan_step_s,
            joined(load_w - pv_w, join),
            Learner(home, begin_s, plan_step_s, known),
            spot,
            filled(load_w - pv_w, step_s),
            Market(buy, sell),
            int(np.isnan(load_w - pv_w).sum()),
        )

    @property
    def n_steps(self) -> int:
        """How many steps are lived."""
        return len(self.net_w)

    @property
    def days(self) -> float:
        """How long [d]."""
        return self.n_steps * self.step_s / _DAY_S

    @property
    def start_wh(self) -> float:
        """Charge at the start, of every policy [Wh]."""
        return (self.battery.min_wh + self.battery.max_wh) / 2

    @property
    def settle_eur_per_wh(self) -> float:
        """Constant price of stored energy: what the average price leaves after discharging [EUR/Wh]."""
        mean = float(np.mean(self.market.import_eur_per_kwh + self.market.export_eur_per_kwh)) / 2
        return max(mean, 0.0) * self.battery.efficiency / 1000

    def settled_eur(self, grid_w: FloatArray, stored_wh: float) -> float:
        """Return what a policy cost, with what it left in store."""
        return bill_eur(grid_w, self.market, self.step_s) - (stored_wh - self.start_wh) * self.settle_eur_per_wh

    def live(self, car: CarLife | None, progress: Callable[[float], None]) -> tuple[Lived, Lived, Lived]:
        """Live the home; return Hearth, the plan followed on every day, and the rule.

        Args:
            car: Its car, whose charging is added to the net load that is lived; None when there is none.
            progress: Told the share lived, 0..1.
        """
        n, per_day, join = self.n_steps, _DAY_S // self.step_s, self.plan_step_s // self.step_s
        every = max(join, _PLAN_EVERY_S // self.step_s)
        names = ("hearth", "plan", "rule")
        wh = dict.fromkeys(names, self.start_wh)
        lived = {name: Lived(np.empty(n), np.empty(n), np.empty(n)) for name in names}
        policy: Policy = "value_function"
        value: ValueFunction | None = None
        issued, order = 0, Choice(Mode.SELF_CONSUMPTION, 0.0)
        for step in range(n):
            if step % per_day == 0:
                policy = self._judge(step, lived)
                self.learner.learn(step // per_day)
                progress(step / n)
            if step % every == 0:
                value, issued = self._plan(step, car), step
            if car is not None:
                self.net_w[step] += car.power_w(step)
            for name in names:
                planned = value if name == "plan" or (name == "hearth" and policy == "value_function") else None
                row = (step - issued) // join + 1
                battery_w, wh[name], last = self._act(step, planned, row, wh[name])
                if name == "hearth" and last != order:
                    order = last
                    self.diary.changes += 1
                lived[name].battery_w[step], lived[name].stored_wh[step] = battery_w, wh[name]
                lived[name].grid_w[step] = self.net_w[step] - battery_w
        progress(1.0)
        return lived["hearth"], lived["plan"], lived["rule"]

    def _judge(self, step: int, lived: dict[str, Lived]) -> Policy:
        """Reckon the day that is over and choose what the next one follows."""
        per_day = _DAY_S // self.step_s
        policy: Policy = "value_function"
        if step:
            day = slice(step - per_day, step)
            market = Market(self.market.import_eur_per_kwh[day], self.market.export_eur_per_kwh[day])
            for name, daily in (("plan", self.diary.daily_plan_eur), ("rule", self.diary.daily_rule_eur)):
                one = lived[name]
                before_wh = one.stored_wh[step - per_day - 1] if step > per_day else self.start_wh
                gained_wh = one.stored_wh[step - 1] - before_wh
                daily.append(bill_eur(one.grid_w[day], market, self.step_s) - gained_wh * self.settle_eur_per_wh)
            # the first day is not judged: nobody knew the home
            plan, rule = (
                np.array(daily[1:][-_MEMORY_DAYS:]) for daily in (self.diary.daily_plan_eur, self.diary.daily_rule_eur)
            )
            policy = choose_policy(plan, rule)
        self.diary.days_on_plan += policy == "value_function"
        return policy

    def _plan(self, step: int, car: CarLife | None) -> ValueFunction:
        """Plan with what is known at the start of a step."""
        here = step * self.step_s // self.plan_step_s
        n = _HORIZON_S // self.plan_step_s
        market = self._known_market(here, n)
        load, pv = (self.learner.forecast(target, here, n) for target in (Target.LOAD, Target.PV))
        began = time.perf_counter()
        oldest = max(0, here - PAST_DAYS * _DAY_S // self.plan_step_s)
        scenarios = net_scenarios(load, pv, self.known_net_w[oldest:here])
        if car is not None:
            car.plan(step, load.mean_w, pv.mean_w, market, self.plan_step_s)
            scenarios = scenarios + car.planned_w(step, self.plan_step_s // self.step_s, n)
        value = solve(scenarios, market, self.battery, self.plan_step_s)
        self.diary.solve_ms.append((time.perf_counter() - began) * 1000)
        return value

    def _known_market(self, here: int, n: int) -> Market:
        step_s, now_s = self.plan_step_s, self.start_s + here * self.plan_step_s
        back = min(here, _PRICE_DAYS * _DAY_S // step_s)
        published = here + max(1, round((published_until_s(now_s) - now_s) / step_s))
        spot = extend_prices(self.spot[here - back : published], now_s - back * step_s, step_s, back + n)[back:]
        at_s = now_s + step_s * np.arange(n, dtype=np.float64)
        return Market(*tariff_prices(self.tariff, at_s, spot, self.home.place.timezone))

    def _act(self, step: int, value: ValueFunction | None, row: int, stored_wh: float) -> tuple[float, float, Choice]:
        """Let the controller steer the battery for one step; without a plan it lives by the rule."""
        net_w, battery = float(self.net_w[step]), self.battery
        buys, sells = float(self.market.import_eur_per_kwh[step]), float(self.market.export_eur_per_kwh[step])
        pieces = max(1, self.step_s // _PIECE_S)
        total_w, choice = 0.0, Choice(Mode.SELF_CONSUMPTION, 0.0)
        for _ in range(pieces):
            if value is not None:
                choice = choose(worth_of(value, row, stored_wh, battery), buys, sells, battery, net_w)
            lowest_w, highest_w = interval(choice.mode, choice.power_w, battery)
            asked_w = min(max(net_w, lowest_w), highest_w)
            stored_wh, delivered_w = battery.run(stored_wh, asked_w, self.step_s / pieces)
            total_w += delivered_w / pieces
        return total_w, stored_wh, choice
