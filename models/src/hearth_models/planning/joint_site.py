"""Limits of the connection in the joint programme: phases, dimming, and what may serve the home only."""

from __future__ import annotations

import numpy as np

from hearth_models.arrays import FloatArray
from hearth_models.planning.joint import BEYOND_EUR_PER_KWH, Joint
from hearth_models.planning.programme import TINY, either


def add_site(joint: Joint) -> None:
    """Add every limit there is; all assets and the grid must be there."""
    _stay_inside(joint)
    _store_what_is_made(joint)
    _add_phases(joint)
    _add_dimming(joint)


def _stay_inside(joint: Joint) -> None:
    """What may serve the home only covers what PV leaves of load and consumers; beside a surplus it rests."""
    if not joint.only_inside_out:
        return
    lacking = joint.load_kw - joint.pv_kw
    rows = joint.programme.empty_rows(joint.n, upper=np.maximum(lacking, 0.0))
    for flow in joint.only_inside_out:
        joint.programme.extend(rows[flow.steps], flow.columns, flow.factors)
    is_short = (lacking > 0).astype(np.float64)
    for flow in joint.flows:
        if flow.sign > 0:
            joint.programme.extend(rows[flow.steps], flow.columns, -flow.factors * is_short[flow.steps])


def _store_what_is_made(joint: Joint) -> None:
    """Whoever is paid for drawing power turns PV down; what may store PV only has nothing to store then."""
    steps = np.flatnonzero(joint.is_burning & (joint.could_be_down_kw > TINY))
    if not len(steps):
        return
    for parts in joint.only_pv_in:
        inward = [(columns[steps], most_kw[steps]) for columns, most_kw in parts]
        down = [(joint.spilled[steps], joint.could_be_down_kw[steps])]
        either(joint.programme, inward, down, is_tempting=np.ones(len(steps), np.bool_))


def _add_phases(joint: Joint) -> None:
    """No phase draws more than its fuse; feeding in is limited alike."""
    problem, site = joint.problem, joint.problem.site
    shares = np.array(site.load_phase_shares or [1.0] * site.phases)
    shares = shares / shares.sum()
    same = len(set(shares.tolist())) == 1 and all(flow.phase is None for flow in joint.flows)
    same = same and all(pv.phase is None for pv in problem.pv)
    if same:
        return  # the limit of all phases together says it
    for phase in range(1, site.phases + 1):
        fixed = joint.load_kw * shares[phase - 1]
        for pv in problem.pv:
            fixed = fixed - np.array(pv.power_w) / 1000 * _part(pv.phase, phase, site.phases)
        _add_phase(joint, phase, fixed)


def _add_phase(joint: Joint, phase: int, fixed: FloatArray) -> None:
    """Limit one phase in the steps in which assets could overload it."""
    site, programme = joint.problem.site, joint.programme
    fuse_kw = site.fuse_w / 1000
    parts = [(flow, _part(flow.phase, phase, site.phases)) for flow in joint.flows]
    high, low = fixed.copy(), fixed.copy()
    for flow, part in parts:
        (high if flow.sign > 0 else low)[:] += flow.sign * part * flow.most_kw
    spilled = 1.0 / site.phases
    high += spilled * joint.pv_kw
    loaded = np.flatnonzero((high > fuse_kw - TINY) | (low < TINY - fuse_kw))
    if not len(loaded):
        return
    over = joint.wish("site", f"fuse of L{phase}", "kW", BEYOND_EUR_PER_KWH * joint.hours[loaded], loaded)
    place = np.full(joint.n, -1)
    place[loaded] = np.arange(len(loaded))
    terms = (joint.spilled[loaded], spilled)
    for rows in (
        programme.rows([terms, (over, -1.0)], upper=fuse_kw - fixed[loaded]),
        programme.rows([terms, (over, 1.0)], lower=-fuse_kw - fixed[loaded]),
    ):
        for flow, part in parts:
            inside = place[flow.steps] >= 0
            if part:
                factors = flow.sign * part * flow.factors[inside]
                programme.extend(rows[place[flow.steps[inside]]], flow.columns[inside], factors)


def _add_dimming(joint: Joint) -> None:
    problem = joint.problem
    if problem.site.dimmed_w is None or not joint.dimmable:
        return
    most = np.maximum(problem.series(problem.site.dimmed_w), 0.0) / 1000 + joint.pv_kw
    over = joint.wish("site", "dimming", "kW", BEYOND_EUR_PER_KWH * joint.hours, np.arange(joint.n))
    rows = joint.programme.rows([(over, -1.0)], upper=most)
    for flow in joint.dimmable:
        joint.programme.extend(rows[flow.steps], flow.columns, flow.factors)


def _part(asset_phase: int | None, phase: int, phases: int) -> float:
    """Return which part of an asset's power is on a phase; one beyond those the site has is on the first."""
    if asset_phase is None:
        return 1.0 / phases
    return 1.0 if phase == (asset_phase if asset_phase <= phases else 1) else 0.0
