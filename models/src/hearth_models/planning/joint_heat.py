"""Rooms, tanks and appliances in the joint programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.joint import Flow, Joint
from hearth_models.planning.problem import Appliance, Heat, Source
from hearth_models.planning.programme import TINY, Choice

# Tiers: a degree outside the band for an hour, and an appliance that does not run.
COLD_EUR_PER_K_H = 1.0
WARM_EUR_PER_K_H = 0.3
UNDONE_EUR = 20.0


@dataclass(frozen=True)
class Warmth:
    """Columns of something that is kept warm."""

    name: str
    power: Flow
    temperature: IntArray
    """As if it were within its band."""
    cold: IntArray
    warm: IntArray
    """By how much it is below and above."""


@dataclass(frozen=True)
class Run:
    """Columns of an appliance: one for each step in which it may start."""

    name: str
    power: Flow
    starts: IntArray
    steps: IntArray


def add_heat(joint: Joint, heat: Heat) -> Warmth:
    """Add a room or a tank with what warms it; the band is a wish, losses are physics.

    Within a step the temperature follows its differential equation exactly for constant power (the exponential
    solution of the RC model), so that long steps are no less true than short ones.
    """
    n, hours, programme, problem = joint.n, joint.hours, joint.programme, joint.problem
    source = heat.source
    cop = problem.series(source.cop)
    most, least = np.full(n, source.max_w / 1000), np.full(n, source.min_w / 1000)
    power = programme.columns(n, upper=most)
    drawn = Flow.of([power], 1.0, most, source.phase)
    joint.flows.append(drawn)
    joint.dimmable.append(drawn)
    if source.min_w > 0 or source.min_run_s > 0 or source.min_rest_s > 0:
        is_on = joint.switch(power, np.maximum(least, TINY), most, lambda some: _blocks(some, least, hours, source))
        _hold(joint, is_on, power, source)
    capacity, loss = heat.capacity_wh_per_k / 1000, heat.loss_w_per_k / 1000
    keep, per_kw = _decay(capacity, loss, hours)
    around, gain = problem.series(heat.surroundings_c), problem.series(heat.gain_w) / 1000
    drift = (1 - keep) * around + per_kw * gain
    drift[0] += keep[0] * heat.now_c
    temperature = programme.columns(n, lower=problem.series(heat.low_c), upper=problem.series(heat.high_c))
    cold = joint.wish(heat.name, "warm enough", "K", COLD_EUR_PER_K_H * hours, np.arange(n))
    warm = joint.wish(heat.name, "not too warm", "K", WARM_EUR_PER_K_H * hours, np.arange(n))
    parts = [(temperature, 1.0), (cold, -1.0), (warm, 1.0)]
    rows = programme.rows([*parts, (power, -per_kw * cop)], lower=drift, upper=drift)
    for columns, sign in parts:
        programme.extend(rows[1:], columns[:-1], -sign * keep[1:])
    worth = heat.end_eur_per_k
    if worth == 0:
        mean = float(np.average(problem.import_eur_per_kwh, weights=hours))
        worth = max(mean, 0.0) / float(cop.mean()) * capacity * keep[-1]
    joint.ends += [(columns[-1:], -sign * worth) for columns, sign in parts]
    return Warmth(heat.name, drawn, temperature, cold, warm)


def add_appliance(joint: Joint, appliance: Appliance) -> Run:
    """Add an appliance that runs once, from the begin of one of the steps of its window."""
    edges = joint.problem.begins_s
    run_s = len(appliance.shape_w) * appliance.shape_step_s
    ready_s = edges[-1] if appliance.ready_by_s is None else min(appliance.ready_by_s, edges[-1])
    latest_s = ready_s - run_s
    steps = np.flatnonzero((edges[:-1] >= appliance.earliest_s - 1e-6) & (edges[:-1] <= latest_s + 1e-6))
    power_kw = _shapes(edges, appliance, edges[steps])
    starts = joint.programme.columns(len(steps), upper=1.0)
    undone = joint.wish(appliance.name, "run", "run", UNDONE_EUR, np.array([steps[-1] if len(steps) else 0]))
    once = joint.programme.rows([(undone, 1.0)], lower=1.0, upper=1.0)
    joint.programme.extend(np.repeat(once, len(starts)), starts, np.ones(len(starts)))
    start, step = np.nonzero(power_kw)
    highest_kw = power_kw.max(axis=0, initial=0.0)
    power = Flow(step, starts[start], power_kw[start, step], 1.0, highest_kw, appliance.phase)
    joint.flows.append(power)

    def is_broken(values: FloatArray) -> BoolArray:
        found = values[starts]
        broken: BoolArray = np.full(len(starts), bool(((found > TINY) & (found < 1 - TINY)).any()))
        return broken

    def settle(values: FloatArray) -> FloatArray:
        chosen = np.zeros(len(starts))
        if len(starts) and values[starts].sum() > 0.5:
            chosen[int(np.argmax(values[starts]))] = 1.0
        return chosen

    joint.programme.choices.append(Choice(starts, is_broken, settle))
    joint.blocky.append(lambda values: [(starts, settle(values))])
    joint.programme.rest.append((starts, np.zeros(len(starts))))
    return Run(appliance.name, power, starts, steps)


def _blocks(power: FloatArray, least: FloatArray, hours: FloatArray, source: Source) -> FloatArray:
    """Return when to run so that the heat of some course is made in time, in blocks and with the least power.

    It runs whenever it would fall behind the course, and stops when it is ahead of it.

    Args:
        power: A course that obeys neither least power nor blocks [kW].
        least: The least power of each step [kW].
        hours: Length of each step [h].
        source: How long it runs and rests at least.
    """
    is_on = np.zeros(len(power))
    running, lasted_h, ahead = source.is_running, np.inf, 0.0
    for step, wanted in enumerate(power.tolist()):
        behind = ahead - wanted * hours[step] < -TINY
        if running != behind and lasted_h >= (source.min_run_s if running else source.min_rest_s) / 3600 - 1e-9:
            running, lasted_h = behind, 0.0
        lasted_h += hours[step]
        is_on[step] = running
        ahead += ((max(wanted, least[step]) if running else 0.0) - wanted) * hours[step]
    return is_on


def _decay(capacity: float, loss: float, hours: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what is left of a difference to the surroundings after each step, and degrees for each kW of heat."""
    if loss <= 0:
        return np.ones(len(hours)), hours / capacity
    keep = np.exp(-loss / capacity * hours)
    return keep, (1 - keep) / loss


