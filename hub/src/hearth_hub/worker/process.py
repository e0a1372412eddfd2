"""The worker process: rolls up what was stored, plans, reckons, learns and takes away, in the hub's clock.

A look never does something for each of many homes without a limit: the roll-up works on all homes together, what is due
is asked of the database, and what has to visit every home does so a little at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
import psycopg_pool

from hearth_core.clock import Clock, RealClock
from hearth_core.errors import PermanentError
from hearth_core.messages import Plan, decode
from hearth_hub.database.pool import Connection, Pool, new_pool
from hearth_hub.homes.repository import Home, homes_of
from hearth_hub.plans import repository as plans
from hearth_hub.prices import repository as prices
from hearth_hub.prices.source import PricePoint
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.savings import service as savings
from hearth_hub.timing import instant_s
from hearth_hub.wishes import repository as wishes
from hearth_hub.wishes.service import message_of
from hearth_hub.worker import training
from hearth_hub.worker.pace import Budget, Pace
from hearth_hub.worker.planning import plan_home
from hearth_hub.worker.publisher import Publisher
from hearth_hub.worker.repository import MOST_DUE, Entry, due, homes_with_site
from hearth_hub.worker.retention import Retention
from hearth_models.planning.outlook import STEP_S

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
_LOOK_FAST_S = 0.1  # where the clock runs fast, a quarter-hour passes in a second
_HOUR_S = 3600
_OLDEST_PRICES_S = 400 * 86_400
_LONGEST_BACK_OFF_S = 5.0
_LONGEST_WAIT_S = 60.0
# how long each kind of work may take in one look
_ROLL_UP_S, _PLAN_S, _VISIT_S, _EXPIRE_S = 1.0, 2.0, 0.5, 0.5


@dataclass
class _Diary:
    """What this process did last for one home, beyond what the database knows."""

    tried_quarter: int = -1
    used_agent_forecast: bool = True
    reckoned_hour: int = -1
    trained_hour: int = -1
    wait_s: float = 0.0
    """How long it waits after a failure, twice as long after each."""
    not_before_s: float = 0.0
    """When it may be planned for again, in real time."""
    complaint: str = ""


@dataclass
class Worker:
    """Does what is due; the database and the broker may vanish and return."""

    database_url: str
    clock: Clock
    publisher: Publisher
    price_zone: str
    price_points: Sequence[PricePoint] = ()
    """Every price of the file, in order of publication."""
    retention: Retention = field(default_factory=lambda: Retention(90, 400))
    _diaries: dict[int, _Diary] = field(default_factory=dict)
    _prices_told: int = -1
    _trainings: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _roll_up: RollUp = field(default_factory=RollUp)
    _roll_up_pace: Pace = field(default_factory=lambda: Pace(at_least_s=1.0))
    _rolled_quarter: int = -1
    _days_pace: Pace = field(default_factory=lambda: Pace(at_least_s=10.0))
    _due_pace: Pace = field(default_factory=lambda: Pace(rest=19.0))
    _asked_quarter: int = -1
    _to_visit: deque[int] = field(default_factory=deque)
    _visit_pace: Pace = field(default_factory=lambda: Pace(at_least_s=1.0, rest=9.0))
    _visited_hour: int = -1
    _expired_hour: int = -1

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until stopped."""
        self.publisher.start()
        look_s = _LOOK_S if isinstance(self.clock, RealClock) else _LOOK_FAST_S
        back_off_s = look_s
        try:
            async with new_pool(self.database_url) as pool:
                while not stopping.is_set():
                    try:
                        await self.look(pool)
                        back_off_s = look_s
                    except (psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
                        logger.warning("the database does not answer: %s", str(error).strip())
                        back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stopping.wait(), back_off_s)
                await self._end_trainings()
        finally:
            self.publisher.stop()

    async def look(self, pool: Pool) -> None:
        """Do once whatever is due now."""
        async with pool.connection() as connection:
            await self._tell_prices(connection)
            must_repeat = self.publisher.must_repeat()
            if must_repeat:
                await self._repeat(connection)
            await self._tell_wishes(connection, again=must_repeat)
            await self._take_in(connection)
            await self._plan_due(connection)
            await self._visit_homes(pool, connection)
            await self._expire(connection)

    async def _tell_prices(self, connection: Connection) -> None:
        """Store the prices that the market has published by now."""
        at = instant_s(self.clock.time())
        known = self._prices_told
        if known < 0:
            oldest = instant_s(max(0.0, self.clock.time() - _OLDEST_PRICES_S))
            known = next((n for n, one in enumerate(self.price_points) if one.at >= oldest), len(self.price_points))
        end = known
        while end < len(self.price_points) and self.price_points[end].published_at <= at:
            end += 1
        if end > known:
            await prices.store(connection, self.price_zone, self.price_points[known:end])
            logger.info("prices published", extra={"zone": self.price_zone, "until": self.price_points[end - 1].at})
        self._prices_told = end

    async def _take_in(self, connection: Connection) -> None:
        """Roll up what was stored: the newest first, always before a new quarter-hour is planned."""
        quarter = int(self.clock.time() // STEP_S)
        if quarter != self._rolled_quarter or self._roll_up_pace.is_due():
            self._rolled_quarter = quarter
            budget = Budget(_ROLL_UP_S)
            self._roll_up.begin()
            with self._roll_up_pace.measured():
                while await self._roll_up.portion(connection) and not budget.is_spent:
                    pass
        if self._days_pace.is_due():
            with self._days_pace.measured():
                await self._roll_up.days(connection)

    async def _plan_due(self, connection: Connection) -> None:
        now_s = self.clock.time()
        quarter, real_s = int(now_s // STEP_S), time.monotonic()
        waiting = [home for home, diary in self._diaries.items() if not diary.used_agent_forecast]
        if quarter == self._asked_quarter and not waiting and not self._due_pace.is_due():
            return
        not_yet = [
            home
            for home, diary in self._diaries.items()
            if diary.not_before_s > real_s and (diary.tried_quarter == quarter or diary.wait_s >= _LONGEST_WAIT_S)
        ]
        with self._due_pace.measured():
            entries = await due(connection, instant_s(quarter * STEP_S), waiting, not_yet)
        budget = Budget(_PLAN_S)
        for entry in entries:
            await self._plan(connection, entry, self._diaries.setdefault(entry.home.id, _Diary()))
            if budget.is_spent:
                return  # the others are due still at the next look
        if len(entries) < MOST_DUE:
            self._asked_quarter = quarter

    async def _plan(self, connection: Connection, entry: Entry, diary: _Diary) -> None:
        now_s = self.clock.time()
        diary.tried_quarter = int(now_s // STEP_S)
        made, complaint = None, ""
        try:
            made = await plan_home(connection, entry.home, now_s)
        except PermanentError as error:
            complaint = str(error)
        if made is None:
            zone = entry.home.site.price_zone if entry.home.site else ""
            _complain(diary, entry.home, complaint or f"no price of zone {zone} is known, so there is no plan")
            diary.wait_s = min(max(2 * diary.wait_s, _LOOK_S), _LONGEST_WAIT_S)
            diary.not_before_s = time.monotonic() + diary.wait_s
            return
        diary.used_agent_forecast = made.used_agent_forecast
        diary.complaint, diary.wait_s = "", 0.0
        self.publisher.plan(made.plan)
        if entry.planned_at is None:
            logger.info("first plan", extra={"home": entry.home.agent, "headline": made.plan.headline})

    async def _visit_homes(self, pool: Pool, connection: Connection) -> None:
        """Go on with the round through all homes, for what each of them needs about hourly."""
        hour = int(self.clock.time() // _HOUR_S)
        if not self._to_visit:
            if hour == self._visited_hour and not self._visit_pace.is_due():
                return  # and measure nothing, or the round would never be due where looks are frequent
            self._visited_hour = hour
            self._to_visit.extend(await homes_with_site(connection))
        budget = Budget(_VISIT_S)
        with self._visit_pace.measured():
            while self._to_visit and not budget.is_spent:
                home_id = self._to_visit.popleft()
                home = (await homes_of(connection, [home_id]))[home_id]
                diary = self._diaries.setdefault(home_id, _Diary())
                try:
                    await self._reckon(connection, home, diary)
                    await self._train(pool, connection, home, diary)
                except PermanentError as error:
                    _complain(diary, home, str(error))

    async def _reckon(self, connection: Connection, home: Home, diary: _Diary) -> None:
        hour = int(self.clock.time() // _HOUR_S)
        if hour != diary.reckoned_hour and await plans.latest_version(connection, home.id) is not None:
            diary.reckoned_hour = hour
            await savings.update(connection, home, instant_s(self.clock.time()))

    async def _train(self, pool: Pool, connection: Connection, home: Home, diary: _Diary) -> None:
        now_s = self.clock.time()
        hour = int(now_s // _HOUR_S)
        # one child at a time: it needs 200 MB and a core
        if hour == diary.trained_hour or any(not task.done() for task in self._trainings.values()):
            return
        if not await training.is_due(connection, home, now_s):
            return
        diary.trained_hour = hour
        self._trainings = {home.id: asyncio.create_task(self._train_home(pool, home, diary, now_s))}

    async def _train_home(self, pool: Pool, home: Home, diary: _Diary, now_s: float) -> None:
        began_s = time.monotonic()
        try:
            async with pool.connection() as connection:
                deliveries = await training.train_home(connection, home, now_s)
        except (PermanentError, TimeoutError, psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
            _complain(diary, home, f"training failed: {error}")
            return
        for delivery in deliveries:
            self.publisher.model(delivery)
            logger.info(
                "model trained",
                extra={"home": home.agent, "target": str(delivery.card.target), "version": delivery.card.version},
            )
        logger.info("training took", extra={"seconds": round(time.monotonic() - began_s, 1)})

    async def _expire(self, connection: Connection) -> None:
        """Take away once an hour what has outlived its retention."""
        hour = int(self.clock.time() // _HOUR_S)
        if hour != self._expired_hour:
            is_done = await self.retention.expire(connection, instant_s(self.clock.time()), Budget(_EXPIRE_S))
            if is_done:
                self._expired_hour = hour

    async def _repeat(self, connection: Connection) -> None:
        """Tell the newest plans and models again: a broker that was restarted has forgotten them."""
        for home_id in await homes_with_site(connection):
            message = await plans.latest_message(connection, home_id)
            if message is not None:
                self.publisher.plan(decode(message, Plan))
            home = (await homes_of(connection, [home_id]))[home_id]
            for delivery in await training.latest_deliveries(connection, home, self.clock.time()):
                self.publisher.model(delivery)

    async def _tell_wishes(self, connection: Connection, *, again: bool) -> None:
        """Tell what owners and grid operators want, and clear what is over."""
        at = instant_s(self.clock.time())
        for wish in await wishes.to_tell(connection, at, again=again):
            if self.publisher.wish(wish.agent, wish.kind, wish.target, message_of(wish)):
                await wishes.told(connection, wish)
        for wish in await wishes.ended(connection, at):
            if self.publisher.wish(wish.agent, wish.kind, wish.target, None):
                await wishes.forget(connection, wish)

    async def _end_trainings(self) -> None:
        for task in self._trainings.values():
            task.cancel()
        await asyncio.gather(*self._trainings.values(), return_exceptions=True)


def _complain(diary: _Diary, home: Home, text: str) -> None:
    """Log a problem once, not at every look."""
    if text != diary.complaint:
        diary.complaint = text
        logger.warning("%s: %s", home.agent, text)
