"""A home that loses its hub for some days, beside its twin that keeps it: the real planner, store and price memory.

Both live the same recorded load, sun and prices, a quarter-hour at a time, by the policy that a controller follows
(`decide`). The twin is planned for by the hub's rules. The other follows the last plan of its hub, then those
it makes itself, as `HomePlanner` does in an agent; only the planner's process is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hearth_agent.events import EventLog
from hearth_agent.forecast.models import ModelStore
from hearth_agent.forecast.service import ForecastService
from hearth_agent.plan.home_planner import HomePlanner
from hearth_agent.plan.prices import PriceMemory
from hearth_agent.plan.store import PlanStore
from hearth_agent.plan.worker import PlanRequest, plan_at_home
from hearth_core.clock import ManualClock
from hearth_core.messages import Plan
from hearth_core.signing import seal
from hearth_core.site import Site
from hearth_models.arrays import FloatArray
from hearth_models.backtest.market import published_until_s
from hearth_models.battery import Battery
from hearth_models.forecasting import HORIZON_STEPS, History
from hearth_models.ledger import STORED_EUR_PER_KWH
from hearth_models.planning.cached import pack_prices
from hearth_models.planning.outlook import PRICE_DAYS, STEP_S, KnownPrices, look_ahead, plan_inputs
from hearth_models.planning.plan import make_plan
from hearth_models.planning.policy import decide
from hearth_models.planning.scenarios import PAST_DAYS
from hearth_models.tariffs import SoFar
from hearth_models.tariffs import prices as tariff_prices

DAY = 86_400 // STEP_S
HOUR = 3600 // STEP_S
KEY = Ed25519PrivateKey.generate()
PlanAt = Callable[[int, float], Plan | None]
"""Returns the plan to follow in a step, given the charge [%]."""


@dataclass(frozen=True)
class Recording:
    """Quarter-hours of a home, all of one length; the first begins a day."""

    start_s: float
    load_w: FloatArray
    pv_w: FloatArray
    market_eur_per_kwh: FloatArray
    """Reaches two days beyond the others."""

    def past(self, here: int) -> tuple[History, History]:
        """Return load and PV of the days before a step, as many as planning looks at."""
        first = max(0, here - PAST_DAYS * DAY)
        start_s = self.start_s + first * STEP_S
        return History(start_s, STEP_S, self.load_w[first:here]), History(start_s, STEP_S, self.pv_w[first:here])

    def published(self, here: int) -> KnownPrices:
        """Return the prices a hub knows at a step: the last week, and what the market has published."""
        now_s, first = self.start_s + here * STEP_S, here - PRICE_DAYS * DAY
        end = min(int((published_until_s(now_s) - self.start_s) // STEP_S), here + HORIZON_STEPS)
        return KnownPrices(now_s - PRICE_DAYS * 86_400, self.market_eur_per_kwh[first:end])


@dataclass(frozen=True)
class Bills:
    """What the days cost, settled for what is left in store as the ledger does [EUR]."""

    with_hub: float
    without: float
    rule: float
    planned_at_home: int
    """How many plans the home made itself."""


def live(recording: Recording, here: int, days: int, site: Site, folder: Path, every: int = HOUR) -> Bills:
    """Live some days from a step on, with the hub, without it, and by the plain rule, and one more day all with it.

    A plan is made each ``every`` steps. After that day the batteries hold about the same again: what a span leaves in
    store is worth very different prices.
    """
    back = here + days * DAY
    twin = _Connected(recording, site, every)
    alone = _Alone(recording, here, site, folder, every)
    n = (days + 1) * DAY

    def until_back(plan_at: PlanAt) -> PlanAt:
        again = _Connected(recording, site, every)
        return lambda step, soc_percent: (plan_at if step < back else again.plan)(step, soc_percent)

    return Bills(
        with_hub=_lived(recording, here, n, site, twin.plan),
        without=_lived(recording, here, n, site, until_back(alone.plan)),
        rule=_lived(recording, here, n, site, until_back(lambda _step, _soc: None)),
        planned_at_home=alone.made,
    )


def _lived(recording: Recording, here: int, n: int, site: Site, plan_at: PlanAt) -> float:
    assert site.battery is not None
    battery = Battery.from_facts(site.battery)
    start_wh = stored_wh = battery.stored_wh(50.0)
    grid_wh = np.empty(n)
    for index in range(n):
        step = here + index
        at_s = recording.start_s + step * STEP_S
        net_w = float(recording.load_w[step] - recording.pv_w[step])
        soc_percent = battery.soc_percent(stored_wh)
        plan = plan_at(step, soc_percent)
        order = decide(plan, battery, at_s, soc_percent, net_w) if plan else None
        asked_w = min(max(net_w, order.lowest_w), order.highest_w) if order else net_w
        stored_wh, delivered_w = battery.run(stored_wh, asked_w, STEP_S)
        grid_wh[index] = (net_w - delivered_w) * STEP_S / 3600
    at = recording.start_s + STEP_S * (here + np.arange(n, dtype=np.float64))
    market = recording.market_eur_per_kwh[here : here + n]
    buys, sells = tariff_prices(site.tariff, at, market, site.timezone)
    paid = np.maximum(grid_wh, 0.0) @ buys - np.maximum(-grid_wh, 0.0) @ sells
    return float(paid - (stored_wh - start_wh) * STORED_EUR_PER_KWH) / 1000


class _Connected:
    """Planned for by its hub."""

    def __init__(self, recording: Recording, site: Site, every: int) -> None:
        self._recording, self._site, self._every = recording, site, every
        self._plan: Plan | None = None

    def plan(self, step: int, soc_percent: float) -> Plan | None:
        if step % self._every == 0 or self._plan is None:
            self._plan = plan_of_the_hub(self._recording, step, self._site, soc_percent)
        return self._plan


class _Alone:
    """Got its last plan as its hub fell silent."""

    def __init__(self, recording: Recording, here: int, site: Site, folder: Path, every: int) -> None:
        self._recording, self._every = recording, every
        self._clock = ManualClock(recording.start_s + (here - PAST_DAYS * DAY) * STEP_S)
        self._soc_percent = 50.0
        self.made = 0
        events = EventLog(self._clock)
        models = ModelStore(folder / "models", "anna", KEY.public_key(), events)
        self._forecasts = ForecastService(folder / "history", site, models, STEP_S, lambda _: None, self._clock, events)
        for step in range(here - PAST_DAYS * DAY, here):
            self._observe(step)
        self._clock.now_s = recording.start_s + here * STEP_S
        self._store = PlanStore(folder / "plan.sealed", "anna", KEY.public_key(), self._clock, events)
        last = plan_of_the_hub(recording, here, site, self._soc_percent)
        assert self._store.offer(seal(last, KEY))
        self._planner = HomePlanner(
            "anna",
            site,
            self._store,
            PriceMemory(folder / "prices.csv"),
            self._forecasts,
            lambda: self._soc_percent,
            self._clock,
            events,
            self._ask,
        )

    def _observe(self, step: int) -> None:
        self._clock.now_s = self._recording.start_s + step * STEP_S
        self._forecasts.observe(float(self._recording.load_w[step]), float(self._recording.pv_w[step]))

    async def _ask(self, request: PlanRequest) -> Plan:
        self.made += 1
        answer = plan_at_home(msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=PlanRequest))
        assert answer.plan is not None, answer.error
        return answer.plan

    def plan(self, step: int, soc_percent: float) -> Plan | None:
        self._observe(step)
        self._soc_percent = soc_percent
        if step % self._every == 0:
            asyncio.run(self._planner.look())
        return self._store.current(int(self._clock.now_s * 1000))


def plan_of_the_hub(recording: Recording, here: int, site: Site, soc_percent: float) -> Plan:
    """Plan as the hub's worker does."""
    now_s = recording.start_s + here * STEP_S
    known = recording.published(here)
    outlook = look_ahead(*recording.past(here), None, now_s)
    inputs = plan_inputs(site, now_s, known, SoFar(), outlook, soc_percent)
    assert inputs is not None
    plan = make_plan(inputs, "anna", int(now_s), int(now_s * 1000), site.timezone)
    return msgspec.structs.replace(plan, market=pack_prices(known))
