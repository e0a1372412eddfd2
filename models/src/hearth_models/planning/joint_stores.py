"""Batteries and cars in the joint programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hearth_models.arrays import FloatArray, IntArray
from hearth_models.battery import Battery, Losses
from hearth_models.planning.joint import TIE_EUR_PER_KWH, Cells, Flow, Joint
from hearth_models.planning.problem import BatteryPart, Car, CarMode
from hearth_models.planning.programme import TINY, Parts, either

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
    charge: Flow
    discharge: Flow | None
    stored: IntArray
    below: IntArray | None
    """By how much the stored energy is less than ``stored`` says."""
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
    most_in = np.full(n, part.max_charge_w / 1000)
    if not part.can_charge_from_grid:
        most_in = np.minimum(most_in, np.maximum(joint.pv_kw - joint.load_kw, 0.0))
    most_out = np.full(n, part.max_discharge_w / 1000)
    into, into_cells = _bands(joint, part.max_charge_w, most_in, facts.charge_losses, -1)
    out_of, out_of_cells = _bands(joint, part.max_discharge_w, most_out, facts.discharge_losses, 1)
    charge = Flow.of([columns for columns, _ in into], 1.0, most_in, part.phase)
    discharge = Flow.of([columns for columns, _ in out_of], -1.0, most_out, part.phase)
    joint.flows += [charge, discharge]
    joint.dimmable.append(charge)
    now = facts.stored_wh(part.soc_percent) / 1000
    own = -part.own_use_w / 1000 * hours
    stored, below = _add_cells(joint, part, facts, now)
    moved = [*into_cells, *out_of_cells]
    rows = _storage(joint, stored, [*moved, (below, -np.ones(n))], own, now)
    programme.extend(rows[1:], below[:-1], np.ones(n - 1))
    joint.wear.append((discharge.columns, np.tile((part.wear_eur_per_kwh + TIE_EUR_PER_KWH) * hours, len(out_of))))
    end = part.end_eur_per_kwh
    if end is None:
        mean = float(np.average(joint.problem.import_eur_per_kwh, weights=hours))
        end = max(mean, 0.0) * part.efficiency - part.wear_eur_per_kwh
    joint.ends += [(stored[-1:], -end), (below[-1:], end)]
    stored_wh = facts.stored_wh(part.soc_percent)
    may = part.can_charge_from_grid, part.can_discharge_to_grid
    joint.cells.append(Cells(charge, discharge, facts, stored_wh, end, *may))
    if not part.can_charge_from_grid:
        joint.only_pv_in.append(into)
    if not part.can_discharge_to_grid:
        joint.only_inside_out.append(discharge)
    either(programme, out_of, into, is_tempting=joint.is_burning)
    programme.rest += [(flow.columns, np.zeros(len(flow.columns))) for flow in (charge, discharge)]
    return Store(part.name, charge, discharge, stored, below, rows)


def _add_cells(joint: Joint, part: BatteryPart, facts: Battery, now: float) -> tuple[IntArray, IntArray]:
    """Add the energy in the cells: within its band, and what is below it; the reserve and the ceiling are wishes.

    Electronics draw from the cells even when nothing can charge them, so they can be below the band, even below 0.

    Returns:
        Columns of the energy at the end of each step as if it were in the band, and of what it is below [kWh].
    """
    low, high, steps, hours = facts.min_wh / 1000, facts.max_wh / 1000, np.arange(joint.n), joint.hours
    rows = joint.programme.rows
    stored = joint.programme.columns(joint.n, lower=low, upper=max(high, now))
    below = joint.wish(part.name, "charge floor", "kWh", BELOW_EUR_PER_KWH_H * np.maximum(hours, 0.25), steps)
    if now > high:
        above = joint.wish(part.name, "charge ceiling", "kWh", BELOW_EUR_PER_KWH_H * np.maximum(hours, 0.25), steps)
        rows([(stored, 1.0), (above, -1.0)], upper=high)
    reserve = part.capacity_wh * part.reserve_soc_percent / 100_000
    if reserve > low:
        short = joint.wish(part.name, "reserve", "kWh", RESERVE_EUR_PER_KWH_H * hours, steps)
        rows([(stored, 1.0), (below, -1.0), (short, 1.0)], lower=reserve)
    return stored, below


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
    charging = Flow.of([charge], 1.0, most, phase)
    joint.flows.append(charging)
    joint.dimmable.append(charging)
    joint.switch(charge, least, most, lambda power: _enough_steps(power, least, most, hours))
    now, full, target = car.stored_wh / 1000, car.capacity_wh / 1000, car.target_wh / 1000
    gives = car.max_discharge_w > 0 and car.mode is not CarMode.PV_ONLY
    stored = programme.columns(n, lower=min(car.reserve_wh / 1000, now) if gives else 0.0, upper=full)
    moved = [(charge, -car.efficiency * hours)]
    discharging = None
    if gives:
        most_out = here * car.max_discharge_w / 1000
        discharge = programme.columns(n, upper=most_out)
        discharging = Flow.of([discharge], -1.0, most_out, phase)
        joint.flows.append(discharging)
        moved.append((discharge, hours / car.efficiency))
        either(programme, [(discharge, most_out)], [(charge, most)], is_tempting=joint.is_burning)
        programme.rest.append((discharge, np.zeros(n)))
        joint.wear.append((discharge, (car.wear_eur_per_kwh + TIE_EUR_PER_KWH) * hours))
    rows = _storage(joint, stored, moved, np.zeros(n), now)
    present = np.flatnonzero(here > 0)
    if len(present) and target > now:
        _want_full(joint, car, stored, present)
    return Store(car.name, charging, discharging, stored, None, rows)


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
    joint: Joint, rated_w: float, most_kw: FloatArray, losses: Losses, side: int
) -> tuple[Parts, list[tuple[IntArray, FloatArray]]]:
    """Add AC power as the sum of bands, each with the losses of its own power.

    Losses grow with the square of power, so later bands are dearer and the cheapest answer fills them in order.

    Args:
        joint: The programme.
        rated_w: Most power the losses are for [W].
        most_kw: Most power of each step.
        losses: Of its conversion; the constant part is left out, for it would need a switch in every step.
        side: -1 = into the cells, +1 = out of them.

    Returns:
        The bands [kW], and what each adds to the storage rows.
    """
    bands, cells = [], []
    before = 0.0
    for share in _BANDS:
        width_kw = np.clip(most_kw - before * rated_w / 1000, 0.0, (share - before) * rated_w / 1000)
        loss = losses.proportional + losses.quadratic_per_w * (share + before) * rated_w
        band = joint.programme.columns(joint.n, upper=width_kw)
        bands.append((band, width_kw))
        cells.append((band, side * (1 + side * loss) * joint.hours))
        before = share
    return bands, cells


def _storage(
    joint: Joint, stored: IntArray, moved: Sequence[tuple[IntArray, FloatArray]], own: FloatArray, now: float
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
