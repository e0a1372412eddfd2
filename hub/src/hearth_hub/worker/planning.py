"""Plan one home: forecasts, prices, battery and charge go in, a stored plan comes out."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import numpy as np

from hearth_core.messages import Forecast, ForecastSeries, Plan, Target
from hearth_hub.database.pool import Connection
from hearth_hub.forecasts import repository as forecasts
from hearth_hub.forecasts.repository import NAIVE, Expectation
from hearth_hub.homes.repository import Home
from hearth_hub.plans import repository as plans
from hearth_hub.prices.consumption import so_far
from hearth_hub.prices.market import day_ahead
from hearth_hub.prices.service import tariff_prices
from hearth_hub.readings import repository as readings
from hearth_hub.readings.service import history
from hearth_hub.savings.service import rule_is_better
from hearth_hub.timing import instant_s
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.forecasting import HORIZON_STEPS, History, Quantiles, seasonal_naive
from hearth_models.planning.inputs import PlanInputs, extend_prices
from hearth_models.planning.plan import make_plan
from hearth_models.planning.scenarios import PAST_DAYS

logger = logging.getLogger(__name__)

STEP_S = 900
_OLDEST_FORECAST_S = 3600.0
_PRICE_DAYS = 7
_DAY_AHEAD_STEPS = 96


@dataclass(frozen=True)
class Planned:
    """A plan, and whether a learned forecast of the agent was in it."""

    plan: Plan
    used_agent_forecast: bool


@dataclass(frozen=True)
class Outlook:
    """What is expected of a home."""

    load: Quantiles
    pv: Quantiles
    naive_load: Quantiles
    naive_pv: Quantiles
    past_net_w: FloatArray
    from_agent: bool


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
    before = _PRICE_DAYS * _DAY_AHEAD_STEPS
    prices = np.full(HORIZON_STEPS, np.nan)
    if np.isfinite(known).any():
        prices = extend_prices(known, start_s - before * STEP_S, STEP_S, before + HORIZON_STEPS)[before:]
    consumed = await so_far(connection, home, home.site, instant_s(start_s))
    import_price, export_price = tariff_prices(home.site, start_s, STEP_S, prices, consumed)
    if not np.isfinite(import_price + export_price).all():
        return None
    outlook = await look_ahead(connection, home, now_s)
    inputs = PlanInputs(
        start_s=start_s,
        step_s=STEP_S,
        import_eur_per_kwh=import_price,
        export_eur_per_kwh=export_price,
        load=outlook.load,
        pv=outlook.pv,
        battery=Battery.from_facts(home.site.battery) if home.site.battery else None,
        soc_percent=await _charge(connection, home),
        limits=home.site.limits,
        past_net_w=outlook.past_net_w,
    )
    previous = await plans.latest_version(connection, home.id) or 0
    # never below the clock: a hub that lost its database must not number its plans anew, agents would refuse them
    version = max(previous + 1, int(now_s))
    plan = await asyncio.to_thread(make_plan, inputs, home.agent, version, int(now_s * 1000), home.site.timezone)
    if await rule_is_better(connection, home):
        plan = msgspec.structs.replace(plan, policy="rule")
    await plans.store(connection, home.id, plan)
    await forecasts.expect(connection, home.id, _expectations(outlook, now_s))
    return Planned(plan, outlook.from_agent)


async def look_ahead(connection: Connection, home: Home, now_s: float) -> Outlook:
    """Return what is expected: the agent's learned forecast while it is young, else the seasonal-naive one."""
    load_history, pv_history = await history(connection, home, now_s, PAST_DAYS)
    naive_load = seasonal_naive(load_history, now_s, HORIZON_STEPS)
    naive_pv = seasonal_naive(pv_history, now_s, HORIZON_STEPS) if _measured(pv_history) else _nothing(naive_load)
    forecast = await forecasts.latest(connection, home.id)
    load, pv, from_agent = naive_load, naive_pv, False
    if forecast is not None and 0 <= now_s - forecast.issued_ms / 1000 <= _OLDEST_FORECAST_S:
        # the hub's own naive forecast knows all the history, the agent's only what it has seen since it was installed
        series = {one.target: one for one in forecast.series if one.model != NAIVE}
        if Target.LOAD in series:
            load = _aligned(forecast, series[Target.LOAD], naive_load)
            from_agent = load is not naive_load
        if Target.PV in series:
            pv = _aligned(forecast, series[Target.PV], naive_pv)
    return Outlook(load, pv, naive_load, naive_pv, _past_net(load_history, pv_history), from_agent)


def _aligned(forecast: Forecast, series: ForecastSeries, naive: Quantiles) -> Quantiles:
    """Cut a forecast to the steps of the plan; what it does not reach is filled with the naive one."""
    offset_s = naive.start_s - forecast.start_ms / 1000
    if forecast.step_s != naive.step_s or offset_s < 0 or offset_s % naive.step_s:
        return naive
    first = int(offset_s // naive.step_s)

    def cut(values: list[float], filler: FloatArray) -> FloatArray:
        ahead = np.array(values[first : first + len(filler)], dtype=np.float64)
        return np.concatenate([ahead, filler[len(ahead) :]])

    return Quantiles(
        naive.start_s,
        naive.step_s,
        cut(series.p10_w, naive.p10_w),
        cut(series.p50_w, naive.p50_w),
        cut(series.p90_w, naive.p90_w),
    )


def _measured(pv: History) -> bool:
    """Tell whether a home has PV: one that never measured any is not given the prior of an unknown load."""
    return bool(np.isfinite(pv.power_w).any())


def _nothing(like: Quantiles) -> Quantiles:
    zero = np.zeros_like(like.p50_w)
    return Quantiles(like.start_s, like.step_s, zero, zero, zero)


def _past_net(load: History, pv: History) -> FloatArray:
    """Return the net load up to now, shape (n,) [W]."""
    net: FloatArray = load.power_w - np.where(np.isnan(pv.power_w), 0.0, pv.power_w)
    return net


async def _known_prices(connection: Connection, zone: str, start_s: float) -> FloatArray:
    """Return the prices from a week ago to the last published one [EUR/kWh]."""
    before = _PRICE_DAYS * _DAY_AHEAD_STEPS
    start = instant_s(start_s - before * STEP_S)
    prices = await day_ahead(connection, zone, start, before + HORIZON_STEPS, STEP_S)
    known = np.flatnonzero(np.isfinite(prices))
    return prices[: known[-1] + 1] if len(known) else prices[:0]


async def _charge(connection: Connection, home: Home) -> float:
    """Return the battery's charge [%]; the lowest allowed one when nobody knows, so that nothing is promised."""
    charges = [
        (one.at, one.points["soc_percent"])
        for one in await readings.latest(connection, home.id)
        if one.at is not None and "soc_percent" in one.points
    ]
    if charges:
        return float(max(charges)[1])
    return home.site.battery.min_soc_percent if home.site and home.site.battery else 0.0


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
