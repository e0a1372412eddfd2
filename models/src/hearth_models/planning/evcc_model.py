"""The programme behind evcc's requests: its variables, its rules and its penalties, in kWh.

Source: the published model of github.com/evcc-io/optimizer (MIT), whose objective and penalties are kept so that an
answer can be valued by them. Nothing here is hard but energy: every limit has its penalty, so resting is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.evcc_wishes import EvccStore, EvccWishes
from hearth_models.planning.programme import TINY, Choice, Programme, either
from hearth_models.planning.search import Search, Solution

if TYPE_CHECKING:
    from hearth_models.planning.evcc import EvccBattery, EvccRequest

# Multiples of the dearest price: a goal, a demand or a limit that is missed, and a charge outside its band.
_MISSED, _OUTSIDE = 100.0, 1000.0
_LOWEST_BASE_PER_KWH = 0.1
_PEAK_SHARE = 1e-3
# Currency units that deciding between equals may cost, for rounding's sake.
_SLACK = 1e-6
_BEYOND_KWH = 1000.0
# The cost gets most of the time; what is left decides between equals.
_COST_SHARE = 0.75


@dataclass(frozen=True)
class Schedule:
    """What was found, in Wh; shapes (n_batteries, n_steps) or (n_steps,)."""

    charge: FloatArray
    discharge: FloatArray
    stored: FloatArray
    taken: FloatArray
    taken_beyond: FloatArray
    given: FloatArray
    given_beyond: FloatArray
    is_export: BoolArray
    is_proven: bool


@dataclass
class EvccModel:
    """A request as a programme."""

    request: EvccRequest
    _programme: Programme = field(default_factory=Programme)
    _costs: list[tuple[IntArray, FloatArray | float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        series, grid = self.request.time_series, self.request.grid
        self._n = self.request.n_steps
        self._hours = np.array(series.dt, np.float64) / 3600
        self._buy, self._sell = np.array(series.p_N) * 1000, np.array(series.p_E) * 1000
        self._has_rate = grid.p_max_imp is not None and grid.prc_p_exc_imp is not None
        self._stores = [self._add_store(battery) for battery in self.request.batteries]
        self._add_grid()
        wishes = EvccWishes(self._programme, self._costs, self._hours, self.request.eta_c, _MISSED * self._base)
        for store in self._stores:
            self._add_directions(store)
            wishes.add(store)

    def solve(self, time_limit_s: float) -> Schedule:
        """Settle the money, then decide between what costs the same."""
        preference = self._preference()
        has_preference = bool(preference.any())
        cost = self._programme.cost(self._costs)
        search = Search(self._programme, cost, time_limit_s)
        found = search.solve(share=_COST_SHARE if has_preference else 1.0)
        if has_preference:
            search.hold(cost, float(cost @ found.values) + _SLACK)
            search.minimise(preference)
            better = search.solve(found.values)
            found = Solution(better.values, found.gap)
        return self._schedule(found)

    @cached_property
    def _base(self) -> float:
        """The dearest price there is, which penalties are multiples of [1/kWh]."""
        prices = [self._buy.max(), self._sell.max(), *(1000 * one.p_a for one in self.request.batteries)]
        if self._has_rate and self._hours.min() > 0:
            prices.append(1000 * (self.request.grid.prc_p_exc_imp or 0.0) / self._hours.min())
        return float(max(*prices, _LOWEST_BASE_PER_KWH))

    def _add_store(self, battery: EvccBattery) -> EvccStore:
        add, n, hours = self._programme.columns, self._n, self._hours
        charge = add(n, upper=battery.c_max / 1000 * hours)
        discharge = add(n, upper=battery.d_max / 1000 * hours)
        self._programme.rest += [(charge, np.zeros(n)), (discharge, np.zeros(n))]
        stored = add(n, upper=battery.capacity_wh / 1000)
        self._costs.append((stored[-1:], -1000 * battery.p_a))
        above, below = add(n), add(n)
        self._costs += [(above, _OUTSIDE * self._base), (below, _OUTSIDE * self._base)]
        rows = self._programme.rows
        rows([(above, 1.0), (stored, -1.0)], lower=-battery.s_max / 1000)
        rows([(below, 1.0), (stored, 1.0)], lower=battery.s_min / 1000)
        moved = [(charge, -self.request.eta_c), (discharge, 1 / self.request.eta_d)]
        first = [(columns[:1], factor) for columns, factor in moved]
        rows([(stored[:1], 1.0), *first], lower=battery.s_initial / 1000, upper=battery.s_initial / 1000)
        if n > 1:
            later = [(columns[1:], factor) for columns, factor in moved]
            rows([(stored[1:], 1.0), (stored[:-1], -1.0), *later], lower=0.0, upper=0.0)
        return EvccStore(battery, charge, discharge, stored)

    def _add_grid(self) -> None:
        """Import and export, each up to its limit and beyond, and never both in one step."""
        series, grid, n = self.request.time_series, self.request.grid, self._n
        # less than a thousandth of a watt-hour is below what the solver can tell from nothing
        demand, sun = np.round(np.array(series.gt) / 1000, 6), np.round(np.array(series.ft) / 1000, 6)
        programme, rows = self._programme, self._programme.rows
        from_grid = sum(one.c_max for one in self.request.batteries) / 1000
        to_grid = sum(one.d_max for one in self.request.batteries) / 1000
        most_taken, most_given = demand + from_grid * self._hours, sun + to_grid * self._hours
        if grid.p_max_imp is not None:
            most_taken = np.minimum(most_taken, grid.p_max_imp / 1000 * self._hours)
        if grid.p_max_exp is not None:
            most_given = np.minimum(most_given, grid.p_max_exp / 1000 * self._hours)
        self._taken, self._given = programme.columns(n, upper=most_taken), programme.columns(n, upper=most_given)
        self._taken_beyond = programme.columns(n, upper=0.0 if grid.p_max_imp is None else _BEYOND_KWH)
        self._given_beyond = programme.columns(n, upper=0.0 if grid.p_max_exp is None else _BEYOND_KWH)
        missed = 0.0 if self._has_rate else _MISSED * self._base
        late: FloatArray = 1.0 - 1e-5 * np.arange(n, dtype=np.float64)
        self._costs += [
            (self._taken, self._buy),
            (self._taken_beyond, self._buy + missed),
            (self._given, -self._sell),
            (self._given_beyond, _MISSED * self._base * late),
        ]
        flows: list[tuple[IntArray, float]] = [(self._taken, 1.0), (self._taken_beyond, 1.0)]
        flows += [(self._given, -1.0), (self._given_beyond, -1.0)]
        flows += [term for store in self._stores for term in ((store.discharge, 1.0), (store.charge, -1.0))]
        rows(flows, lower=demand - sun, upper=demand - sun)
        self._is_export = either(
            programme,
            [(self._given, most_given)],
            [(self._taken, most_taken)],
            is_tempting=self._sell > self._buy,
            is_broken=self._is_mixed,
            lead=self._outward,
            at_rest=(sun > demand).astype(np.float64),
        )
        if grid.p_max_imp is not None:
            _add_limit(programme, self._taken, self._taken_beyond, most_taken, demand - sun)
        if grid.p_max_exp is not None:
            _add_limit(programme, self._given, self._given_beyond, most_given, sun - demand)
        self._rate = programme.columns(1) if self._has_rate else None
        if self._rate is not None:
            self._costs.append((self._rate, 1000 * (grid.prc_p_exc_imp or 0.0)))
            rows([(self._taken_beyond, 1.0), (np.repeat(self._rate, n), -self._hours)], upper=0.0)

    def _add_directions(self, store: EvccStore) -> None:
        """A battery goes one way at a time, and only where its rules let it."""
        battery, rows = store.battery, self._programme.rows
        most_in, most_out = battery.c_max / 1000 * self._hours, battery.d_max / 1000 * self._hours
        if not battery.charge_from_grid:
            rows([(store.charge, 1.0), (self._is_export, -most_in)], upper=0.0)
        if not battery.discharge_to_grid:
            rows([(store.discharge, 1.0), (self._is_export, most_out)], upper=most_out)
        if battery.d_max <= 0 or battery.c_max <= 0:
            return
        either(self._programme, [(store.discharge, most_out)], [(store.charge, most_in)])

    def _is_mixed(self, values: FloatArray) -> BoolArray:
        """Tell where the grid would have to flow both ways."""
        wants_import, wants_export = values[self._taken] > TINY, values[self._given] > TINY
        for store in self._stores:
            if not store.battery.charge_from_grid:
                wants_export |= values[store.charge] > TINY
            if not store.battery.discharge_to_grid:
                wants_import |= values[store.discharge] > TINY
        mixed: BoolArray = wants_import & wants_export
        return mixed

    def _outward(self, values: FloatArray) -> FloatArray:
        """By how much the grid, and what must flow with it, would rather flow outward."""
        outward = values[self._given] + sum(
            values[store.charge] for store in self._stores if not store.battery.charge_from_grid
        )
        inward = values[self._taken] + sum(
            values[store.discharge] for store in self._stores if not store.battery.discharge_to_grid
        )
        lead: FloatArray = outward - inward
        return lead

    def _preference(self) -> FloatArray:
        """Return the price of what is merely not preferred; it is looked at among equals only."""
        strategy, n = self.request.strategy, self._n
        lowest, early = abs(float(self._buy.min())), n - np.arange(n, dtype=np.float64)
        each = len(self._stores)
        prices: list[tuple[IntArray, FloatArray | float]] = []
        if strategy.charging_strategy == "charge_before_export":
            prices.append((self._given, each * lowest * 2e-5 * early))
        if strategy.discharging_strategy == "discharge_before_import":
            prices.append((self._taken, each * lowest * 5e-6 * early))
        for store in self._stores:
            reward = -lowest * 5e-5 * early * store.battery.c_priority
            prices += [(store.charge, reward), (store.discharge, reward)]
        sides = {
            "attenuate_demand_peaks": [(self._taken, self._taken_beyond)],
            "attenuate_feedin_peaks": [(self._given, self._given_beyond)],
            "attenuate_grid_peaks": [(self._taken, self._taken_beyond), (self._given, self._given_beyond)],
        }
        for within, beyond in sides.get(strategy.charging_strategy, []):
            peak = self._programme.columns(1)
            terms: list[tuple[IntArray, FloatArray | float]] = [(within, 1.0), (beyond, 1.0)]
            self._programme.rows([*terms, (np.repeat(peak, n), -self._hours)], upper=0.0)
            prices.append((peak, _PEAK_SHARE * self._base))
        return self._programme.cost(prices)

    def _schedule(self, found: Solution) -> Schedule:
        def wh(columns: IntArray) -> FloatArray:
            energy: FloatArray = found.values[columns] * 1000
            return energy

        return Schedule(
            charge=np.array([wh(store.charge) for store in self._stores]),
            discharge=np.array([wh(store.discharge) for store in self._stores]),
            stored=np.array([wh(store.stored) for store in self._stores]),
            taken=wh(self._taken),
            taken_beyond=wh(self._taken_beyond),
            given=wh(self._given),
            given_beyond=wh(self._given_beyond),
            is_export=self._outward(found.values) > 0,
            is_proven=found.is_proven,
        )


def _add_limit(programme: Programme, within: IntArray, beyond: IntArray, most: FloatArray, at_rest: FloatArray) -> None:
    """Only what is at its limit may go beyond it; otherwise what is beyond could be moved to a better step.

    Args:
        programme: Where they are.
        within: Columns of what flows up to the limit.
        beyond: Columns of what flows beyond.
        most: The limit [kWh].
        at_rest: What flows when nothing is done [kWh].
    """
    is_within = programme.switches(len(most))
    programme.rows([(within, 1.0), (is_within, most)], lower=most)
    programme.rows([(beyond, 1.0), (is_within, _BEYOND_KWH)], upper=_BEYOND_KWH)

    def is_broken(values: FloatArray) -> BoolArray:
        return (values[beyond] > TINY) & (values[within] < most - TINY)

    def settle(values: FloatArray) -> FloatArray:
        return np.where(values[beyond] > TINY, 0.0, 1.0)

    programme.choices.append(Choice(is_within, is_broken, settle))
    programme.rest.append((is_within, (at_rest <= most).astype(np.float64)))
