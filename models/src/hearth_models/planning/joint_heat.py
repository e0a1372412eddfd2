"""Rooms, tanks and appliances in the joint programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.joint import TINY, Flow, Joint
from hearth_models.planning.milp import Choice
from hearth_models.planning.problem import Appliance, Heat, Source

# Tiers: a degree outside the band for an hour, and an appliance that does not run.
COLD_EUR_PER_K_H = 1.0
WARM_EUR_PER_K_H = 0.3
UNDONE_EUR = 20.0


@dataclass(frozen=True)
class Warmth:
    """Columns of something that is kept warm."""

    name: str
    power: IntArray
    temperature: IntArray


@dataclass(frozen=True)
class Run:
    """Columns of an appliance: one for each step in which it may start."""

    name: str
    power: IntArray
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
    joint.flows.append(Flow(power, 1.0, most, source.phase))
    joint.dimmable.append((power, 1.0))
    if source.min_w > 0 or source.min_run_s > 0 or source.min_rest_s > 0:
        is_on = joint.switch(power, np.maximum(least, TINY), most, lambda some: _blocks(some, least, hours, source))
        _hold(joint, is_on, source.min_run_s, source.min_rest_s, is_running=source.is_running)
    capacity, loss = heat.capacity_wh_per_k / 1000, heat.loss_w_per_k / 1000
    keep, per_kw = _decay(capacity, loss, hours)
    around, gain = problem.series(heat.surroundings_c), problem.series(heat.gain_w) / 1000
    temperature = programme.columns(n, lower=-np.inf)
    drift = (1 - keep) * around + per_kw * gain
    programme.rows(
        [(temperature[:1], 1.0), (power[:1], -per_kw[:1] * cop[:1])],
        lower=drift[0] + keep[0] * heat.now_c,
        upper=drift[0] + keep[0] * heat.now_c,
    )
    if n > 1:
        programme.rows(
            [(temperature[1:], 1.0), (temperature[:-1], -keep[1:]), (power[1:], -per_kw[1:] * cop[1:])],
            lower=drift[1:],
            upper=drift[1:],
        )
    steps = np.arange(n)
    cold = joint.wish(heat.name, "warm enough", "K", COLD_EUR_PER_K_H * hours, steps)
    warm = joint.wish(heat.name, "not too warm", "K", WARM_EUR_PER_K_H * hours, steps)
    programme.rows([(temperature, 1.0), (cold, 1.0)], lower=problem.series(heat.low_c))
    programme.rows([(temperature, 1.0), (warm, -1.0)], upper=problem.series(heat.high_c))
    worth = heat.end_eur_per_k
    if worth == 0:
        mean = float(np.average(problem.import_eur_per_kwh, weights=hours))
        worth = max(mean, 0.0) / float(cop.mean()) * capacity * keep[-1]
    joint.ends.append((temperature[-1:], -worth))
    return Warmth(heat.name, power, temperature)


def add_appliance(joint: Joint, appliance: Appliance) -> Run:
    """Add an appliance that runs once, from the begin of one of the steps of its window."""
    edges = joint.problem.begins_s
    run_s = len(appliance.shape_w) * appliance.shape_step_s
    ready_s = edges[-1] if appliance.ready_by_s is None else min(appliance.ready_by_s, edges[-1])
    latest_s = ready_s - run_s
    steps = np.flatnonzero((edges[:-1] >= appliance.earliest_s - 1e-6) & (edges[:-1] <= latest_s + 1e-6))
    power_kw = np.array([_shape(joint, appliance, float(edges[step])) for step in steps]).reshape(len(steps), joint.n)
    starts = joint.programme.columns(len(steps), upper=1.0)
    undone = joint.wish(appliance.name, "run", "run", UNDONE_EUR, np.array([steps[-1] if len(steps) else 0]))
    joint.programme.rows([*((starts[k : k + 1], 1.0) for k in range(len(steps))), (undone, 1.0)], lower=1.0, upper=1.0)
    power = joint.programme.columns(joint.n)
    rows = joint.programme.rows([(power, 1.0)], lower=0.0, upper=0.0)
    start, step = np.nonzero(power_kw)
    joint.programme.extend(rows[step], starts[start], -power_kw[start, step])
    joint.flows.append(Flow(power, 1.0, power_kw.max(axis=0, initial=0.0), appliance.phase))

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
    joint.blocky.append(lambda values: [(power, settle(values) @ power_kw), (starts, settle(values))])
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


def _shape(joint: Joint, appliance: Appliance, start_s: float) -> FloatArray:
    """Return the mean power of each step when the run starts at a time, shape (n_steps,) [kW]."""
    edges = joint.problem.begins_s
    marks = start_s + np.arange(len(appliance.shape_w) + 1) * appliance.shape_step_s
    energy = np.concatenate([[0.0], np.cumsum(np.array(appliance.shape_w) * appliance.shape_step_s)])
    per_step: FloatArray = np.diff(np.interp(edges, marks, energy)) / np.array(joint.problem.steps_s) / 1000
    return per_step


def _hold(joint: Joint, is_on: IntArray, min_run_s: float, min_rest_s: float, *, is_running: bool) -> None:
    """Once started, run for a while; once stopped, rest for a while.

    What began before the plan may end at any step: how long it has lasted is the controller's to know.
    """
    edges, n = joint.problem.begins_s, joint.n
    before = np.concatenate([[-1], is_on[:-1]])
    for least_s, turns in ((min_run_s, True), (min_rest_s, False)):
        if least_s <= 0:
            continue
        ones: list[int] = []
        previous: list[int] = []
        later: list[int] = []
        for t in range(1 if is_running == turns else 0, n):
            for u in range(t + 1, n):
                if edges[u] >= edges[t] + least_s - 1e-6:
                    break
                ones.append(int(is_on[t]))
                previous.append(int(before[t]))
                later.append(int(is_on[u]))
        _follow(joint, np.array(ones, int), np.array(previous, int), np.array(later, int), turns=turns)
    if min_run_s > 0 or min_rest_s > 0:
        _must_be_true(joint, is_on)


def _follow(joint: Joint, now: IntArray, before: IntArray, later: IntArray, *, turns: bool) -> None:
    """Switch at u equals switch at t when it turned at t: on_t - on_(t-1) <= on_u, or the same for off."""
    sign = 1.0 if turns else -1.0
    upper = 0.0 if turns else 1.0
    first = before < 0
    for part, has_before in ((~first, True), (first, False)):
        if not part.any():
            continue
        terms = [(now[part], sign), (later[part], -sign)]
        known = 0.0 if turns else 1.0  # at the first step the opposite state came before
        if has_before:
            terms.append((before[part], -sign))
            joint.programme.rows(terms, upper=upper)
        else:
            joint.programme.rows(terms, upper=upper + sign * known)


def _must_be_true(joint: Joint, is_on: IntArray) -> None:
    """Runs and rests mean something for true switches only: a fraction anywhere makes all of them whole."""
    place, choice = next((at, one) for at, one in enumerate(joint.programme.choices) if one.columns is is_on)

    def is_broken(values: FloatArray) -> BoolArray:
        found = values[is_on]
        fraction = bool(((found > TINY) & (found < 1 - TINY)).any())
        return choice.is_broken(values) | fraction

    joint.programme.choices[place] = Choice(is_on, is_broken, choice.settle)
