"""One programme for the whole home: every asset brings its columns and rows, and they meet at the busbar.

Only physics is hard. Every wish (fuse, limits, reserve, a full car, a warm room, clean dishes) has its own price tier,
so an answer always comes back and says which wishes it broke. Powers are in kW, energies in kWh, temperatures in degC.
Assets are built in the order of their names, so that the order in which they are given changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.battery import Battery
from hearth_models.planning.milp import Choice, Programme, Search, Solution
from hearth_models.planning.problem import DemandCharge, Problem
from hearth_models.planning.value import Market, best_course

# What a kWh beyond the fuse or a limit costs; dearer than any tariff and than every other wish.
BEYOND_EUR_PER_KWH = 10.0
# Less than this is nothing [kW].
TINY = 1e-6
# Decides between courses of the same cost: less through the meter, less through the battery, less PV spilled.
TIE_EUR_PER_KWH = 1e-6
_UNLIMITED_KW = 1000.0

Price = tuple[IntArray, FloatArray | float]


@dataclass(frozen=True)
class Flow:
    """Power of an asset at the busbar, + = it consumes."""

    columns: IntArray
    sign: float
    most_kw: FloatArray
    phase: int | None
    """None: evenly on all phases."""


@dataclass(frozen=True)
class Cells:
    """A battery, as the hint sees it."""

    charge: IntArray
    discharge: IntArray
    battery: Battery
    stored_wh: float
    end_eur_per_kwh: float
    can_charge_from_grid: bool
    can_discharge_to_grid: bool


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
    only_inside_out: list[Flow] = field(default_factory=list)
    """Discharging that may serve the home only."""

    cells: list[Cells] = field(default_factory=list)
    blocky: list[Callable[[FloatArray], list[tuple[IntArray, FloatArray]]]] = field(default_factory=list)
    """Tell from some values what assets that are on or off would do: columns with their values."""

    def __post_init__(self) -> None:
        self.n = self.problem.n_steps
        self.hours = self.problem.hours
        # less than a milliwatt is below what the solver can tell from nothing
        self.load_kw = np.round(np.array(self.problem.load_w) / 1000, 6)
        self.pv_kw = sum((np.round(np.array(pv.power_w) / 1000, 6) for pv in self.problem.pv), np.zeros(self.n))
        self.balance_rows = np.arange(0)
        # where power is given away for less than nothing, losing it in a battery would pay
        self.is_burning = np.array(self.problem.import_eur_per_kwh) < 0

    def wish(self, asset: str, what: str, unit: str, price: FloatArray | float, steps: IntArray) -> IntArray:
        """Add columns, one for each of some steps, that measure how far a wish is broken, and their price."""
        columns = self.programme.columns(len(steps))
        self.tiers.append((columns, price))
        self.wishes.append(Wish(asset, what, columns, unit, steps))
        return columns

    def switch(
        self, columns: IntArray, least: FloatArray, most: FloatArray, settle: Callable[[FloatArray], FloatArray]
    ) -> IntArray:
        """Let columns be 0 or within ``least..most``, and return the switches.

        Args:
            columns: Power of each step [kW].
            least: The least it is when it is on.
            most: The most.
            settle: Tells from power that obeys no least when to be on.
        """
        is_on = self.programme.columns(len(columns), upper=1.0)
        self.programme.rows([(columns, 1.0), (is_on, -least)], lower=0.0)
        self.programme.rows([(columns, 1.0), (is_on, -most)], upper=0.0)

        def is_weak(values: FloatArray) -> BoolArray:
            return (values[columns] > TINY) & (values[columns] < least - TINY)

        self.programme.choices.append(Choice(is_on, is_weak, lambda values: settle(values[columns])))
        self.programme.rest += [(is_on, np.zeros(len(columns))), (columns, np.zeros(len(columns)))]
        self.blocky.append(lambda values: [(columns, settle(values[columns]) * np.clip(values[columns], least, most))])
        return is_on

    def either(
        self,
        one: IntArray,
        other: IntArray,
        most_one: FloatArray,
        most_other: FloatArray,
        is_tempting: BoolArray | None = None,
        beyond: tuple[IntArray, IntArray] | None = None,
    ) -> None:
        """Let two columns of a step never be above 0 together.

        Args:
            one: Some columns.
            other: As many others.
            most_one: How large each of them can be.
            most_other: And each of the others.
            is_tempting: Where it would surely pay to have both.
            beyond: What they are more than they may be, two more columns a step; tells which way is meant.
        """
        is_one = self.programme.columns(len(one), upper=1.0)
        self.programme.rows([(one, 1.0), (is_one, -most_one)], upper=0.0)
        self.programme.rows([(other, 1.0), (is_one, most_other)], upper=most_other)

        def is_broken(values: FloatArray) -> BoolArray:
            return (values[one] > TINY) & (values[other] > TINY)

        def settle(values: FloatArray) -> FloatArray:
            lead = values[one] - values[other]
            if beyond is not None:
                lead = lead + values[beyond[0]] - values[beyond[1]]
            return (lead > 0).astype(np.float64)

        self.programme.choices.append(Choice(is_one, is_broken, settle, is_tempting))
        self.programme.rest.append((is_one, (self.pv_kw > self.load_kw).astype(np.float64)))

    def close(self) -> None:
        """Add what all assets share: balance, grid, phases, dimming and demand charges."""
        self._add_pv()
        self._stay_inside()
        self._add_grid()
        self._add_phases()
        self._add_dimming()
        for charge in self.problem.demand_charges:
            self._add_demand_charge(charge)

    @property
    def cost(self) -> FloatArray:
        """What one unit of each column costs [EUR]."""
        return self.programme.cost([*self.money, *self.wear, *self.tiers, *self.ends])

    def solve(self, time_limit_s: float, good_enough_eur: float) -> tuple[Solution, Search]:
        """Return a course that is nearly the cheapest, and the search that knows its prices."""
        self.programme.hint = self._hint
        search = self.programme.open(self.cost, time_limit_s)
        return search.solve(good_enough=good_enough_eur), search

    def _hint(self, values: FloatArray) -> FloatArray:
        """Return values in which everybody is on or off, and each battery does the best it can beside the others."""
        hinted = values.copy()
        problem = self.problem
        buy, sell = np.array(problem.import_eur_per_kwh), np.array(problem.export_eur_per_kwh)
        can_spill = all(pv.can_curtail for pv in problem.pv)
        # who is paid for drawing power turns PV down, unless selling it earns more
        drawing = -buy * (self.load_kw + self._most(1.0))
        spilled_kw = np.where((drawing > np.maximum(sell * (self.pv_kw - self.load_kw), 0.0)), self.pv_kw, 0.0)
        spilled_kw *= can_spill
        limits_w = [float(limit.max()) * 1000 for limit in self.limits_kw]
        market = Market(buy, np.maximum(sell, 0.0) if can_spill else sell, limits_w[0], limits_w[1])
        for suggest in self.blocky:
            for columns, power_kw in suggest(values):
                hinted[columns] = power_kw
        for one in self.cells:
            rest_kw = self._net_kw(hinted) + spilled_kw - hinted[one.charge] + hinted[one.discharge]
            lowest_kw = np.full(self.n, -_UNLIMITED_KW)
            highest_kw = -lowest_kw
            if not one.can_charge_from_grid:
                lowest_kw = np.minimum(self.load_kw - self.pv_kw, 0.0)
            if not one.can_discharge_to_grid:
                highest_kw = np.where(self.load_kw > self.pv_kw, np.maximum(rest_kw, 0.0), 0.0)
            course_w = best_course(
                rest_kw * 1000,
                market,
                one.battery,
                one.stored_wh,
                self.hours,
                one.end_eur_per_kwh,
                (lowest_kw * 1000, highest_kw * 1000),
            )
            course_kw = course_w / 1000
            hinted[one.charge], hinted[one.discharge] = np.maximum(-course_kw, 0.0), np.maximum(course_kw, 0.0)
        net_kw = self._net_kw(hinted) + spilled_kw
        hinted[self.taken], hinted[self.given] = np.maximum(net_kw, 0.0), np.maximum(-net_kw, 0.0)
        return hinted

    def _net_kw(self, values: FloatArray) -> FloatArray:
        """Return load and consumers minus PV and sources, nothing spilled [kW]."""
        flows = (flow.sign * values[flow.columns] for flow in self.flows if flow.columns is not self.spilled)
        return sum(flows, self.load_kw - self.pv_kw)

    def _add_pv(self) -> None:
        """PV that is not wanted can be turned down, where the plant can."""
        can = sum(
            (np.round(np.array(pv.power_w) / 1000, 6) for pv in self.problem.pv if pv.can_curtail), np.zeros(self.n)
        )
        self.spilled = self.programme.columns(self.n, upper=can)
        self.money.append((self.spilled, TIE_EUR_PER_KWH * self.hours))
        self.flows.append(Flow(self.spilled, 1.0, np.zeros(self.n), None))

    def _add_grid(self) -> None:
        site, problem, add = self.problem.site, self.problem, self.programme.columns
        steps = np.arange(self.n)
        limits = []
        for limit in (site.import_limit_w, site.export_limit_w):
            fuse_kw = site.fuse_w * site.phases / 1000
            wanted = np.full(self.n, _UNLIMITED_KW) if limit is None else problem.series(limit) / 1000
            limits.append(np.minimum(np.maximum(wanted, 0.0), fuse_kw))
        self.limits_kw = limits
        self.taken, self.given = add(self.n, upper=limits[0]), add(self.n, upper=limits[1])
        beyond = BEYOND_EUR_PER_KWH * self.hours
        taken_beyond = self.wish("site", "import limit", "kW", beyond, steps)
        given_beyond = self.wish("site", "export limit", "kW", beyond, steps)
        buy, sell = np.array(problem.import_eur_per_kwh), np.array(problem.export_eur_per_kwh)
        self.money += [
            (self.taken, (buy + TIE_EUR_PER_KWH) * self.hours),
            (taken_beyond, buy * self.hours),
            (self.given, -sell * self.hours),
            (given_beyond, -sell * self.hours),
        ]
        terms: list[Price] = [(self.taken, 1.0), (taken_beyond, 1.0), (self.given, -1.0), (given_beyond, -1.0)]
        terms += [(flow.columns, -flow.sign) for flow in self.flows]
        net = self.load_kw - self.pv_kw
        self.balance_rows = self.programme.rows(terms, lower=net, upper=net)
        most_taken = np.minimum(self.load_kw + self._most(1.0), limits[0])
        most_given = np.minimum(self.pv_kw + self._most(-1.0), limits[1])
        # whoever imports and exports the same power gains nothing, unless feed-in is dearer
        self.either(self.given, self.taken, most_given, most_taken, sell > buy, (given_beyond, taken_beyond))
        self.taken_beyond, self.given_beyond = taken_beyond, given_beyond

    def _stay_inside(self) -> None:
        """What may serve the home only covers what PV leaves of load and consumers; beside a surplus it rests."""
        if not self.only_inside_out:
            return
        lacking = self.load_kw - self.pv_kw
        terms: list[Price] = [(flow.columns, 1.0) for flow in self.only_inside_out]
        consumers = [flow for flow in self.flows if flow.sign > 0 and flow.columns is not self.spilled]
        is_short = (lacking > 0).astype(np.float64)
        terms += [(flow.columns, -is_short) for flow in consumers]
        self.programme.rows(terms, upper=np.maximum(lacking, 0.0))

    def _most(self, sign: float) -> FloatArray:
        """Return the most that all consumers (+1) or all sources (-1) can do [kW]."""
        return sum((flow.most_kw for flow in self.flows if flow.sign == sign), np.zeros(self.n))

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
        presence = self.problem.presence
        counts = [presence(span.from_s, span.until_s) > 0 for span in charge.windows] or [np.ones(self.n, np.bool_)]
        inside = np.flatnonzero((presence(charge.from_s, charge.until_s) > 0) & np.any(counts, axis=0))
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
