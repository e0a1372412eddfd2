"""What a home expects of its next two days, and the inputs of its plan: the same rules at the hub and at home."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_core.messages import SEASONAL_NAIVE, Forecast, ForecastSeries, Target
from hearth_core.site import Site
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.forecasting import HORIZON_STEPS, History, Quantiles, seasonal_naive
from hearth_models.planning.inputs import PlanInputs, extend_prices
from hearth_models.planning.scenarios import PAST_DAYS
from hearth_models.tariffs import SoFar
from hearth_models.tariffs import prices as tariff_prices

STEP_S = 900
PRICE_DAYS = 7
"""So many days of market prices say what is to be expected beyond the last published one."""
_OLDEST_FORECAST_S = 3600.0


@dataclass(frozen=True)
class Outlook:
    """What is expected of a home."""

    load: Quantiles
    pv: Quantiles
    naive_load: Quantiles
    naive_pv: Quantiles
    past_net_w: FloatArray
    """Net load of the last days, up to now [W]."""
    is_learned: bool
    """Whether a learned forecast of the load is in it."""


@dataclass(frozen=True)
class KnownPrices:
    """Published day-ahead prices in steps of ``STEP_S`` from ``start_s`` on, NaN where none is known [EUR/kWh]."""

    start_s: float
    eur_per_kwh: FloatArray

    def ahead(self, start_s: float, n_steps: int = HORIZON_STEPS) -> FloatArray:
        """Return the prices of the steps from an instant on.

        What is not published is the mean of the same slots of the last published days.

        Args:
            start_s: Begin of the first step; a multiple of ``STEP_S`` from ``self.start_s`` on [s].
            n_steps: How many steps.

        Returns:
            Shape (n_steps,); all NaN when nothing is known at all.
        """
        known = np.flatnonzero(np.isfinite(self.eur_per_kwh))
        if not len(known):
            return np.full(n_steps, np.nan)
        before = round((start_s - self.start_s) / STEP_S)
        published = self.eur_per_kwh[: known[-1] + 1]
        return extend_prices(published, self.start_s, STEP_S, before + n_steps, PRICE_DAYS)[before:]


def look_ahead(load: History, pv: History, forecast: Forecast | None, now_s: float) -> Outlook:
    """Return what is expected: the agent's learned forecast while it is young, else the seasonal-naive one.

    Args:
        load: Past load; of the last ``PAST_DAYS`` days, as far as it is known.
        pv: Past PV of the same steps.
        forecast: The agent's newest forecast.
        now_s: Now [s].
    """
    naive_load = seasonal_naive(load, now_s, HORIZON_STEPS)
    # a home that never measured any PV is not given the prior of an unknown load
    has_pv = bool(np.isfinite(pv.power_w).any())
    naive_pv = seasonal_naive(pv, now_s, HORIZON_STEPS) if has_pv else _nothing(naive_load)
    expected_load, expected_pv, is_learned = naive_load, naive_pv, False
    if forecast is not None and 0 <= now_s - forecast.issued_ms / 1000 <= _OLDEST_FORECAST_S:
        # a naive forecast made here knows all the history that was given
        series = {one.target: one for one in forecast.series if one.model != SEASONAL_NAIVE}
        if Target.LOAD in series:
            expected_load = _aligned(forecast, series[Target.LOAD], naive_load)
            is_learned = expected_load is not naive_load
        if Target.PV in series:
            expected_pv = _aligned(forecast, series[Target.PV], naive_pv)
    past_net_w: FloatArray = load.power_w - np.where(np.isnan(pv.power_w), 0.0, pv.power_w)
    return Outlook(expected_load, expected_pv, naive_load, naive_pv, past_net_w, is_learned)


def plan_inputs(
    site: Site, now_s: float, known: KnownPrices, so_far: SoFar, outlook: Outlook, soc_percent: float | None
) -> PlanInputs | None:
    """Return what a home's plan is made from.

    Args:
        site: Tariff, limits and battery.
        now_s: Now [s].
        known: Market prices, from days ago on.
        so_far: What month and net metering period have seen.
        outlook: Of the present quarter-hour.
        soc_percent: Charge of the battery; None when nobody knows: then the lowest allowed, so that nothing is
            promised.

    Returns:
        None where prices depend on the market, and none of its prices is known.

    Raises:
        PlanError: The inputs cannot be planned with.
    """
    start_s = now_s // STEP_S * STEP_S
    at_s = start_s + STEP_S * np.arange(HORIZON_STEPS, dtype=np.float64)
    buys, sells = tariff_prices(site.tariff, at_s, known.ahead(start_s), site.timezone, so_far)
    if not np.isfinite(buys + sells).all():
        return None
    facts = site.battery
    lowest = facts.min_soc_percent if facts else 0.0
    return PlanInputs(
        start_s=start_s,
        step_s=STEP_S,
        import_eur_per_kwh=buys,
        export_eur_per_kwh=sells,
        load=outlook.load,
        pv=outlook.pv,
        battery=Battery.from_facts(facts) if facts else None,
        soc_percent=lowest if soc_percent is None else soc_percent,
        limits=site.limits,
        past_net_w=outlook.past_net_w[-PAST_DAYS * 86_400 // STEP_S :],
    )


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


def _nothing(like: Quantiles) -> Quantiles:
    zero = np.zeros_like(like.p50_w)
    return Quantiles(like.start_s, like.step_s, zero, zero, zero)
