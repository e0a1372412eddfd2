"""Batteries in the joint programme."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.battery import Battery, Losses
from hearth_models.planning.joint import TIE_EUR_PER_KWH, Cells, Flow, Joint
from hearth_models.planning.joint_bands import one_band, stated_bands
from hearth_models.planning.joint_stores import Store, storage
from hearth_models.planning.problem import BatteryPart
from hearth_models.planning.programme import TINY, Choice, Parts, either, total

# Tiers below the fuse's: a kWh below the lowest charge or the reserve for an hour.
BELOW_EUR_PER_KWH_H = 2.0
RESERVE_EUR_PER_KWH_H = 0.5
_BANDS = (1 / 3, 2 / 3, 1.0)


def add_battery(joint: Joint, part: BatteryPart) -> Store:
    """Add a battery: losses that grow with power, its band, its reserve, its wear."""
    n, hours, programme = joint.n, joint.hours, joint.programme
    facts = Battery(
        part.capacity_wh,
        max(part.max_charge_w, 1.0),
        max(part.max_discharge_w, 1.0),
        part.min_soc_percent,
        part.max_soc_percent,
        part.efficiency_at_half_power,
        part.own_use_w,
        part.wear_eur_per_kwh,
    )
    most_in = np.full(n, part.max_charge_w / 1000)
    if not part.can_charge_from_grid:
        most_in = np.minimum(most_in, np.maximum(joint.pv_kw - joint.load_kw, 0.0))
    most_out = np.full(n, part.max_discharge_w / 1000)
    if isinstance(part.efficiency, list):
        into, into_cells = stated_bands(joint, part.efficiency, most_in, -1)
        out_of, out_of_cells = stated_bands(joint, part.efficiency, most_out, 1)
        one_band(joint, part.efficiency, into, out_of)
    else:
        into, into_cells = _bands(joint, part.max_charge_w, most_in, facts.charge_losses, -1)
        out_of, out_of_cells = _bands(joint, part.max_discharge_w, most_out, facts.discharge_losses, 1)
        _in_order(joint, into)
        _in_order(joint, out_of)
        either(programme, out_of, into, is_tempting=joint.is_burning)
    charge = Flow.of([columns for columns, _ in into], 1.0, most_in, part.phase)
    discharge = Flow.of([columns for columns, _ in out_of], -1.0, most_out, part.phase)
    joint.flows += [charge, discharge]
    joint.dimmable.append(charge)
    now = facts.stored_wh(part.soc_percent) / 1000
    own = -part.own_use_w / 1000 * hours
    stored, below = _add_cells(joint, part, facts, now)
    moved = [*into_cells, *out_of_cells]
    rows = storage(joint, stored, [*moved, (below, -np.ones(n))], own, now)
    programme.extend(rows[1:], below[:-1], np.ones(n - 1))
    joint.wear.append((discharge.columns, np.tile((part.wear_eur_per_kwh + TIE_EUR_PER_KWH) * hours, len(out_of))))
    end = part.end_eur_per_kwh
    if end is None:
        mean = float(np.average(joint.problem.import_eur_per_kwh, weights=hours))
        end = max(mean, 0.0) * facts.efficiency - part.wear_eur_per_kwh
    joint.ends += [(stored[-1:], -end), (below[-1:], end)]
    stored_wh = facts.stored_wh(part.soc_percent)
    may = part.can_charge_from_grid, part.can_discharge_to_grid
    joint.cells.append(Cells(charge, discharge, facts, stored_wh, end, *may))
    if not part.can_charge_from_grid:
        joint.only_pv_in.append(into)
    if not part.can_discharge_to_grid:
        joint.only_inside_out.append(discharge)
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


def _bands(joint: Joint, rated_w: float, most_kw: FloatArray, losses: Losses, side: int) -> tuple[Parts, Parts]:
    """Add AC power as the sum of bands, each with the losses of its own power.

    Losses grow with the square of power, so later bands are dearer and the cheapest answer fills them in order, unless
    losing power pays.

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
    for share in _BANDS if losses.quadratic_per_w > 0 else (1.0,):
        width_kw = np.clip(most_kw - before * rated_w / 1000, 0.0, (share - before) * rated_w / 1000)
        loss = losses.proportional + losses.quadratic_per_w * (share + before) * rated_w
        band = joint.programme.columns(joint.n, upper=width_kw)
        bands.append((band, width_kw))
        cells.append((band, side * (1 + side * loss) * joint.hours))
        before = share
    return bands, cells


def _in_order(joint: Joint, bands: Parts) -> None:
    """Use a band only where the one below is full."""
    programme, n = joint.programme, joint.n
    for (low, low_kw), (high, high_kw) in pairwise(bands):
        is_full = programme.switches(n)
        programme.rows([(low, 1.0), (is_full, -low_kw)], lower=0.0)
        programme.rows([(high, 1.0), (is_full, -high_kw)], upper=0.0)
        programme.choices.append(_filled_first(is_full, low, low_kw, high, bands))
        programme.rest.append((is_full, np.zeros(n)))


def _filled_first(is_full: IntArray, low: IntArray, low_kw: FloatArray, high: IntArray, bands: Parts) -> Choice:
    below_kw = np.sum([most_kw for columns, most_kw in bands if columns[0] <= low[0]], axis=0)

    def is_broken(values: FloatArray) -> BoolArray:
        return (values[high] > TINY) & (values[low] < low_kw - TINY)

    def settle(values: FloatArray) -> FloatArray:
        settled: FloatArray = (total(bands, values) > below_kw).astype(np.float64)
        return settled

    return Choice(is_full, is_broken, settle)
