"""A recorded home lived once more, with only the past known at every moment: is planning worth anything here?

Training, forecasts, plans and decisions are the real ones. Day-ahead prices become known at 12:45 Brussels time the day
before. Beside Hearth, four policies live the same days with the same battery: none, the self-consumption rule, a night
timer, and perfect foresight. Plan and rule are both lived in the shadow, and each day Hearth follows the one that
earned more in the last weeks: that is what keeps it from falling below the rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.messages import Plan, Target
from hearth_core.site import Limits
from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.features import Place
from hearth_models.forecasting import History, OnnxForecaster, Quantiles, seasonal_naive
from hearth_models.ledger import (
    Policy,
    bill_eur,
    choose_policy,
    live_night_timer,
    live_perfect_foresight,
    live_rule,
    night_steps,
)
from hearth_models.planning.inputs import PlanInputs, extend_prices
from hearth_models.planning.plan import make_plan
from hearth_models.planning.policy import decide
from hearth_models.planning.scenarios import PAST_DAYS
from hearth_models.planning.value import Market
from hearth_models.series import Recorded
from hearth_models.tariffs import prices as prices_of
from hearth_models.training import TrainingError, train

HORIZON_S = 48 * 3600
_DAY_S = 86_400
_PIECE_S = 900
_PLAN_EVERY_S = 3600
_MEMORY_DAYS = 28
_RETRAIN_DAYS = 28
_TRAIN_AFTER_DAYS = 14
_HISTORY_DAYS = 16
_PRICE_DAYS = 7
_MARKET_ZONE = ZoneInfo("Europe/Brussels")


class ReplayError(PermanentError):
    """A recording that cannot be lived."""


@dataclass(frozen=True)
class Home:
    """A recorded home and what it is assumed to have."""

    load: Recorded
    pv: Recorded
    place: Place
    battery: Battery
    tariff: Tariff
    limits: Limits = field(default_factory=lambda: Limits(main_fuse_a=35))


@dataclass(frozen=True)
class ReplayResult:
    """Costs of the same span under each policy, settled for stored energy [EUR], and how Hearth came to its own."""

    days: float
    no_battery_eur: float
    self_consumption_eur: float
    night_timer_eur: float
    perfect_foresight_eur: float
    hearth_eur: float
    planner_only_eur: float
    """What the plan would have cost had it been followed on every day."""
    days_on_plan: int
    filled_steps: int
    load_skill: float
    pv_skill: float
    daily_planned_eur: list[float]
    """Settled cost of each whole day under the plan, as `choose_policy` wants it."""
    daily_rule_eur: list[float]

    @property
    def captured_share(self) -> float:
        """Share of the gap between rule and perfect foresight that Hearth won."""
        gap = self.self_consumption_eur - self.perfect_foresight_eur
        return (self.self_consumption_eur - self.hearth_eur) / gap if gap > 0 else 0.0


def replay(
    home: Home,
    prices: Recorded,
    start_s: float,
    end_s: float,
    progress: Callable[[float], None] = lambda _: None,
) -> ReplayResult:
    """Live a recorded home between two instants.

    Args:
        home: The recording and the home's facts.
        prices: Day-ahead prices [EUR/kWh].
        start_s: Where to begin; what was recorded before is known to Hearth [s].
        end_s: Where to end [s].
        progress: Told the share lived, 0..1.

    Raises:
        ReplayError: Nothing is recorded in the span, or prices are missing for more than a few hours.
    """
    life = _Life.of(home, prices, start_s, end_s)
    stored = {name: home.battery.stored_wh(_start_soc(home.battery)) for name in ("hearth", "plan", "rule")}
    start_wh = stored["hearth"]
    grid = {name: np.empty(life.n_steps) for name in stored}
    daily: dict[str, list[float]] = {"plan": [], "rule": []}
    before = dict(stored)
    policy: Policy = "value_function"
    days_on_plan = 0
    per_day = _DAY_S // life.step_s
    every = max(1, _PLAN_EVERY_S // life.step_s)
    plan: Plan | None = None
    for step in range(life.n_steps):
        if step % per_day == 0 and step:
            for name in daily:
                day = slice(step - per_day, step)
                cost = float(life.cost(grid[name][day], day)) - (stored[name] - before[name]) * life.settle_eur_per_wh
                daily[name].append(cost)
            before = dict(stored)
            policy = choose_policy(
                np.array(daily["plan"][1:][-_MEMORY_DAYS:]), np.array(daily["rule"][1:][-_MEMORY_DAYS:])
            )
            progress(step / life.n_steps)
        if step % per_day == 0:
            days_on_plan += policy == "value_function"
            life.learn(step)
        if step % every == 0 or plan is None:
            plan = life.plan(step, stored["plan"])
        for name in stored:
            planned = plan if name == "plan" or (name == "hearth" and policy == "value_function") else None
            grid[name][step], stored[name] = life.live(step, planned, stored[name])
    progress(1.0)
    return life.result(grid, stored, start_wh, days_on_plan, daily)


def _start_soc(battery: Battery) -> float:
    return (battery.min_soc_percent + battery.max_soc_percent) / 2


@dataclass
class _Life:
    """The recording on one grid, and what Hearth has learned so far."""

    home: Home
    first: int
    step_s: int
    n_steps: int
    origin_s: float
    load_w: FloatArray
    pv_w: FloatArray
    net_w: FloatArray
    """What really happened, missing values filled from the days around; only lived, never shown to Hearth."""
    spot: FloatArray
    filled_steps: int
    models: dict[Target, OnnxForecaster] = field(default_factory=dict)
    skills: dict[Target, list[float]] = field(default_factory=lambda: {Target.LOAD: [], Target.PV: []})

    @classmethod
    def of(cls, home: Home, prices: Recorded, start_s: float, end_s: float) -> _Life:
        step_s = home.load.step_s
        origin_s = home.load.start_s
        first = max(0, -int(-(start_s - origin_s) // step_s))
        last = min(len(home.load.values), int((end_s - origin_s) // step_s))
        if last <= first:
            raise ReplayError("nothing is recorded between start and end")
        pv_w = home.pv.on_grid(origin_s, step_s, len(home.load.values))
        net_w = home.load.values - pv_w
        spot = prices.on_grid(origin_s, step_s, last)
        missing = ~np.isfinite(spot[first:])
        if missing.mean() > 0.02:
            raise ReplayError(f"prices are missing for {missing.mean():.0%} of the span; give a file that covers it")
        return cls(
            home,
            first,
            step_s,
            last - first,
            origin_s,
            home.load.values,
            pv_w,
            _filled(net_w[:last], step_s)[first:],
            _filled(spot, step_s),
            int((~np.isfinite(net_w[first:last])).sum()),
        )

    @property
    def market(self) -> Market:
        return self._market(self.spot[self.first :], 0)

    @property
    def settle_eur_per_wh(self) -> float:
        """Constant price of stored energy: what the average import price leaves after discharging."""
        mean = float(np.mean(self.market.import_eur_per_kwh + self.market.export_eur_per_kwh)) / 2
        return max(mean, 0.0) * self.home.battery.efficiency / 1000

    def cost(self, grid_w: FloatArray, part: slice) -> float:
        market = self.market
        return bill_eur(grid_w, Market(market.import_eur_per_kwh[part], market.export_eur_per_kwh[part]), self.step_s)

    def learn(self, step: int) -> None:
        """Train both targets every four weeks on what was recorded before."""
        days = step * self.step_s // _DAY_S
        known_days = (step + self.first) * self.step_s // _DAY_S
        if known_days < _TRAIN_AFTER_DAYS or (self.models and days % _RETRAIN_DAYS):
            return
        now_s = self._at(step)
        for target, values in ((Target.LOAD, self.load_w), (Target.PV, self.pv_w)):
            history = History(self.origin_s, self.step_s, values[: self.first + step])
            try:
                trained = train(target, history, self.home.place, int(now_s * 1000))
            except TrainingError:
                continue
            self.skills[target].append(trained.card.scores["skill"])
            self.models[target] = OnnxForecaster(trained.onnx, trained.card, self.home.place)

    def plan(self, step: int, stored_wh: float) -> Plan:
        """Make the real plan with what is known at the start of a step."""
        now_s, n = self._at(step), HORIZON_S // self.step_s
        spot = self._known_prices(step, n)
        market = self._market(spot, step)
        inputs = PlanInputs(
            start_s=now_s,
            step_s=self.step_s,
            import_eur_per_kwh=market.import_eur_per_kwh,
            export_eur_per_kwh=market.export_eur_per_kwh,
            load=self._forecast(Target.LOAD, self.load_w, step, n),
            pv=self._forecast(Target.PV, self.pv_w, step, n),
            battery=self.home.battery,
            soc_percent=self.home.battery.soc_percent(stored_wh),
            limits=self.home.limits,
            past_net_w=self._past(step),
        )
        return make_plan(inputs, "replay", step + 1, int(now_s * 1000), self.home.place.timezone)

    def live(self, step: int, plan: Plan | None, stored_wh: float) -> tuple[float, float]:
        """Live one step; return grid power [W] and charge at its end [Wh]. Without a plan the rule is lived."""
        battery, net_w = self.home.battery, float(self.net_w[step])
        pieces = max(1, self.step_s // _PIECE_S)
        piece_s = self.step_s / pieces
        total_w = 0.0
        for piece in range(pieces):
            asked_w = net_w
            if plan is not None:
                at_s = self._at(step) + piece * piece_s
                order = decide(plan, battery, at_s, battery.soc_percent(stored_wh), net_w)
                if order is not None:
                    asked_w = min(max(net_w, order.lowest_w), order.highest_w)
            stored_wh, delivered_w = battery.run(stored_wh, asked_w, piece_s)
            total_w += net_w - delivered_w
        return total_w / pieces, stored_wh

    def result(
        self,
        grid: dict[str, FloatArray],
        stored: dict[str, float],
        start_wh: float,
        days_on_plan: int,
        daily: dict[str, list[float]],
    ) -> ReplayResult:
        battery, market, step_s = self.home.battery, self.market, self.step_s
        night = night_steps(self._at(0), step_s, self.n_steps, self.home.place.timezone)
        timer = live_night_timer(self.net_w, step_s, battery, start_wh, night)
        rule = live_rule(self.net_w, step_s, battery, start_wh)
        settle = self.settle_eur_per_wh
        best = live_perfect_foresight(self.net_w, step_s, market, battery, start_wh, settle * 1000)

        def settled(grid_w: FloatArray, end_wh: float) -> float:
            return bill_eur(grid_w, market, step_s) - (end_wh - start_wh) * settle

        return ReplayResult(
            days=self.n_steps * step_s / _DAY_S,
            no_battery_eur=bill_eur(self.net_w, market, step_s),
            self_consumption_eur=settled(rule.grid_w, rule.stored_wh),
            night_timer_eur=settled(timer.grid_w, timer.stored_wh),
            perfect_foresight_eur=settled(best.grid_w, best.stored_wh),
            hearth_eur=settled(grid["hearth"], stored["hearth"]),
            planner_only_eur=settled(grid["plan"], stored["plan"]),
            days_on_plan=days_on_plan,
            filled_steps=self.filled_steps,
            load_skill=float(np.mean(self.skills[Target.LOAD] or [0.0])),
            pv_skill=float(np.mean(self.skills[Target.PV] or [0.0])),
            daily_planned_eur=daily["plan"],
            daily_rule_eur=daily["rule"],
        )

    def _at(self, step: int) -> float:
        return self.origin_s + (self.first + step) * self.step_s

    def _market(self, spot: FloatArray, step: int) -> Market:
        at_s = self._at(step) + self.step_s * np.arange(len(spot), dtype=np.float64)
        return Market(*prices_of(self.home.tariff, at_s, spot, self.home.place.timezone))

    def _known_prices(self, step: int, n: int) -> FloatArray:
        now_s, back = self._at(step), min(self.first + step, _PRICE_DAYS * _DAY_S // self.step_s)
        here = self.first + step
        known_until = here + max(1, round((_published_until_s(now_s) - now_s) / self.step_s))
        known = self.spot[here - back : known_until]
        return extend_prices(known, now_s - back * self.step_s, self.step_s, back + n)[back:]

    def _forecast(self, target: Target, values: FloatArray, step: int, n: int) -> Quantiles:
        here = self.first + step
        oldest = max(0, here - _HISTORY_DAYS * _DAY_S // self.step_s)
        history = History(self.origin_s + oldest * self.step_s, self.step_s, values[oldest:here])
        model = self.models.get(target)
        return seasonal_naive(history, self._at(step), n) if model is None else model.forecast(history, self._at(step))

    def _past(self, step: int) -> FloatArray:
        here = self.first + step
        oldest = max(0, here - PAST_DAYS * _DAY_S // self.step_s)
        past: FloatArray = self.load_w[oldest:here] - self.pv_w[oldest:here]
        return past


def _published_until_s(now_s: float) -> float:
    """Return until when day-ahead prices are known: the end of tomorrow from 12:45 Brussels time, of today before."""
    local = datetime.fromtimestamp(now_s, tz=_MARKET_ZONE)
    days = 2 if (local.hour, local.minute) >= (12, 45) else 1
    midnight = datetime(local.year, local.month, local.day, tzinfo=_MARKET_ZONE) + timedelta(days=days)
    return midnight.astimezone(UTC).timestamp()


def _filled(values: FloatArray, step_s: int) -> FloatArray:
    """Fill gaps with the mean of the same slot a day and a week around, else the overall mean."""
    result = values.copy()
    per_day = _DAY_S // step_s
    for step in np.flatnonzero(~np.isfinite(values)):
        around = [step + days * per_day for days in (-7, -1, 1, 7)]
        near = [values[index] for index in around if 0 <= index < len(values) and np.isfinite(values[index])]
        result[step] = np.mean(near) if near else np.nanmean(values)
    return result
