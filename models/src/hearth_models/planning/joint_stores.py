"""Batteries and cars in the joint programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_models.arrays import FloatArray, IntArray
from hearth_models.battery import Battery, Losses
from hearth_models.planning.joint import TIE_EUR_PER_KWH, TINY, Cells, Flow, Joint
from hearth_models.planning.problem import BatteryPart, Car, CarMode

# Tiers below the fuse's: a kWh below the lowest charge or the reserve for an hour, and one missing at departure.
BELOW_EUR_PER_KWH_H = 2.0
RESERVE_EUR_PER_KWH_H = 0.5
MISSING_EUR_PER_KWH = 5.0
# "Now" means that waiting costs more than any price difference: a missing kWh costs this each hour.
WAITING_EUR_PER_KWH_H = 3.0
_BANDS = (1 / 3, 2 / 3, 1.0)


@dataclass(frozen=True)
class Store:
    """Columns of something that stores energy."""

    name: str
    charge: IntArray
    discharge: IntArray | None
    stored: IntArray
    rows: IntArray
    """Whose duals are the worth of stored energy."""


def add_battery(joint: Joint, part: BatteryPart) -> Store:
    """Add a battery: losses that grow with power, its band, its reserve, its wear."""
    n, hours, programme = joint.n, joint.hours, joint.programme
    facts = Battery(
        part.capacity_wh,
        max(part.max_charge_w, 1.0),
        max(part.max_discharge_w, 1.0),
        part.min_soc_percent,
        part.max_soc_percent,
        part.efficiency,
        part.own_use_w,
        part.wear_eur_per_kwh,
    )
    charge, into = _bands(joint, part.max_charge_w, facts.charge_losses, -1)
    discharge, out_of = _bands(joint, part.max_discharge_w, facts.discharge_losses, 1)
    most_in, most_out = np.full(n, part.max_charge_w / 1000), np.full(n, part.max_discharge_w / 1000)
    outward = Flow(discharge, -1.0, most_out, part.phase)
    joint.flows += [Flow(charge, 1.0, most_in, part.phase), outward]
    joint.dimmable.append((charge, 1.0))
    low, high = facts.min_wh / 1000, facts.max_wh / 1000
    now = facts.stored_wh(part.soc_percent) / 1000
    # electronics draw from the cells even when nothing can charge them
    drained = part.own_use_w / 1000 * float(hours.sum())
    stored = programme.columns(n, lower=-drained, upper=max(high, now))
    steps = np.arange(n)
    below = joint.wish(part.name, "charge floor", "kWh", BELOW_EUR_PER_KWH_H * np.maximum(hours, 0.25), steps)
    programme.rows([(stored, 1.0), (below, 1.0)], lower=low)
    if now > high:
        above = joint.wish(part.name, "charge ceiling", "kWh", BELOW_EUR_PER_KWH_H * np.maximum(hours, 0.25), steps)
        programme.rows([(stored, 1.0), (above, -1.0)], upper=high)
    reserve = part.capacity_wh * part.reserve_soc_percent / 100_000
    if reserve > low:
        short = joint.wish(part.name, "reserve", "kWh", RESERVE_EUR_PER_KWH_H * hours, steps)
        programme.rows([(stored, 1.0), (short, 1.0)], lower=reserve)
    own = -part.own_use_w / 1000 * hours
    rows = _storage(joint, stored, [*into, *out_of], own, now)
    joint.wear.append((discharge, (part.wear_eur_per_kwh + TIE_EUR_PER_KWH) * hours))
    end = part.end_eur_per_kwh
    if end is None:
        mean = float(np.average(joint.problem.import_eur_per_kwh, weights=hours))
        end = max(mean, 0.0) * part.efficiency - part.wear_eur_per_kwh
    joint.ends.append((stored[-1:], -end))
    stored_wh = facts.stored_wh(part.soc_percent)
    may = part.can_charge_from_grid, part.can_discharge_to_grid
    joint.cells.append(Cells(charge, discharge, facts, stored_wh, end, *may))
    if not part.can_charge_from_grid:
        programme.rows([(charge, 1.0)], upper=np.maximum(joint.pv_kw - joint.load_kw, 0.0))
    if not part.can_discharge_to_grid:
        joint.only_inside_out.append(outward)
    joint.either(discharge, charge, most_out, most_in, joint.is_burning)
    programme.rest += [(charge, np.zeros(n)), (discharge, np.zeros(n))]
    return Store(part.name, charge, discharge, stored, rows)


def add_car(joint: Joint, car: Car) -> Store:
    """Add a car: nothing or its least current and more, between arrival and departure."""
    n, hours, programme = joint.n, joint.hours, joint.programme
    here = joint.problem.presence(car.arrives_s, car.departs_s)
    most, least = here * car.max_w / 1000, here * car.min_w / 1000
    phase = car.phase or 1 if car.phases == 1 and joint.problem.site.phases > 1 else None
    if car.mode is CarMode.PV_ONLY:
        most = np.minimum(most, np.maximum(joint.pv_kw - joint.load_kw, 0.0))
        most = np.where(most >= least, most, 0.0)
    charge = programme.columns(n, upper=most)
    joint.flows.append(Flow(charge, 1.0, most, phase))
    joint.dimmable.append((charge, 1.0))
    joint.switch(charge, least, most, lambda power: _enough_steps(power, least, most, hours))
    now, full, target = car.stored_wh / 1000, car.capacity_wh / 1000, car.target_wh / 1000
    stored = programme.columns(n, upper=full)
    moved = [(charge, -car.efficiency * hours)]
    discharge = None
    if car.max_discharge_w > 0 and car.mode is not CarMode.PV_ONLY:
        most_out = here * car.max_discharge_w / 1000
        discharge = programme.columns(n, upper=most_out)
        joint.flows.append(Flow(discharge, -1.0, most_out, phase))
        moved.append((discharge, hours / car.efficiency))
        joint.either(discharge, charge, most_out, most, joint.is_burning)
        programme.rest.append((discharge, np.zeros(n)))
        joint.wear.append((discharge, (car.wear_eur_per_kwh + TIE_EUR_PER_KWH) * hours))
        floor = np.minimum(car.reserve_wh / 1000, now)
        programme.rows([(stored, 1.0)], lower=floor)
    rows = _storage(joint, stored, moved, np.zeros(n), now)
    present = np.flatnonzero(here > 0)
    if len(present) and target > now:
        _want_full(joint, car, stored, present)
    return Store(car.name, charge, discharge, stored, rows)


def _enough_steps(power: FloatArray, least: FloatArray, most: FloatArray, hours: FloatArray) -> FloatArray:
    """Return in which steps to charge so that the energy of some charging can be had with nothing or the least.

    Args:
        power: Charging that obeys no least power [kW].
        least: The least power of each step.
        most: The most.
        hours: Length of each step.
    """
    wanted_kwh = float(power @ hours)
    order = np.argsort(-power, kind="stable")
    order = order[(most[order] > TINY) & (power[order] > TINY)]
    able = np.cumsum(most[order] * hours[order])
    forced = np.cumsum(least[order] * hours[order])
    # as many as are needed, then all that are meant, but no more than the least power of each allows
    needed = int(np.searchsorted(able, wanted_kwh - TINY)) + 1
    meant = int((power[order] >= least[order] / 2).sum())
    allowed = int(np.searchsorted(forced, wanted_kwh + TINY, side="right"))
    is_on = np.zeros(len(power))
    is_on[order[: min(max(needed, meant), allowed)]] = 1.0
    return is_on


def _want_full(joint: Joint, car: Car, stored: IntArray, present: IntArray) -> None:
    """Ask for the target at departure; when that lies beyond the plan, energy up to the target is worth its price."""
    rows, target = joint.programme.rows, car.target_wh / 1000
    last = present[-1:]
    if car.departs_s is not None and car.departs_s > joint.problem.begins_s[-1]:
        useful = joint.programme.columns(1, upper=target)
        rows([(useful, 1.0), (stored[last], -1.0)], upper=0.0)
        mean = float(np.average(joint.problem.import_eur_per_kwh, weights=joint.hours))
        joint.ends.append((useful, -max(mean, 0.0) / car.efficiency))
    else:
        missing = joint.wish(car.name, "full at departure", "kWh", MISSING_EUR_PER_KWH, last)
        rows([(stored[last], 1.0), (missing, 1.0)], lower=target)
    if car.mode is CarMode.NOW:
        waiting = joint.programme.columns(len(present))
        joint.tiers.append((waiting, WAITING_EUR_PER_KWH_H * joint.hours[present]))
        rows([(stored[present], 1.0), (waiting, 1.0)], lower=target)


def _bands(
    joint: Joint, most_w: float, losses: Losses, side: int
) -> tuple[IntArray, list[tuple[IntArray, FloatArray]]]:
    """Add AC power that is the sum of bands, each with the losses of its own power.

    Losses grow with the square of power, so later bands are dearer and the cheapest answer fills them in order.

    Args:
        joint: The programme.
        most_w: Most power [W].
        losses: Of its conversion; the constant part is left out, for it would need a switch in every step.
        side: -1 = into the cells, +1 = out of them.

    Returns:
        Columns of the AC power [kW], and what each band adds to the storage rows.
    """
    n = joint.n
    power = joint.programme.columns(n, upper=most_w / 1000)
    terms: list[tuple[IntArray, FloatArray | float]] = [(power, 1.0)]
    cells: list[tuple[IntArray, FloatArray]] = []
    before = 0.0
    for share in _BANDS:
        width = (share - before) * most_w
        loss = losses.proportional + losses.quadratic_per_w * (share + before) * most_w
        band = joint.programme.columns(n, upper=width / 1000)
        terms.append((band, -1.0))
        cells.append((band, side * (1 + side * loss) * joint.hours))
        before = share
    joint.programme.rows(terms, lower=0.0, upper=0.0)
    return power, cells


def _storage(
    joint: Joint, stored: IntArray, moved: list[tuple[IntArray, FloatArray]], own: FloatArray, now: float
) -> IntArray:
    """Let stored energy be what was there, and what was moved since."""
    first = joint.programme.rows(
        [(stored[:1], 1.0), *((columns[:1], factor[:1]) for columns, factor in moved)],
        lower=now + own[0],
        upper=now + own[0],
    )
    if joint.n == 1:
        return first
    later = joint.programme.rows(
        [(stored[1:], 1.0), (stored[:-1], -1.0), *((columns[1:], factor[1:]) for columns, factor in moved)],
        lower=own[1:],
        upper=own[1:],
    )
    return np.concatenate([first, later])
