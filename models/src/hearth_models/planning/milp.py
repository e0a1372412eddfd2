"""A programme as arrays, solved by HiGHS: linear first, whole numbers only in the steps where the answer needs them.

A switch (0 or 1) is added as a number between 0 and 1. After each solution every choice says in which steps physics is
broken without a true switch; only these become whole, and the programme is solved again. Most steps never need it,
which makes milliseconds out of seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import highspy
import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.inputs import PlanError

TIME_LIMIT_S = 2.0
# So often only the broken steps become whole; then the whole choice does, so that the rounds end.
_LAZY_ROUNDS = 4
# Currency units: a hundredth of a cent is not worth a second.
_GAP = 1e-4
# So many switches HiGHS decides in tenths of a second; with more, what was settled is taken.
_MOST_WHOLE = 40
# What a hint suggests may be impossible by a little; then its switches are settled anew upon what became of it.
_REPAIRS = 3
_SEED = 1

Terms = Sequence[tuple[IntArray, FloatArray | float]]
"""Columns, one for each row, each with its coefficients."""


class Solver(highspy.Highs):
    """HiGHS without callbacks, whose installation prints a banner before output can be turned off."""

    def __init__(self, time_limit_s: float = TIME_LIMIT_S) -> None:
        super(highspy.Highs, self).__init__()
        self.setOptionValue("output_flag", False)
        self.setOptionValue("threads", 1)
        self.setOptionValue("random_seed", _SEED)
        self.setOptionValue("time_limit", time_limit_s)

    @property
    def has_solution(self) -> bool:
        """Whether what it found so far satisfies everything."""
        found: bool = self.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        return found


@dataclass(frozen=True)
class Choice:
    """Switches, one a step, and when they must be true ones."""

    columns: IntArray
    is_broken: Callable[[FloatArray], BoolArray]
    """Tells from the values of all columns in which steps physics is broken; shape as ``columns``."""
    settle: Callable[[FloatArray], FloatArray]
    """Returns 0 or 1 for each step: what fits the values of all columns."""
    is_tempting: BoolArray | None = None
    """Steps in which physics would surely be broken; they become whole together with the first that is."""


@dataclass(frozen=True)
class Solution:
    """What was found."""

    values: FloatArray
    """Of every column."""
    gap: float
    """By how much something better could exist at most; infinite when nothing is known."""

    @property
    def is_proven(self) -> bool:
        """Whether nothing better exists."""
        return self.gap <= _GAP


@dataclass
class Programme:
    """Columns and rows, gathered as arrays; the cost is minimised."""

    choices: list[Choice] = field(default_factory=list)
    rest: list[tuple[IntArray, FloatArray]] = field(default_factory=list)
    """Columns with their values when nothing is done, every switch among them; the others can follow from these."""
    hint: Callable[[FloatArray], FloatArray] | None = None
    """Returns values that are more physical than some: switches are settled as these suggest."""
    _columns: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    _entries: list[tuple[IntArray, IntArray, FloatArray]] = field(default_factory=list)
    _bounds: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    _n_columns: int = 0
    _n_rows: int = 0

    def columns(self, count: int, *, lower: FloatArray | float = 0.0, upper: FloatArray | float = np.inf) -> IntArray:
        """Add columns and return their numbers; bounds are one for all or one for each."""
        self._columns.append((_each(lower, count), _each(upper, count)))
        self._n_columns += count
        return np.arange(self._n_columns - count, self._n_columns)

    def rows(
        self, terms: Terms, *, lower: FloatArray | float = -np.inf, upper: FloatArray | float = np.inf
    ) -> IntArray:
        """Add as many rows as each term has columns, ``lower <= sum of coefficient * column <= upper``.

        Returns:
            The numbers of the rows.
        """
        count = len(terms[0][0])
        numbers = np.arange(self._n_rows, self._n_rows + count)
        self._entries += [(numbers, columns, _each(factor, count)) for columns, factor in terms]
        self._bounds.append((_each(lower, count), _each(upper, count)))
        self._n_rows += count
        return numbers

    def extend(self, rows: IntArray, columns: IntArray, factors: FloatArray) -> None:
        """Add entries to rows that exist."""
        self._entries.append((rows, columns, factors))

    def cost(self, prices: Sequence[tuple[IntArray, FloatArray | float]]) -> FloatArray:
        """Return a cost of every column, 0 where no price is given; prices of the same column add up."""
        total = np.zeros(self._n_columns)
        for columns, price in prices:
            np.add.at(total, columns, _each(price, len(columns)))
        return total

    def open(self, cost: FloatArray, time_limit_s: float = TIME_LIMIT_S) -> Search:
        """Give the programme to the solver; the cost is that of every column."""
        rest = None
        if self.rest:
            columns, values = (np.concatenate(part) for part in zip(*self.rest, strict=True))
            rest = columns, values
        return Search(self._model(cost), self, rest, time.monotonic() + time_limit_s)

    def _model(self, cost: FloatArray) -> highspy.HighsLp:
        lower, upper = (np.concatenate(part) for part in zip(*self._columns, strict=True))
        row, column, value = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        order = np.lexsort((column, row))
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self._n_columns, self._n_rows
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
        lp.row_lower_, lp.row_upper_ = (np.concatenate(part) for part in zip(*self._bounds, strict=True))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=self._n_rows))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = column[order], value[order]
        return lp


class Search:
    """A programme in the solver's hands; keeps what it learnt from one question to the next."""

    def __init__(
        self,
        model: highspy.HighsLp,
        programme: Programme,
        rest: tuple[IntArray, FloatArray] | None,
        until_s: float,
    ) -> None:
        self._until_s = self._deadline_s = until_s
        self._choices, self._hint, self._rest = list(programme.choices), programme.hint, rest
        self._cost = np.array(model.col_cost_)
        self._n_columns = int(model.num_col_)
        self._lower, self._upper = np.array(model.col_lower_), np.array(model.col_upper_)
        self._whole = [np.zeros(len(choice.columns), np.bool_) for choice in self._choices]
        self._solver = Solver()
        self._solver.setOptionValue("mip_abs_gap", _GAP)
        self._solver.setOptionValue("mip_rel_gap", 0.0)
        self._solver.passModel(model)

    def solve(self, start: FloatArray | None = None, share: float = 1.0, good_enough: float = _GAP) -> Solution:
        """Return the cheapest values, or the best that are known when time is up.

        Args:
            start: Values that satisfy everything, should nothing better be found in time; found by resting when None.
            share: How much of the time that is left may be used.
            good_enough: An answer that can be bettered by no more than this is taken.

        Raises:
            PlanError: Nothing satisfies everything.
        """
        now_s = time.monotonic()
        self._deadline_s = now_s + (self._until_s - now_s) * share
        best, bound = start, -np.inf
        for attempt in range(_LAZY_ROUNDS + len(self._choices) + 1):
            values = self._run(best)
            if values is None or self._is_out_of_time:
                break  # what was found just in time would not be found again
            bound = max(bound, self._bound(values))
            broken = [(choice.is_broken(values) | _tempting(choice)) & ~whole for choice, whole in self._pairs()]
            if not any(part.any() for part in broken):
                # with penalties of thousands the bound itself is only known to the solver's tolerance
                is_optimal = self._status == highspy.HighsModelStatus.kOptimal
                return Solution(values, 0.0 if is_optimal else float(self._cost @ values) - bound)
            best = self._better(best, values)
            self._make_whole(broken, everywhere=attempt >= _LAZY_ROUNDS)
            if best is not None and self._is_enough(best, bound, good_enough):
                break
        if best is None:
            raise PlanError(f"the programme has no answer: {self._solver.modelStatusToString(self._status)}")
        return Solution(best, float(self._cost @ best) - bound)

    def insist(self) -> None:
        """Make every switch a true one at once: slower, and no better if the choices are right."""
        self._make_whole([np.ones(len(choice.columns), np.bool_) for choice in self._choices], everywhere=False)

    def duals(self, values: FloatArray) -> FloatArray:
        """Return what one more unit on the right of each row would cost, with every switch as it is in a solution."""
        if any(whole.any() for whole in self._whole):
            self._settled(values)
        found: FloatArray = np.array(self._solver.getSolution().row_dual)
        return found

    def hold(self, cost: FloatArray, most: float) -> None:
        """Let the cost of what is found from now on be no more than ``most``."""
        used = np.flatnonzero(cost)
        self._solver.addRow(-highspy.kHighsInf, most, len(used), used.astype(np.int32), cost[used])

    def minimise(self, cost: FloatArray) -> None:
        """Ask for something else."""
        self._cost = cost
        self._solver.changeColsCost(self._n_columns, np.arange(self._n_columns, dtype=np.int32), cost)

    @property
    def _status(self) -> highspy.HighsModelStatus:
        return self._solver.getModelStatus()

    def _is_enough(self, best: FloatArray, bound: float, good_enough: float) -> bool:
        """Tell whether more whole switches are not worth their seconds: nearly the best, or too many to decide."""
        if float(self._cost @ best) - bound <= good_enough:
            return True
        return good_enough > _GAP and sum(int(whole.sum()) for whole in self._whole) > _MOST_WHOLE

    @property
    def _is_out_of_time(self) -> bool:
        return bool(self._status == highspy.HighsModelStatus.kTimeLimit)

    def _bound(self, values: FloatArray) -> float:
        """Return what no answer can be cheaper than, as far as the last run knows."""
        if any(whole.any() for whole in self._whole):
            return float(self._solver.getInfo().mip_dual_bound)
        is_optimal = self._status == highspy.HighsModelStatus.kOptimal
        return float(self._cost @ values) if is_optimal else -np.inf

    def _pairs(self) -> list[tuple[Choice, BoolArray]]:
        return list(zip(self._choices, self._whole, strict=True))

    def _run(self, start: FloatArray | None) -> FloatArray | None:
        """Solve with what is whole by now; None when time is up before anything was found."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            return None
        # the limit counts from the solver's first run on
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + left_s)
        if start is not None and any(whole.any() for whole in self._whole):
            solution = highspy.HighsSolution()
            solution.col_value = start.tolist()
            self._solver.setSolution(solution)
        self._solver.run()
        return np.array(self._solver.getSolution().col_value) if self._solver.has_solution else None

    def _make_whole(self, broken: Sequence[BoolArray], *, everywhere: bool) -> None:
        for (choice, whole), part in zip(self._pairs(), broken, strict=True):
            if everywhere and part.any():
                part = ~whole
            whole |= part
            columns = choice.columns[part].astype(np.int32)
            if len(columns):
                kinds = np.full(len(columns), highspy.HighsVarType.kInteger)
                self._solver.changeColsIntegrality(len(columns), columns, kinds)

    def _better(self, best: FloatArray | None, values: FloatArray) -> FloatArray | None:
        """Return the cheapest known values that satisfy everything: switches as some values suggest, or all at rest."""
        answers = [best, self._settled(values)]
        if self._hint is not None:
            settled = self._settled(self._hint(values))
            for _ in range(_REPAIRS):
                answers.append(settled)
                if settled is None:
                    break
                settled = self._settled(settled)
        found = [answer for answer in answers if answer is not None]
        if not found and self._rest is not None:
            found = [answer for answer in [self.fixed(*self._rest)] if answer is not None]
        return min(found, key=lambda answer: float(self._cost @ answer)) if found else None

    def _settled(self, values: FloatArray) -> FloatArray | None:
        """Return the cheapest values with every switch as some values suggest; None when there are none."""
        columns = np.concatenate([choice.columns for choice in self._choices])
        return self.fixed(columns, np.concatenate([choice.settle(values) for choice in self._choices]))

    def fixed(self, columns: IntArray, fixed: FloatArray) -> FloatArray | None:
        """Return the cheapest values when some columns are given; None when there are none."""
        numbers = columns.astype(np.int32)
        lower, upper = self._lower[columns], self._upper[columns]
        self._solver.changeColsBounds(len(numbers), numbers, fixed, fixed)
        found = self._run(None)
        self._solver.changeColsBounds(len(numbers), numbers, lower, upper)
        return found


def _tempting(choice: Choice) -> BoolArray:
    return np.zeros(len(choice.columns), np.bool_) if choice.is_tempting is None else choice.is_tempting


def _each(value: FloatArray | float, count: int) -> FloatArray:
    return np.broadcast_to(np.asarray(value, np.float64), (count,))
