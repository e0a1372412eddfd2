"""What is wished in evcc's requests: goals, demands, and the least power a charger can give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.programme import TINY, Choice, Programme

if TYPE_CHECKING:
    from hearth_models.planning.evcc import EvccBattery


@dataclass(frozen=True)
class EvccStore:
    """Columns of one battery."""

    battery: EvccBattery
    charge: IntArray
    discharge: IntArray
    stored: IntArray


@dataclass(frozen=True)
class EvccWishes:
    """The programme, as far as wishes need to know it."""

    programme: Programme
    costs: list[tuple[IntArray, FloatArray | float]]
    hours: FloatArray
    eta_c: float
    missed: float
    """What a kWh costs that is not served."""

    @property
    def _n(self) -> int:
        return len(self.hours)

    def add(self, store: EvccStore) -> None:
        """Goals, demands, and the least power a charger can give."""
        battery = store.battery
        if battery.s_goal is not None:
            goal = np.array(battery.s_goal) / 1000
            wanted = np.flatnonzero(goal > 0)
            wanted = wanted[wanted > 0]
            if len(wanted):
                short = self.programme.columns(len(wanted))
                self.costs.append((short, self.missed))
                self.programme.rows([(store.stored[wanted], 1.0), (short, 1.0)], lower=goal[wanted])
        nearly_full = None
        if battery.p_demand is not None:
            nearly_full = self._add_demand(store, np.array(battery.p_demand) / 1000)
        if battery.c_min > 0:
            self._add_least_power(store, nearly_full)

    def _add_demand(self, store: EvccStore, demand: FloatArray) -> IntArray:
        """Charge what is demanded, unless the battery is full.

        Returns:
            Switches that are 1 where the battery is so nearly full that it may be charged with less than the least.
        """
        battery, n, rows = store.battery, self._n, self.programme.rows
        most_in, full = battery.c_max / 1000 * self.hours, battery.s_max / 1000
        asked = np.flatnonzero(demand > 0)
        wanted = np.minimum(demand, most_in)[asked]
        # the most it can hold by then; a switch that can never be 1 need not be decided
        reach = battery.s_initial / 1000 + self.eta_c * np.cumsum(most_in)[asked]
        can_be_full = (reach >= full - TINY).astype(np.float64)
        short, is_full = self.programme.columns(len(asked)), self.programme.columns(len(asked), upper=can_be_full)
        if battery.d_max <= 0 and len(asked) > 1:  # what only fills stays full
            rows([(is_full[1:], 1.0), (is_full[:-1], -1.0)], lower=0.0)
        self.costs.append((short, self.missed * (1 + (n - asked) / n)))
        rows([(store.stored[asked], 1.0), (is_full, -full)], lower=0.0)
        rows([(store.charge[asked], 1.0), (short, 1.0), (is_full, wanted)], lower=wanted)

        def is_broken(values: FloatArray) -> BoolArray:
            served = values[store.charge[asked]] + values[short] >= wanted - TINY
            return ~served & (values[store.stored[asked]] < full - TINY)

        def settle(values: FloatArray) -> FloatArray:
            return np.zeros(len(asked))

        self.programme.choices.append(Choice(is_full, is_broken, settle))
        self.programme.rest.append((is_full, np.zeros(len(asked))))
        least = battery.c_min / 1000 * self.hours
        upper = np.zeros(n)
        upper[asked] = reach >= full - least[asked] - TINY
        nearly_full = self.programme.switches(n, upper=upper)
        rows([(store.stored[asked], 1.0), (nearly_full[asked], -full)], lower=-least[asked])
        return nearly_full

    def _add_least_power(self, store: EvccStore, nearly_full: IntArray | None) -> None:
        """Charge with nothing, or with the least power and more."""
        battery = store.battery
        least, most = battery.c_min / 1000 * self.hours, battery.c_max / 1000 * self.hours
        is_on = self.programme.switches(self._n)
        terms: list[tuple[IntArray, FloatArray | float]] = [(store.charge, 1.0), (is_on, -least)]
        if nearly_full is not None:
            terms.append((nearly_full, least))
        self.programme.rows(terms, lower=0.0)
        self.programme.rows([(store.charge, 1.0), (is_on, -most)], upper=0.0)
        full = battery.s_max / 1000

        def is_weak(values: FloatArray) -> BoolArray:
            charge = values[store.charge]
            weak = (charge > TINY) & (charge < least - TINY)
            if nearly_full is None:
                return weak
            asked = np.array(battery.p_demand) > 0
            return weak & ~(asked & (values[store.stored] >= full - least - TINY))

        def settle(values: FloatArray) -> FloatArray:
            return (values[store.charge] >= least / 2).astype(np.float64)

        self.programme.choices.append(Choice(is_on, is_weak, settle))
        self.programme.rest.append((is_on, np.zeros(self._n)))
        if nearly_full is not None:

            def settle_full(values: FloatArray) -> FloatArray:
                return np.zeros(self._n)

            self.programme.choices.append(Choice(nearly_full, is_weak, settle_full))
            self.programme.rest.append((nearly_full, np.zeros(self._n)))
