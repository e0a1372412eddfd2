"""Plan one home: forecasts, prices, battery and charge go in, a stored plan comes out."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from hearth_core.messages import Plan, Target
from hearth_hub.database.pool import Connection
from hearth_hub.forecasts import repository as forecasts
from hearth_hub.forecasts.repository import Expectation
from hearth_hub.homes.repository import Home
from hearth_hub.plans import repository as plans
from hearth_hub.prices.consumption import so_far
from hearth_hub.prices.market import day_ahead
from hearth_hub.readings import repository as readings
from hearth_hub.readings.service import history
from hearth_hub.savings.service import rule_is_better
from hearth_hub.timing import instant_s
from hearth_models.forecasting import HORIZON_STEPS
from hearth_models.planning.cached import pack_consumed, pack_prices
from hearth_models.planning.outlook import PRICE_DAYS, STEP_S, KnownPrices, Outlook, look_ahead, plan_inputs
from hearth_models.planning.plan import make_plan
from hearth_models.planning.scenarios import PAST_DAYS

logger = logging.getLogger(__name__)

_DAY_AHEAD_STEPS = 96


@dataclass(frozen=True)
class Planned:
    """A plan, and whether a learned forecast of the agent was in it."""

    plan: Plan
    used_agent_forecast: bool


async def plan_home(connection: Connection, home: Home, now_s: float) -> Planned | None:
    """Make and store a plan.

    Returns:
        The plan; None where the home's prices depend on its zone's, and none of those is known.

    Raises:
        PlanError: The inputs cannot be planned with.
    """
    if home.site is None:
        return None
    start_s = now_s // STEP_S * STEP_S
    known = await _known_prices(connection, home.site.price_zone, start_s)
    consumed = await so_far(connection, home, home.site, instant_s(start_s))
    outlook = await look_ahead_of(connection, home, now_s)
    inputs = plan_inputs(home.site, now_s, known, consumed, outlook, await _charge(connection, home))
    if inputs is None:
        return None
    previous = await plans.latest_version(connection, home.id) or 0
    # never below the clock: a hub that lost its database must not number its plans anew, agents would refuse them
    version = max(previous + 1, int(now_s))
    plan = await asyncio.to_thread(make_plan, inputs, home.agent, version, int(now_s * 1000), home.site.timezone)
    plan = msgspec.structs.replace(
        plan,
        policy="rule" if await rule_is_better(connection, home) else plan.policy,
        market=pack_prices(known),
        consumed=pack_consumed(consumed),
    )
    await plans.store(connection, home.id, plan)
    await forecasts.expect(connection, home.id, _expectations(outlook, now_s))
    return Planned(plan, outlook.is_learned)


async def look_ahead_of(connection: Connection, home: Home, now_s: float) -> Outlook:
    """Return what is expected of a home by all the hub knows."""
    load, pv = await history(connection, home, now_s, PAST_DAYS)
    return look_ahead(load, pv, await forecasts.latest(connection, home.id), now_s)


async def _known_prices(connection: Connection, zone: str, start_s: float) -> KnownPrices:
    """Return the prices of the last week and those that lie ahead."""
    before = PRICE_DAYS * _DAY_AHEAD_STEPS
    first_s = start_s - before * STEP_S
    return KnownPrices(first_s, await day_ahead(connection, zone, instant_s(first_s), before + HORIZON_STEPS, STEP_S))


async def _charge(connection: Connection, home: Home) -> float | None:
    """Return the battery's charge [%]; None when nobody knows."""
    charges = [
        (one.at, one.points["soc_percent"])
        for one in await readings.latest(connection, home.id)
        if one.at is not None and "soc_percent" in one.points
    ]
    return float(max(charges)[1]) if charges else None


def _expectations(outlook: Outlook, now_s: float) -> list[Expectation]:
    """Return what is expected of the steps that begin within the coming day."""
    issued = instant_s(now_s)
    rows: list[Expectation] = []
    for target, forecast, naive in (
        (Target.LOAD, outlook.load, outlook.naive_load),
        (Target.PV, outlook.pv, outlook.naive_pv),
    ):
        first = instant_s(forecast.start_s)
        rows += [
            (
                target,
                first + timedelta(seconds=step * STEP_S),
                issued,
                float(forecast.p50_w[step]),
                float(naive.p50_w[step]),
            )
            for step in range(1, _DAY_AHEAD_STEPS + 1)
        ]
    return rows