def _shapes(edges: FloatArray, appliance: Appliance, starts_s: FloatArray) -> FloatArray:
    """Return the mean power of each step for each start of a run, shape (n_starts, n_steps) [kW]."""
    shape_w, step_s = np.array(appliance.shape_w), appliance.shape_step_s
    energy_ws = np.concatenate([[0.0], np.cumsum(shape_w * step_s)])
    done_ws = np.interp(edges - starts_s[:, None], np.arange(len(energy_ws)) * step_s, energy_ws)
    power_kw: FloatArray = np.diff(done_ws) / np.diff(edges) / 1000
    return power_kw


def _hold(joint: Joint, is_on: IntArray, power: IntArray, source: Source) -> None:
    """Once started, run for a while; once stopped, rest for a while.

    What began before the plan may end at any step: how long it has lasted is the controller's to know.
    """
    edges, n = joint.problem.begins_s, joint.n
    pairs = []
    for least_s, turns in ((source.min_run_s, True), (source.min_rest_s, False)):
        reach = np.searchsorted(edges, edges[:n] + least_s - 1e-6)  # the first step that is free again
        first = 1 if source.is_running == turns else 0
        turned = np.repeat(np.arange(first, n), np.maximum(np.minimum(reach, n)[first:] - np.arange(first, n) - 1, 0))
        later = turned + 1 + _within_groups(turned)
        pairs.append((turned, later))
        _follow(joint, is_on, turned, later, turns=turns)
    if source.min_run_s > 0 or source.min_rest_s > 0:
        _must_hold(joint, is_on, power, pairs, is_running=source.is_running)


def _within_groups(groups: IntArray) -> IntArray:
    """Return the place of each value among its equals, which stand together."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return np.arange(len(groups)) - np.repeat(starts, np.diff(starts, append=len(groups)))


def _follow(joint: Joint, is_on: IntArray, turned: IntArray, later: IntArray, *, turns: bool) -> None:
    """A switch that turned at one step is the same later: on_t - on_(t-1) <= on_u, or the same for off."""
    if not len(turned):
        return
    sign = 1.0 if turns else -1.0
    # before the first step was the opposite state
    upper = np.where(turned > 0, 0.0 if turns else 1.0, 0.0)
    rows = joint.programme.rows([(is_on[turned], sign), (is_on[later], -sign)], upper=upper)
    known = turned > 0
    joint.programme.extend(rows[known], is_on[turned[known] - 1], np.full(int(known.sum()), -sign))


def _must_hold(
    joint: Joint, is_on: IntArray, power: IntArray, pairs: list[tuple[IntArray, IntArray]], *, is_running: bool
) -> None:
    """A run or rest that is too short makes all switches whole."""
    place, choice = next((at, one) for at, one in enumerate(joint.programme.choices) if one.columns is is_on)

    def is_broken(values: FloatArray) -> BoolArray:
        runs = values[power] > TINY
        before = np.concatenate([[is_running], runs[:-1]])
        short = False
        for (turned, later), state in zip(pairs, (True, False), strict=True):
            has_turned = (runs == state) & (before != state)
            short |= bool((has_turned[turned] & (runs[later] != state)).any())
        return choice.is_broken(values) | short

    joint.programme.choices[place] = Choice(is_on, is_broken, choice.settle)
