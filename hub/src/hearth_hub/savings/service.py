"""What a span of a home's life cost, and what four other ways to live it would have cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from hearth_hub.database.pool import Connection
from hearth_hub.homes.repository import Home
from hearth_hub.plans.repository import first_issued, rule_days
from hearth_hub.prices.consumption import so_far
from hearth_hub.prices.market import day_ahead
from hearth_hub.prices.service import tariff_prices
from hearth_hub.readings.days import local_days
from hearth_hub.readings.service import Steps, measured
from hearth_hub.savings import repository
from hearth_hub.savings.repository import DayRow
from hearth_hub.timing import instant_s
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.ledger import DayCosts, choose_policy, day_costs, night_steps

STEP_S = 300
# A day with more holes than this says nothing about money.
_LEAST_MEASURED = 0.5
_COMPLETE = 0.98
# Readings of a home that was offline come within its spool's span; older days are left as they are.
_LOOK_BACK_DAYS = 8
_JUDGED_DAYS = 14


@dataclass(frozen=True)
class Reckoning:
    """Costs of a span, and how much of it was measured (share, 0..1)."""

    costs: DayCosts
    measured: float


async def reckon(connection: Connection, home: Home, start: datetime, end: datetime) -> Reckoning | None:
    """Return what a span cost; None where prices or too many readings are missing.

    Tiers and net metering are priced by what had been consumed before it, alike for every way to live it.

    Args:
        connection: Database.
        home: Home with a site.
        start: Start of the span; floored to the minute.
        end: End of the span, at most a day or so later; floored to whole steps.
    """
    start = instant_s(start.timestamp() // 60 * 60)
    n_steps = int((end - start).total_seconds() // STEP_S)
    if home.site is None or n_steps < 1:
        return None
    # one step more before the first: its counters are where the span begins
    steps = await measured(connection, home, start - timedelta(seconds=STEP_S), n_steps + 1, STEP_S)
    prices = await day_ahead(connection, home.site.price_zone, start, n_steps, STEP_S)
    share = float(np.isfinite(steps.flows.load_w[1:]).mean())
    consumed = await so_far(connection, home, home.site, start)
    import_price, export_price = tariff_prices(home.site, start.timestamp(), STEP_S, prices, consumed)
    if share < _LEAST_MEASURED or not np.isfinite(import_price + export_price).all():
        return None
    import_wh, export_wh = _grid_energy(steps)
    soc = steps.flows.soc_percent[np.isfinite(steps.flows.soc_percent)]
    has_battery = home.site.battery is not None and len(soc) > 0
    costs = await asyncio.to_thread(
        day_costs,
        STEP_S,
        _filled(steps.flows.load_w)[1:],
        np.maximum(_filled(steps.flows.pv_w), 0.0)[1:],
        import_wh,
        export_wh,
        import_price,
        export_price,
        Battery.from_facts(home.site.battery) if home.site.battery and has_battery else None,
        float(soc[0]) if has_battery else 0.0,
        float(soc[-1]) if has_battery else 0.0,
        night=night_steps(start.timestamp(), STEP_S, n_steps, home.site.timezone),
    )
    return Reckoning(costs, share)


async def update(connection: Connection, home: Home, at: datetime) -> int:
    """Reckon every day of the last week that is not finished, and the running one.

    Returns:
        How many days were reckoned.
    """
    since = await first_issued(connection, home.id)
    if home.site is None or since is None:
        return 0  # before the first plan the home was not ours to answer for
    start = max(since, at - timedelta(days=_LOOK_BACK_DAYS))
    done = await repository.complete_days(connection, home.id, (start - timedelta(days=1)).date())
    reckoned = 0
    for day, begin, end in local_days(home.site.timezone, start, at):
        first = max(begin, _floored(since))  # the day we took over counts from then on
        if day in done or (found := await reckon(connection, home, first, min(end, at))) is None:
            continue
        complete = end <= at and found.measured >= _COMPLETE
        await repository.upsert(connection, home.id, _row(day, found.costs, complete=complete))
        reckoned += 1
    return reckoned


async def rule_is_better(connection: Connection, home: Home) -> bool:
    """Tell whether plain self-consumption has earned as much in the last two weeks as the plans.

    No home shall fare worse with Hearth than with its inverter's own mode. What a plan would have earned on days that
    were lived by the rule is unknown; so when those fill the two weeks, the home tries plans again.
    """
    rows = [row for row in await repository.last_days(connection, home.id, _JUDGED_DAYS) if row.complete]
    if home.site is None or not rows:
        return False
    by_rule = await rule_days(connection, home.id, home.site.timezone, rows[0].day)
    planned_eur = np.array([np.nan if row.day in by_rule else row.realised_eur for row in rows])
    return choose_policy(planned_eur, np.array([row.self_consumption_eur for row in rows])) == "rule"


def _floored(at: datetime) -> datetime:
    return instant_s(at.timestamp() // STEP_S * STEP_S)


def _row(day: date, costs: DayCosts, *, complete: bool) -> DayRow:
    return DayRow(
        day,
        costs.realised_eur,
        costs.no_battery_eur,
        costs.self_consumption_eur,
        costs.night_timer_eur,
        costs.perfect_foresight_eur,
        complete,
    )


def _grid_energy(steps: Steps) -> tuple[FloatArray, FloatArray]:
    """Return import and export of each step [Wh], from the counters; from the power where they say nothing."""
    power_w = _filled(steps.flows.grid_w)[1:]
    hours = STEP_S / 3600
    from_power = (np.maximum(power_w, 0.0) * hours, np.maximum(-power_w, 0.0) * hours)
    energies = []
    for counter, fallback in zip((steps.import_counter_wh, steps.export_counter_wh), from_power, strict=True):
        grown = np.diff(counter)
        energies.append(np.where(np.isfinite(grown) & (grown >= 0), grown, fallback))
    return energies[0], energies[1]


def _filled(power_w: FloatArray) -> FloatArray:
    """Fill holes between what was measured before and after; zeros where nothing was measured at all."""
    known = np.isfinite(power_w)
    if not known.any():
        return np.zeros_like(power_w)
    places = np.arange(len(power_w))
    return np.interp(places, places[known], power_w[known])
