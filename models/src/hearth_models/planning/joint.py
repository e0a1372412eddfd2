"""One programme for the whole home: every asset brings its columns and rows, and they meet at the busbar.

Only physics is hard. Every wish (fuse, limits, reserve, a full car, a warm room, clean dishes) has its own price tier,
so an answer always comes back and says which wishes it broke. Powers are in kW, energies in kWh, temperatures in degC.
Assets are built in the order of their names, so that the order in which they are given changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.milp import TIME_LIMIT_S, Choice, Programme, Search, Solution
from hearth_models.planning.problem import DemandCharge, Problem

# What a kWh beyond the fuse or a limit costs; dearer than any tariff and than every other wish.
BEYOND_EUR_PER_KWH = 10.0
# Less than this is nothing [kW].
TINY = 1e-6
_SPILL_EUR_PER_KWH = 1e-6
_UNLIMITED_KW = 1000.0

Price = tuple[IntArray, FloatArray | float]


@dataclass(frozen=True)
class Flow:
    """Power of an asset at the busbar, + = it consumes."""

    columns: IntArray
    sign: float
    phase: int | None
    """None: evenly on all phases."""


@dataclass(frozen=True)
class Wish:
    """Something that may be broken, at a price."""

    asset: str
    what: str
    columns: IntArray
    unit: str
    steps: IntArray
    """Which step each column belongs to."""


@dataclass
class Joint:
    """The programme while assets add to it."""

    problem: Problem
    programme: Programme = field(default_factory=Programme)
    flows: list[Flow] = field(default_factory=list)
    dimmable: list[tuple[IntArray, float]] = field(default_factory=list)
    """What a grid operator may dim, with its sign."""
    money: list[Price] = field(default_factory=list)
    wear: list[Price] = field(default_factory=list)
    tiers: list[Price] = field(default_factory=list)
    ends: list[Price] = field(default_factory=list)
    """What is left at the end is worth; negative prices."""
    wishes: list[Wish] = field(default_factory=list)
    only_own_in: list[IntArray] = field(default_factory=list)
    """Charging that may not happen while power is imported."""
    only_inside_out: list[IntArray] = field(default_factory=list)
    """Discharging that may not happen while power is exported."""

    def __post_init__(self) -> None:
        self.n = self.problem.n_steps
        self.hours = self.problem.hours
        self.load_kw = np.array(self.problem.load_w) / 1000
        self.pv_kw = sum((np.array(pv.power_w) / 1000 for pv in self.problem.pv), np.zeros(self.n))
        self.balance_rows = np.arange(0)

    def wish(self, asset: str, what: str, unit: str, price: FloatArray | float, steps: IntArray) -> IntArray:
        """Add columns, one for each of some steps, that measure how far a wish is broken, and their price."""
        columns = self.programme.columns(len(steps))
        self.tiers.append((columns, price))
        self.wishes.append(Wish(asset, what, columns, unit, steps))
        return columns

    def switch(self, columns: IntArray, least: FloatArray, most: FloatArray) -> IntArray:
        """Let columns be 0 or within ``least..most``, and return the switches."""
        is_on = self.programme.columns(len(columns), upper=1.0)
        self.programme.rows([(columns, 1.0), (is_on, -least)], lower=0.0)
        self.programme.rows([(columns, 1.0), (is_on, -most)], upper=0.0)

        def is_weak(values: FloatArray) -> BoolArray:
            return (values[columns] > TINY) & (values[columns] < least - TINY)

        def settle(values: FloatArray) -> FloatArray:
            return (values[columns] >= np.maximum(least / 2, TINY)).astype(np.float64)

        self.programme.choices.append(Choice(is_on, is_weak, settle))
        self.programme.rest += [(is_on, np.zeros(len(columns))), (columns, np.zeros(len(columns)))]
        return is_on

    def either(self, one: IntArray, other: IntArray, most_one: FloatArray, most_other: FloatArray) -> None:
        """Let two columns of a step never be above 0 together."""
        is_one = self.programme.columns(len(one), upper=1.0)
        self.programme.rows([(one, 1.0), (is_one, -most_one)], upper=0.0)
        self.programme.rows([(other, 1.0), (is_one, most_other)], upper=most_other)

        def is_broken(values: FloatArray) -> BoolArray:
            return (values[one] > TINY) & (values[other] > TINY)

        def settle(values: FloatArray) -> FloatArray:
            return (values[one] > values[other]).astype(np.float64)

        self.programme.choices.append(Choice(is_one, is_broken, settle))
        self.programme.rest += [(columns, np.zeros(len(columns))) for columns in (is_one, one, other)]

    def close(self) -> None:
        """Add what all assets share: balance, grid, phases, dimming and demand charges."""
        self._add_pv()
        self._add_grid()
        self._add_phases()
        self._add_dimming()
        for charge in self.problem.demand_charges:
            self._add_demand_charge(charge)

    @property
    def cost(self) -> FloatArray:
        """What one unit of each column costs [EUR]."""
        return self.programme.cost([*self.money, *self.wear, *self.tiers, *self.ends])

    def solve(self, time_limit_s: float = TIME_LIMIT_S) -> tuple[Solution, Search]:
        """Return the cheapest course that is found, and the search that knows its prices."""
        search = self.programme.open(self.cost, time_limit_s)
        return search.solve(), search

    def _add_pv(self) -> None:
        """PV that is not wanted can be turned down, where the plant can."""
        can = sum((np.array(pv.power_w) / 1000 for pv in self.problem.pv if pv.can_curtail), np.zeros(self.n))
        self.spilled = self.programme.columns(self.n, upper=can)
        self.money.append((self.spilled, _SPILL_EUR_PER_KWH * self.hours))
        self.flows.append(Flow(self.spilled, 1.0, None))

    def _add_grid(self) -> None:
        site, problem, add = self.problem.site, self.problem, self.programme.columns
        steps = np.arange(self.n)
        limits = []
        for limit in (site.import_limit_w, site.export_limit_w):
            fuse_kw = site.fuse_w * site.phases / 1000
            wanted = np.full(self.n, _UNLIMITED_KW) if limit is None else problem.series(limit) / 1000
            limits.append(np.minimum(np.maximum(wanted, 0.0), fuse_kw))
        self.taken, self.given = add(self.n, upper=limits[0]), add(self.n, upper=limits[1])
        beyond = BEYOND_EUR_PER_KWH * self.hours
        taken_beyond = self.wish("site", "import limit", "kW", beyond, steps)
        given_beyond = self.wish("site", "export limit", "kW", beyond, steps)
        buy, sell = np.array(problem.import_eur_per_kwh), np.array(problem.export_eur_per_kwh)
        self.money += [
            (self.taken, buy * self.hours),
            (taken_beyond, buy * self.hours),
            (self.given, -sell * self.hours),
            (given_beyond, -sell * self.hours),
        ]
        terms: list[Price] = [(self.taken, 1.0), (taken_beyond, 1.0), (self.given, -1.0), (given_beyond, -1.0)]
        terms += [(flow.columns, -flow.sign) for flow in self.flows]
        net = self.load_kw - self.pv_kw
        self.balance_rows = self.programme.rows(terms, lower=net, upper=net)
        self._add_direction(limits[0], limits[1])
        self.taken_beyond, self.given_beyond = taken_beyond, given_beyond

    def _add_direction(self, most_taken: FloatArray, most_given: FloatArray) -> None:
        """The grid flows one way at a time; what may use own power only follows its direction."""
        is_export = self.programme.columns(self.n, upper=1.0)
        rows = self.programme.rows
        rows([(self.given, 1.0), (is_export, -most_given)], upper=0.0)
        rows([(self.taken, 1.0), (is_export, most_taken)], upper=most_taken)
        for columns in self.only_own_in:
            rows([(columns, 1.0), (is_export, -_UNLIMITED_KW)], upper=0.0)
        for columns in self.only_inside_out:
            rows([(columns, 1.0), (is_export, _UNLIMITED_KW)], upper=_UNLIMITED_KW)

        def outward(values: FloatArray) -> FloatArray:
            return values[self.given] + sum(values[columns] for columns in self.only_own_in)

        def inward(values: FloatArray) -> FloatArray:
            return values[self.taken] + sum(values[columns] for columns in self.only_inside_out)

        def is_broken(values: FloatArray) -> BoolArray:
            return (outward(values) > TINY) & (inward(values) > TINY)

        def settle(values: FloatArray) -> FloatArray:
            return (outward(values) > inward(values)).astype(np.float64)

        self.programme.choices.append(Choice(is_export, is_broken, settle))
        self.programme.rest.append((is_export, (self.pv_kw > self.load_kw).astype(np.float64)))

    def _add_phases(self) -> None:
        """No phase draws more than its fuse; feeding in is limited alike."""
        site = self.problem.site
        shares = np.array(site.load_phase_shares or [1.0] * site.phases)
        shares = shares / shares.sum()
        same = len(set(shares.tolist())) == 1 and all(flow.phase is None for flow in self.flows)
        same = same and all(pv.phase is None for pv in self.problem.pv)
        if same:
            return  # the limit of all phases together says it
        fuse_kw = site.fuse_w / 1000
        for phase in range(1, site.phases + 1):
            fixed = self.load_kw * shares[phase - 1]
            for pv in self.problem.pv:
                fixed = fixed - np.array(pv.power_w) / 1000 * _part(pv.phase, phase, site.phases)
            terms: list[Price] = [
                (flow.columns, flow.sign * part)
                for flow in self.flows
                if (part := _part(flow.phase, phase, site.phases))
            ]
            over = self.wish("site", f"fuse of L{phase}", "kW", BEYOND_EUR_PER_KWH * self.hours, np.arange(self.n))
            self.programme.rows([*terms, (over, -1.0)], upper=fuse_kw - fixed)
            self.programme.rows([*terms, (over, 1.0)], lower=-fuse_kw - fixed)

    def _add_dimming(self) -> None:
        if self.problem.site.dimmed_w is None or not self.dimmable:
            return
        most = np.maximum(self.problem.series(self.problem.site.dimmed_w), 0.0) / 1000 + self.pv_kw
        over = self.wish("site", "dimming", "kW", BEYOND_EUR_PER_KWH * self.hours, np.arange(self.n))
        self.programme.rows([*self.dimmable, (over, -1.0)], upper=most)

    def _add_demand_charge(self, charge: DemandCharge) -> None:
        inside = np.flatnonzero(self.problem.presence(charge.from_s, charge.until_s) > 0)
        if not len(inside):
            return
        peak = self.programme.columns(1, lower=charge.incurred_kw)
        self.money.append((peak, charge.eur_per_kw))
        terms: list[Price] = [(self.taken[inside], 1.0), (self.taken_beyond[inside], 1.0)]
        self.programme.rows([*terms, (np.repeat(peak, len(inside)), -1.0)], upper=0.0)


def _part(asset_phase: int | None, phase: int, phases: int) -> float:
    """Return which part of an asset's power is on a phase; one beyond those the site has is on the first."""
    if asset_phase is None:
        return 1.0 / phases
    return 1.0 if phase == (asset_phase if asset_phase <= phases else 1) else 0.0
