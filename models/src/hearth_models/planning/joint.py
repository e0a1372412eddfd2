"""One programme for the whole home: every asset brings its columns and rows, and they meet at the busbar.

Only physics is hard. Every wish (fuse, limits, reserve, a full car, a warm room, clean dishes) has its own price tier,
so an answer always comes back and says which wishes it broke. Powers are in kW, energies in kWh, temperatures in degC.
Assets are built in the order of their names, so that the order in which they are given changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.battery import Battery
from hearth_models.planning.problem import DemandCharge, Problem
from hearth_models.planning.programme import TINY, Choice, Parts, Programme, either

# What a kWh beyond the fuse or a limit costs; dearer than any tariff and than every other wish.
BEYOND_EUR_PER_KWH = 10.0
# Decides between courses of the same cost: less through the meter, less through the battery, less PV spilled.
TIE_EUR_PER_KWH = 1e-6
# And earlier rather than later, so that a plan made again tomorrow does not shift what costs the same.
LATER_EUR_PER_KWH_H = 1e-7
_UNLIMITED_KW = 1000.0
_HEADROOM_KW = 0.1

Price = tuple[IntArray, FloatArray | float]


@dataclass(frozen=True)
class Flow:
    """Power of an asset at the busbar: the sum of some columns, each in one step and with a factor."""

    steps: IntArray
    columns: IntArray
    factors: FloatArray
    sign: float
    """+1 = it consumes."""
    most_kw: FloatArray
    phase: int | None
    """None: evenly on all phases."""

    @classmethod
    def of(cls, parts: Sequence[IntArray], sign: float, most_kw: FloatArray, phase: int | None) -> Flow:
        """Return the sum of parts that have one column a step each."""
        steps = np.tile(np.arange(len(most_kw)), len(parts))
        return cls(steps, np.concatenate(parts), np.ones(len(steps)), sign, most_kw, phase)

    def power_kw(self, values: FloatArray) -> FloatArray:
        """Return the power of each step, not negative."""
        power: FloatArray = np.bincount(self.steps, self.factors * values[self.columns], len(self.most_kw)).astype(
            float
        )
        return power


@dataclass(frozen=True)
class Cells:
    """A battery, as the hint sees it."""

    charge: Flow
    discharge: Flow
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
    dimmable: list[Flow] = field(default_factory=list)
    """What a grid operator may dim."""
    money: list[Price] = field(default_factory=list)
    wear: list[Price] = field(default_factory=list)
    tiers: list[Price] = field(default_factory=list)
    ends: list[Price] = field(default_factory=list)
    """What is left at the end is worth; negative prices."""
    wishes: list[Wish] = field(default_factory=list)
    only_inside_out: list[Flow] = field(default_factory=list)
    """Discharging that may serve the home only."""
    only_pv_in: list[Parts] = field(default_factory=list)
    """Charging with own PV only."""
    cells: list[Cells] = field(default_factory=list)
    blocky: list[Callable[[FloatArray], list[tuple[IntArray, FloatArray]]]] = field(default_factory=list)
    """Tell from some values what assets that are on or off would do: columns with their values."""

    def __post_init__(self) -> None:
        self.n = self.problem.n_steps
        self.hours = self.problem.hours
        # less than a milliwatt is below what the solver can tell from nothing
        self.load_kw = np.round(np.array(self.problem.load_w) / 1000, 6)
        plants = [(pv, np.round(np.array(pv.power_w) / 1000, 6)) for pv in self.problem.pv]
        self.pv_kw = sum((power for _, power in plants), np.zeros(self.n))
        self.could_be_down_kw = sum((power for pv, power in plants if pv.can_curtail), np.zeros(self.n))
        self.balance_rows = np.arange(0)
        self.buy, self.sell = np.array(self.problem.import_eur_per_kwh), np.array(self.problem.export_eur_per_kwh)
        # where power is given away for less than nothing, losing it in a battery would pay
        self.is_burning = self.buy < 0

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
        is_on = self.programme.switches(len(columns))
        self.programme.rows([(columns, 1.0), (is_on, -least)], lower=0.0)
        self.programme.rows([(columns, 1.0), (is_on, -most)], upper=0.0)

        def is_weak(values: FloatArray) -> BoolArray:
            return (values[columns] > TINY) & (values[columns] < least - TINY)

        self.programme.choices.append(Choice(is_on, is_weak, lambda values: settle(values[columns])))
        self.programme.rest += [(is_on, np.zeros(len(columns))), (columns, np.zeros(len(columns)))]
        self.blocky.append(lambda values: [(columns, settle(values[columns]) * np.clip(values[columns], least, most))])
        return is_on

    def close(self) -> None:
        """Add what all assets share: PV, balance and grid, demand charges."""
        self._add_pv()
        self._add_grid()
        for charge in self.problem.demand_charges:
            self._add_demand_charge(charge)

    @property
    def cost(self) -> FloatArray:
        """What one unit of each column costs [EUR]."""
        return self.programme.cost([*self.money, *self.wear, *self.tiers, *self.ends])

    def most_kw(self, sign: float) -> FloatArray:
        """Return the most that all consumers (+1) or all sources (-1) can do."""
        return sum((flow.most_kw for flow in self.flows if flow.sign == sign), np.zeros(self.n))

    def _add_pv(self) -> None:
        """PV that is not wanted can be turned down, where the plant can."""
        self.spilled = self.programme.columns(self.n, upper=self.could_be_down_kw)
        self.money.append((self.spilled, TIE_EUR_PER_KWH * self.hours))

    def _add_grid(self) -> None:
        site, problem = self.problem.site, self.problem
        limits = []
        for limit in (site.import_limit_w, site.export_limit_w):
            fuse_kw = site.fuse_w * site.phases / 1000
            wanted = np.full(self.n, _UNLIMITED_KW) if limit is None else problem.series(limit) / 1000
            limits.append(np.minimum(np.maximum(wanted, 0.0), fuse_kw))
        self.limits_kw = limits
        # the most that can flow one way; a little more, so that one more kWh of load never meets this bound
        net = self.load_kw - self.pv_kw
        could_take = np.maximum(net + self.could_be_down_kw + self.most_kw(1.0), 0.0) + _HEADROOM_KW
        could_give = np.maximum(self.most_kw(-1.0) - net, 0.0) + _HEADROOM_KW
        most_taken, most_given = np.minimum(could_take, limits[0]), np.minimum(could_give, limits[1])
        add, steps = self.programme.columns, np.arange(self.n)
        self.taken, self.given = add(self.n, upper=limits[0]), add(self.n, upper=limits[1])
        beyond = BEYOND_EUR_PER_KWH * self.hours
        taken_beyond = self.wish("site", "import limit", "kW", beyond, steps)
        given_beyond = self.wish("site", "export limit", "kW", beyond, steps)
        self.money += [
            (self.taken, (self.buy + TIE_EUR_PER_KWH) * self.hours),
            (taken_beyond, self.buy * self.hours),
            (self.given, -self.sell * self.hours),
            (given_beyond, -self.sell * self.hours),
        ]
        terms: list[Price] = [(self.taken, 1.0), (taken_beyond, 1.0), (self.given, -1.0), (given_beyond, -1.0)]
        self.balance_rows = self.programme.rows([*terms, (self.spilled, -1.0)], lower=net, upper=net)
        later = LATER_EUR_PER_KWH_H * self.problem.begins_s[:-1] / 3600 * self.hours
        for flow in self.flows:
            self.money.append((flow.columns, later[flow.steps] * flow.factors))
            self.programme.extend(self.balance_rows[flow.steps], flow.columns, -flow.sign * flow.factors)

        def lead(values: FloatArray) -> FloatArray:
            given = values[self.given] + values[given_beyond]
            lead: FloatArray = given - values[self.taken] - values[taken_beyond]
            return lead

        # whoever imports and exports the same power gains nothing, unless feed-in is dearer
        either(
            self.programme,
            [(self.given, most_given)],
            [(self.taken, most_taken)],
            is_tempting=self.sell > self.buy,
            lead=lead,
            at_rest=(self.pv_kw > self.load_kw).astype(np.float64),
        )
        self.taken_beyond, self.given_beyond = taken_beyond, given_beyond

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
