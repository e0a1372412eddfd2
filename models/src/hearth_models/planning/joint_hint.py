"""A course that cheats nobody, from one that may: it suggests how to settle the joint programme's switches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hearth_models.arrays import FloatArray
from hearth_models.planning.joint import Cells, Joint
from hearth_models.planning.programme import TINY
from hearth_models.planning.value import Market, best_course


def suggestions(joint: Joint, values: FloatArray) -> Iterator[FloatArray]:
    """Yield values in which everybody is on or off, and each battery does the best it can beside the others.

    Args:
        joint: The programme.
        values: Of its columns, perhaps against physics.

    Yields:
        Values that tell which way each power goes; the others may not fit them.
    """
    yield _suggestion(joint, values, stores_first=False)
    if joint.only_pv_in and (joint.is_burning & (joint.could_be_down_kw > TINY)).any():
        yield _suggestion(joint, values, stores_first=True)


def _suggestion(joint: Joint, values: FloatArray, *, stores_first: bool) -> FloatArray:
    """Return one suggestion; what may store PV only comes before turning PV down, or after it."""
    hinted = values.copy()
    can_spill = all(pv.can_curtail for pv in joint.problem.pv)
    # who is paid for drawing power turns PV down, unless selling it earns more
    drawing = -joint.buy * (joint.load_kw + joint.most_kw(1.0))
    does_spill = drawing > np.maximum(joint.sell * (joint.pv_kw - joint.load_kw), 0.0)
    spilled_kw = np.where(does_spill, joint.pv_kw, 0.0) * can_spill
    limits_w = [float(limit.max()) * 1000 for limit in joint.limits_kw]
    market = Market(joint.buy, np.maximum(joint.sell, 0.0) if can_spill else joint.sell, limits_w[0], limits_w[1])
    for tell in joint.blocky:
        for columns, power_kw in tell(values):
            hinted[columns] = power_kw
    for one in joint.cells:
        hinted[one.charge.columns] = hinted[one.discharge.columns] = 0.0
        down_kw = np.zeros(joint.n) if stores_first and not one.can_charge_from_grid else spilled_kw
        course_kw = _course_kw(joint, one, market, _net_kw(joint, hinted), down_kw)
        spilled_kw = np.where((course_kw < 0) & (down_kw < spilled_kw), 0.0, spilled_kw)
        # only the sum of a power's parts counts
        n = joint.n
        hinted[one.charge.columns[:n]] = np.maximum(-course_kw, 0.0)
        hinted[one.discharge.columns[:n]] = np.maximum(course_kw, 0.0)
    net_kw = _net_kw(joint, hinted) + spilled_kw
    hinted[joint.taken], hinted[joint.given] = np.maximum(net_kw, 0.0), np.maximum(-net_kw, 0.0)
    hinted[joint.taken_beyond] = hinted[joint.given_beyond] = 0.0
    hinted[joint.spilled] = spilled_kw
    return hinted


def _course_kw(joint: Joint, one: Cells, market: Market, others_kw: FloatArray, down_kw: FloatArray) -> FloatArray:
    """Return the best course of one battery beside everybody else and what is turned down, + = discharge."""
    lacking, rest_kw = joint.load_kw - joint.pv_kw, others_kw + down_kw
    lowest_kw, highest_kw = np.full(joint.n, -np.inf), np.full(joint.n, np.inf)
    if not one.can_charge_from_grid:
        lowest_kw = np.minimum(lacking + down_kw, 0.0)
    if not one.can_discharge_to_grid:
        highest_kw = np.where(lacking > 0, np.maximum(rest_kw, 0.0), 0.0)
    allowed_w = lowest_kw * 1000, highest_kw * 1000
    course_w = best_course(
        rest_kw * 1000, market, one.battery, one.stored_wh, joint.hours, one.end_eur_per_kwh, allowed_w
    )
    return course_w / 1000


def _net_kw(joint: Joint, values: FloatArray) -> FloatArray:
    """Return load and consumers minus PV and sources, nothing spilled."""
    flows = (flow.sign * flow.power_kw(values) for flow in joint.flows)
    return sum(flows, joint.load_kw - joint.pv_kw)
