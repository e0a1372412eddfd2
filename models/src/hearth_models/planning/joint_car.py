"""Cars in the joint programme."""

from __future__ import annotations

import numpy as np

from hearth_models.arrays import FloatArray, IntArray
from hearth_models.planning.joint import TIE_EUR_PER_KWH, Flow, Joint
from hearth_models.planning.joint_stores import Store, storage
from hearth_models.planning.problem import Car, CarMode
from hearth_models.planning.programme import TINY, either

# Tiers below the fuse's: a kWh missing at departure.
MISSING_EUR_PER_KWH = 5.0
# "Now" means that waiting costs more than any price difference: a missing kWh costs this each hour.
WAITING_EUR_PER_KWH_H = 3.0


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
    rows = storage(joint, stored, moved, np.zeros(n), now)
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
