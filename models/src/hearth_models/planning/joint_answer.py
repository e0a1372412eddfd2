"""A plan for the whole home, and what it says: powers, money, broken wishes, marginal prices and reasons."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from hearth_models.arrays import FloatArray
from hearth_models.planning.joint import Joint, Price
from hearth_models.planning.joint_battery import add_battery
from hearth_models.planning.joint_car import add_car
from hearth_models.planning.joint_heat import Run, Warmth, add_appliance, add_heat
from hearth_models.planning.joint_hint import suggestions
from hearth_models.planning.joint_site import add_site
from hearth_models.planning.joint_stores import Store
from hearth_models.planning.joint_words import BrokenWish, Words, broken_wishes
from hearth_models.planning.problem import Problem
from hearth_models.planning.problem_check import check
from hearth_models.planning.search import TIME_LIMIT_S, Search

# Over two days; what tomorrow's forecast errs by is worth fifty times as much.
GOOD_ENOUGH_EUR = 0.02
_DIGITS_W, _DIGITS_EUR, _DIGITS_C = 1, 5, 3


class AssetPlan(msgspec.Struct, kw_only=True, frozen=True):
    """What one asset does; lists have one value a step."""

    name: str
    power_w: list[float]
    """At the busbar: + = consumes; a battery that discharges is negative."""
    stored_wh: list[float] | None = None
    """At the end of each step."""
    worth_eur_per_kwh: list[float] | None = None
    """Of one more kWh in store at the end of each step."""
    temperature_c: list[float] | None = None
    """At the end of each step."""
    starts_step: int | None = None
    reasons: list[str] = []
    """One for each span in which it is active."""


class Money(msgspec.Struct, kw_only=True, frozen=True):
    """What the plan costs [EUR]."""

    grid: float
    """Import minus feed-in, demand charges included."""
    wear: float
    broken_wishes: float
    left_in_store: float
    """Worth of what is left at the end; taken off."""
    total: float


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """A plan; there always is one."""

    is_proven: bool
    """Whether nothing cheaper exists."""
    may_miss_eur: float | None
    """By how much something cheaper could exist at most; None when time was too short to know."""
    money_eur: Money
    grid_w: list[float]
    """+ = import."""
    spilled_pv_w: list[float]
    marginal_eur_per_kwh: list[float]
    """What one more kWh of load in a step would cost."""
    assets: list[AssetPlan]
    broken: list[BrokenWish]


def plan_home(problem: Problem, time_limit_s: float = TIME_LIMIT_S, good_enough_eur: float = GOOD_ENOUGH_EUR) -> Answer:
    """Plan a whole home.

    Args:
        problem: What is known.
        time_limit_s: After this the best known plan is returned; to rest when none is known [s].
        good_enough_eur: A plan that can be bettered by no more than this is taken at once.

    Returns:
        The plan. The same problem gives the same plan, whatever the order of its assets.

    Raises:
        PlanError: The problem is nonsense; the field is named.
    """
    check(problem)
    joint, stores, warmths, runs = build(problem)
    search = Search(joint.programme, joint.cost, time_limit_s)
    found = search.solve(good_enough=good_enough_eur)
    words = Words(problem)
    duals = search.duals(found.values)
    marginal = duals[joint.balance_rows] / joint.hours
    assets = {one.name: _store_plan(one, found.values, duals, words) for one in stores}
    assets |= {one.name: _warmth_plan(one, found.values, words) for one in warmths}
    assets |= {one.name: _run_plan(one, found.values, words) for one in runs}
    asked = [one.name for group in (problem.batteries, problem.cars, problem.heat, problem.appliances) for one in group]
    taken = found.values[joint.taken] + found.values[joint.taken_beyond]
    given = found.values[joint.given] + found.values[joint.given_beyond]
    return Answer(
        is_proven=found.is_proven,
        may_miss_eur=round(max(found.gap, 0.0), _DIGITS_EUR) if math.isfinite(found.gap) else None,
        money_eur=_money(joint, found.values),
        grid_w=_watts(taken - given),
        spilled_pv_w=_watts(found.values[joint.spilled]),
        marginal_eur_per_kwh=_rounded(marginal, _DIGITS_EUR),
        assets=[assets[name] for name in asked],
        broken=broken_wishes(joint, found.values, words),
    )


def build(problem: Problem) -> tuple[Joint, list[Store], list[Warmth], list[Run]]:
    """Return the programme of a problem that has been checked, with the columns of its assets."""
    joint = Joint(problem)
    stores = [add_battery(joint, one) for one in _by_name(problem.batteries)]
    stores += [add_car(joint, one) for one in _by_name(problem.cars)]
    warmths = [add_heat(joint, one) for one in _by_name(problem.heat)]
    runs = [add_appliance(joint, one) for one in _by_name(problem.appliances)]
    joint.close()
    add_site(joint)
    joint.programme.hint = lambda values: suggestions(joint, values)
    return joint, stores, warmths, runs


def _by_name(parts: list) -> list:  # type: ignore[type-arg]  # of any kind of part
    return sorted(parts, key=lambda part: part.name)


def _money(joint: Joint, values: FloatArray) -> Money:
    def total(prices: list[Price]) -> float:
        return float(joint.programme.cost(prices) @ values)

    grid, wear, broken, ends = (total(prices) for prices in (joint.money, joint.wear, joint.tiers, joint.ends))
    return Money(
        grid=round(grid, _DIGITS_EUR),
        wear=round(wear, _DIGITS_EUR),
        broken_wishes=round(broken, _DIGITS_EUR),
        left_in_store=round(-ends, _DIGITS_EUR),
        total=round(grid + wear + broken + ends, _DIGITS_EUR),
    )


def _store_plan(store: Store, values: FloatArray, duals: FloatArray, words: Words) -> AssetPlan:
    power, stored = store.charge.power_kw(values), values[store.stored]
    if store.discharge is not None:
        power = power - store.discharge.power_kw(values)
    if store.below is not None:
        stored = stored - values[store.below]
    return AssetPlan(
        name=store.name,
        power_w=_watts(power),
        stored_wh=_watts(stored),
        worth_eur_per_kwh=_rounded(-duals[store.rows], _DIGITS_EUR),
        reasons=words.spans(power * 1000),
    )


def _warmth_plan(one: Warmth, values: FloatArray, words: Words) -> AssetPlan:
    power = one.power.power_kw(values)
    temperature = _rounded(values[one.temperature] - values[one.cold] + values[one.warm], _DIGITS_C)
    return AssetPlan(name=one.name, power_w=_watts(power), temperature_c=temperature, reasons=words.spans(power * 1000))


def _run_plan(run: Run, values: FloatArray, words: Words) -> AssetPlan:
    chosen = np.flatnonzero(values[run.starts] > 0.5)
    power = run.power.power_kw(values)
    starts_step = int(run.steps[chosen[0]]) if len(chosen) else None
    return AssetPlan(name=run.name, power_w=_watts(power), starts_step=starts_step, reasons=words.spans(power * 1000))


def _watts(kilo: FloatArray) -> list[float]:
    return _rounded(kilo * 1000, _DIGITS_W)


def _rounded(values: FloatArray, digits: int) -> list[float]:
    found: list[float] = (np.round(values, digits) + 0.0).tolist()
    return found
