"""The worker process: looks at the agenda of every home and does what is due, in the hub's clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
import psycopg_pool

from hearth_core.clock import Clock, RealClock
from hearth_core.errors import PermanentError
from hearth_core.messages import Plan, decode
from hearth_hub.database.pool import Connection, Pool, new_pool
from hearth_hub.plans import repository as plans
from hearth_hub.prices import repository as prices
from hearth_hub.prices.source import PricePoint
from hearth_hub.readings.service import roll_up
from hearth_hub.savings import service as savings
from hearth_hub.timing import instant_s
from hearth_hub.worker import training
from hearth_hub.worker.planning import STEP_S, plan_home
from hearth_hub.worker.publisher import Publisher
from hearth_hub.worker.repository import Entry, agenda

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
_LOOK_FAST_S = 0.1  # where the clock runs fast, a quarter-hour passes in a second
_BETWEEN_ROLL_UPS_S = 1.0
_HOUR_S = 3600
_OLDEST_PRICES_S = 400 * 86_400
_LONGEST_BACK_OFF_S = 5.0


@dataclass
class _Diary:
    """What this process did last for one home, beyond what the database knows."""

    rolled_quarter: int = -1
    rolled_real_s: float = -1e9
    tried_quarter: int = -1
    used_agent_forecast: bool = True
    reckoned_hour: int = -1
    trained_hour: int = -1
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
    _diaries: dict[int, _Diary] = field(default_factory=dict)
    _prices_told: int = -1
    _trainings: dict[int, asyncio.Task[None]] = field(default_factory=dict)

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
            entries = await agenda(connection)
            if self.publisher.must_repeat():
                for entry in entries:
                    await self._repeat(connection, entry)
            for entry in entries:
                diary = self._diaries.setdefault(entry.home.id, _Diary())
                try:
                    await self._roll_up(connection, entry, diary)
                    await self._plan(connection, entry, diary)
                    await self._reckon(connection, entry, diary)
                    await self._train(pool, connection, entry, diary)
                except PermanentError as error:
                    _complain(diary, entry, str(error))

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

    async def _roll_up(self, connection: Connection, entry: Entry, diary: _Diary) -> None:
        quarter = int(self.clock.time() // STEP_S)
        if entry.stale_from is None or time.monotonic() - diary.rolled_real_s < _BETWEEN_ROLL_UPS_S:
            if quarter == diary.rolled_quarter:
                return
        elif quarter == diary.rolled_quarter and entry.stale_from.timestamp() >= quarter * STEP_S:
            return  # only the running quarter-hour has changed
        diary.rolled_quarter, diary.rolled_real_s = quarter, time.monotonic()
        await roll_up(connection, entry.home)

    async def _plan(self, connection: Connection, entry: Entry, diary: _Diary) -> None:
        now_s = self.clock.time()
        quarter = int(now_s // STEP_S)
        planned_at = entry.planned_at
        first_forecast = (
            not diary.used_agent_forecast
            and entry.forecast_at is not None
            and planned_at is not None
            and entry.forecast_at > planned_at
        )
        due = planned_at is None or planned_at.timestamp() // STEP_S < quarter or first_forecast
        failed = diary.tried_quarter == quarter and not first_forecast and planned_at is not None
        if entry.home.state != "online" or not due or failed:
            return
        diary.tried_quarter = quarter
        made = await plan_home(connection, entry.home, now_s)
        if made is None:
            zone = entry.home.site.price_zone if entry.home.site else ""
            _complain(diary, entry, f"no price of zone {zone} is known, so there is no plan")
            return
        diary.used_agent_forecast = made.used_agent_forecast
        diary.complaint = ""
        self.publisher.plan(made.plan)
        if planned_at is None:
            logger.info("first plan", extra={"home": entry.home.agent, "headline": made.plan.headline})

    async def _reckon(self, connection: Connection, entry: Entry, diary: _Diary) -> None:
        hour = int(self.clock.time() // _HOUR_S)
        if hour == diary.reckoned_hour or entry.planned_at is None:
            return
        diary.reckoned_hour = hour
        await savings.update(connection, entry.home, instant_s(self.clock.time()))

    async def _train(self, pool: Pool, connection: Connection, entry: Entry, diary: _Diary) -> None:
        now_s = self.clock.time()
        hour = int(now_s // _HOUR_S)
        running = self._trainings.get(entry.home.id)
        if (running is not None and not running.done()) or hour == diary.trained_hour:
            return
        # one child at a time: it needs 200 MB and a core
        if any(not task.done() for task in self._trainings.values()):
            return
        if not await training.is_due(connection, entry.home, now_s):
            return
        diary.trained_hour = hour
        self._trainings[entry.home.id] = asyncio.create_task(self._train_home(pool, entry, diary, now_s))

    async def _train_home(self, pool: Pool, entry: Entry, diary: _Diary, now_s: float) -> None:
        began_s = time.monotonic()
        try:
            async with pool.connection() as connection:
                deliveries = await training.train_home(connection, entry.home, now_s)
        except (PermanentError, TimeoutError, psycopg.OperationalError, psycopg_pool.PoolTimeout) as error:
            _complain(diary, entry, f"training failed: {error}")
            return
        for delivery in deliveries:
            self.publisher.model(delivery)
            logger.info(
                "model trained",
                extra={"home": entry.home.agent, "target": str(delivery.card.target), "version": delivery.card.version},
            )
        logger.info("training took", extra={"seconds": round(time.monotonic() - began_s, 1)})

    async def _repeat(self, connection: Connection, entry: Entry) -> None:
        """Tell the newest plan and models again: a broker that was restarted has forgotten them."""
        message = await plans.latest_message(connection, entry.home.id)
        if message is not None:
            self.publisher.plan(decode(message, Plan))
        for delivery in await training.latest_deliveries(connection, entry.home, self.clock.time()):
            self.publisher.model(delivery)

    async def _end_trainings(self) -> None:
        for task in self._trainings.values():
            task.cancel()
        await asyncio.gather(*self._trainings.values(), return_exceptions=True)


def _complain(diary: _Diary, entry: Entry, text: str) -> None:
    """Log a problem once, not at every look."""
    if text != diary.complaint:
        diary.complaint = text
        logger.warning("%s: %s", entry.home.agent, text)
