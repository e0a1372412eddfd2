"""Plans at home while the hub is silent: the hub's planner, on the prices its plans told and the home's forecasts."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from hearth_agent.events import EventLog
from hearth_agent.forecast.service import ForecastService
from hearth_agent.plan.child import PlanningError, ask_child
from hearth_agent.plan.prices import PriceMemory
from hearth_agent.plan.store import PlanStore
from hearth_agent.plan.worker import PlanRequest
from hearth_core.clock import Clock, now_ms
from hearth_core.messages import Plan, Target
from hearth_core.site import Site
from hearth_models.planning.outlook import STEP_S

logger = logging.getLogger(__name__)

SILENT_S = 1800.0
"""The hub plans each quarter of an hour: an agent that has just started waits for its first plan so long."""
# after the quarter-hour, so that the forecast of the same quarter-hour is in it
_AFTER_FORECAST_S = 20.0

Ask = Callable[[PlanRequest], Awaitable[Plan]]


class HomePlanner:
    """Makes a plan each quarter-hour from when the hub's last one is over, until the hub is back."""

    def __init__(
        self,
        home: str,
        site: Site,
        store: PlanStore,
        prices: PriceMemory,
        forecasts: ForecastService,
        soc_percent: Callable[[], float | None],
        clock: Clock,
        events: EventLog,
        ask: Ask = ask_child,
    ) -> None:
        self._home, self._site, self._store, self._prices = home, site, store, prices
        self._forecasts, self._soc_percent, self._clock, self._events = forecasts, soc_percent, clock, events
        self._ask = ask
        self._told = ""
        """What was last said about planning at home; empty while the hub plans."""
        self._why = ""
        """Since when the hub has been silent, in words."""

    async def run(self) -> None:
        """Look after the hub's plans, for ever."""
        while True:
            await self.look()
            await self._clock.sleep(STEP_S - (self._clock.time() - _AFTER_FORECAST_S) % STEP_S)

    async def look(self) -> Plan | None:
        """Learn the newest prices; make and follow a plan when the hub has left none."""
        last = self._store.last
        if last is not None:
            self._prices.learn(last)
        if not self.is_needed():
            self._told = self._why = ""
            return None
        self._why = self._why or self._explanation()
        if importlib.util.find_spec("highspy") is None:
            self._tell("the hub is silent, and planning at home needs the extra hearth-agent[plan]")
            return None
        try:
            plan = self._marked(await self._ask(self.request()))
        except PlanningError as error:
            self._tell(f"the hub is silent, and no plan could be made at home: {error}")
            return None
        if not self.is_needed() or not self._store.follow_home_plan(plan):
            return None  # the hub may have come back while we planned
        self._tell(self._why)
        return plan

    def is_needed(self) -> bool:
        """Tell whether the hub is silent, and its last plan over before this home looks again."""
        next_ms = now_ms(self._clock) + (STEP_S + int(_AFTER_FORECAST_S)) * 1000
        is_silent = self._store.silent_s() >= SILENT_S
        return is_silent and not self._store.hub_covers(next_ms) and self._site.battery is not None

    def request(self) -> PlanRequest:
        """Return everything a plan of this moment is made from."""
        now_s, last = self._clock.time(), self._store.last
        known = self._prices.known(now_s)
        load, pv = (self._forecasts.history(target, now_s) for target in (Target.LOAD, Target.PV))
        return PlanRequest(
            home=self._home,
            site=self._site,
            version=max(1, self._store.version),
            now_s=now_s,
            prices_start_s=known.start_s,
            prices_eur_per_kwh=known.eur_per_kwh.tobytes(),
            consumed=last.consumed if last else None,
            consumed_s=last.issued_ms / 1000 if last else now_s,
            load_start_s=load.start_s,
            load_w=load.power_w.tobytes(),
            pv_start_s=pv.start_s,
            pv_w=pv.power_w.tobytes(),
            forecast=self._forecasts.latest,
            soc_percent=self._soc_percent(),
        )

    def _explanation(self) -> str:
        """Say since when the hub has been silent, on the home's own clock."""
        since = datetime.fromtimestamp(self._clock.time() - self._store.silent_s(), tz=UTC)
        local = since.astimezone(ZoneInfo(self._site.timezone))
        return f"the hub has been silent since {local:%d.%m. %H:%M}, planned at home"

    def explained(self, reason: str) -> str:
        """Return the controller's reason, with where its plan comes from when that is this home."""
        at_ms = now_ms(self._clock)
        is_ours = self._store.current(at_ms) is not None and not self._store.hub_covers(at_ms)
        return f"{reason} ({self._why})" if is_ours and self._why else reason

    def _marked(self, plan: Plan) -> Plan:
        """Name the plan's origin, and keep the hub's last word on whether plans or the plain rule earn more here."""
        last = self._store.last
        headline = f"{self._why[0].upper()}{self._why[1:]}: {plan.headline}"
        return msgspec.structs.replace(plan, headline=headline, policy=last.policy if last else plan.policy)

    def _tell(self, text: str) -> None:
        """Tell something once."""
        if text != self._told:
            self._events.warning("planned_at_home", text)
        self._told = text
