"""A programme solved by HiGHS: linear first, whole numbers only in the steps where the answer needs them.

The linear programme knows no switches. After each solution every choice says in which steps physics is broken; only
these get true switches, and the programme is solved again. Most steps never need one, which makes milliseconds out of
seconds. Meanwhile the switches are settled as a solution suggests and the rest follows by the linear programme, from
the basis it had: an answer that satisfies everything, taken when it is good enough or when time is up. When not even
that was found in time, the answer is to rest: nothing is decided then, so it needs no time to speak of.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.inputs import PlanError
from hearth_models.planning.programme import Choice, Programme
from hearth_models.planning.solver import Solver

TIME_LIMIT_S = 2.0
# So often only the broken steps become whole; then the whole choice does, so that the rounds end.
_LAZY_ROUNDS = 4
# Currency units: a hundredth of a cent is not worth a second.
_GAP = 1e-4
# So many switches HiGHS decides in a second or so; it is asked when that could save this much [currency units]. To save
# less, fewer must do; otherwise what was settled is taken.
_MOST_WHOLE, _WORTH_SECONDS = 32, 0.1
_FEW_WHOLE = 16
# Of the time of a question; the rest is for settling, and for prices.
_BRANCHING_SHARE = 0.8
# Of all the time there is: HiGHS rounds at the root without a look at the clock, up to about as long as it has run.
_BRANCHING_MOST = 0.6
# What a hint suggests may be impossible by a little; then its switches are settled anew upon what became of it.
_REPAIRS = 3
# Of a cost; with penalties of thousands the solver's tolerance shows.
_ROUNDING = 1e-6


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


class Search:
    """A programme in the solver's hands; keeps what it learnt from one question to the next."""

    def __init__(self, programme: Programme, cost: FloatArray, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._until_s = self._deadline_s = time.monotonic() + time_limit_s
        self._choices, self._hint, self._rest = programme.choices, programme.hint, programme.rest
        self._matrix = programme.matrix()
        self._cost = cost
        self._held: list[tuple[FloatArray, float]] = []
        self._whole = [np.zeros(len(choice.columns), np.bool_) for choice in self._choices]
        self._kept = np.flatnonzero(~self._matrix.is_switch)
        self._place = np.full(len(cost), -1)
        self._place[self._kept] = np.arange(len(self._kept))
        self._linear = self._linear_solver()
        self._priced: tuple[FloatArray, FloatArray] | None = None

    def solve(self, start: FloatArray | None = None, share: float = 1.0, good_enough: float = _GAP) -> Solution:
        """Return the cheapest values, or the best that are known when time is up.

        Args:
            start: Values that satisfy everything, should nothing better be found in time; resting is when None.
            share: How much of the time that is left may be used.
            good_enough: An answer that can be bettered by no more than this is taken.

        Raises:
            PlanError: Not even resting satisfies everything; it would be a fault of the programme.
        """
        now_s = time.monotonic()
        self._deadline_s = now_s + (self._until_s - now_s) * share
        best, bound = start, -np.inf
        for attempt in range(_LAZY_ROUNDS + len(self._choices) + 1):
            found = self._branched(best, good_enough) if self._has_whole else self._relaxed()
            if found is None:
                break
            values, known, is_optimal = found
            bound = max(bound, known)
            broken = [_broken(choice, values) & ~whole for choice, whole in self._pairs()]
            if not any(part.any() for part in broken):
                # with penalties of thousands the bound itself is only known to the solver's tolerance
                return Solution(values, 0.0 if is_optimal else float(self._cost @ values) - bound)
            best = self._better(best, values, bound + good_enough)
            if float(self._cost @ best) - bound <= good_enough:
                break
            self._make_whole(broken, everywhere=attempt >= _LAZY_ROUNDS)
            if good_enough > _GAP and not self._is_worth_it(float(self._cost @ best) - bound):
                break
        if best is None:
            best = self._resting()
        return Solution(best, float(self._cost @ best) - bound)

    def insist(self) -> None:
        """Make every decision whole at once: slower, and no better if the choices are right."""
        self._make_whole([np.ones(len(choice.columns), np.bool_) for choice in self._choices], everywhere=False)

    def duals(self, values: FloatArray) -> FloatArray:
        """Return what one more unit on the right of each row would cost, with decisions as they are in a solution."""
        if self._priced is None or values is not self._priced[0]:
            columns = self._decisions
            self._deadline_s = time.monotonic() + 1.0  # a millisecond is enough, even when time is up
            self.fixed(columns, np.round(values[columns]))
        found = np.zeros(len(self._matrix.row_lower))
        if self._priced is not None:
            found[~self._matrix.is_switched] = self._priced[1]
        return found

    def hold(self, cost: FloatArray, most: float) -> None:
        """Let the cost of what is found from now on be no more than ``most``."""
        self._held.append((cost, most))
        self._linear = self._linear_solver()

    def minimise(self, cost: FloatArray) -> None:
        """Ask for something else."""
        self._cost = cost
        kept = cost[self._kept]
        self._linear.changeColsCost(len(kept), np.arange(len(kept), dtype=np.int32), kept)

    def fixed(self, columns: IntArray, values: FloatArray) -> FloatArray | None:
        """Return the cheapest values when some columns, every decision among them, are given; None if impossible."""
        bounds = self._matrix.bounds(columns, values)
        if bounds is None:
            return None
        kept, lower, upper = self._kept, bounds[0][self._kept], bounds[1][self._kept]
        own_lower, own_upper = self._matrix.lower[kept], self._matrix.upper[kept]
        changed = np.flatnonzero((lower != own_lower) | (upper != own_upper)).astype(np.int32)
        self._linear.changeColsBounds(len(changed), changed, lower[changed], upper[changed])
        full = self._solved(bounds[0])
        self._linear.changeColsBounds(len(changed), changed, own_lower[changed], own_upper[changed])
        return full

    def _is_worth_it(self, could_save: float) -> bool:
        return self._n_whole <= (_MOST_WHOLE if could_save > _WORTH_SECONDS else _FEW_WHOLE)

    @property
    def _has_whole(self) -> bool:
        return any(whole.any() for whole in self._whole)

    @property
    def _n_whole(self) -> int:
        return sum(int(whole.sum()) for whole in self._whole)

    @property
    def _decisions(self) -> IntArray:
        return np.concatenate([choice.columns for choice in self._choices])

    def _pairs(self) -> list[tuple[Choice, BoolArray]]:
        return list(zip(self._choices, self._whole, strict=True))

    def _linear_solver(self) -> Solver:
        solver = self._solver(self._kept, ~self._matrix.is_switched, np.arange(0))
        solver.prepare_linear()
        return solver

    def _solver(self, columns: IntArray, rows: BoolArray, whole: IntArray) -> Solver:
        solver = Solver()
        solver.load(self._matrix, self._cost, columns, rows, whole)
        for cost, most in self._held:
            solver.hold(cost[columns], most)
        return solver

    def _relaxed(self) -> tuple[FloatArray, float, bool] | None:
        """Solve without switches: values, what no answer can be cheaper than, and whether nothing better exists."""
        values = self._solved(np.zeros(len(self._cost)))
        if values is None:
            return None
        self._fill(values)
        is_optimal = self._linear.is_optimal
        return values, float(self._cost @ values) if is_optimal else -np.inf, is_optimal

    def _solved(self, values: FloatArray) -> FloatArray | None:
        """Fill in what the linear programme finds, and keep its prices."""
        found = self._linear.run_until(self._deadline_s)
        if found is None:
            return None
        values[self._kept] = found
        n_rows = len(self._matrix.row_lower) - int(self._matrix.is_switched.sum())
        self._priced = values, np.array(self._linear.getSolution().row_dual[:n_rows])
        return values

    def _branched(self, start: FloatArray | None, good_enough: float) -> tuple[FloatArray, float, bool] | None:
        """Solve with what is whole by now."""
        matrix, gap = self._matrix, max(good_enough / 2, _GAP)
        whole = np.concatenate([choice.columns[part] for choice, part in self._pairs()])
        is_in = ~matrix.is_switch
        is_in[whole] = True
        rows = np.ones(len(matrix.row_lower), np.bool_)
        rows[matrix.row[~is_in[matrix.column]]] = False
        columns = np.flatnonzero(is_in)
        now_s = time.monotonic()
        share_s, most_s = (self._deadline_s - now_s) * _BRANCHING_SHARE, (self._until_s - now_s) * _BRANCHING_MOST
        until_s = now_s + min(share_s, most_s)
        for begin in (start, None):
            solver = self._solver(columns, rows, whole)
            solver.prepare_branching(gap)
            if begin is None:
                solver.setOptionValue("presolve", "off")
            else:
                solver.begin_with(begin[columns])
            found = solver.run_until(until_s)
            if found is None or not solver.is_optimal:
                return None  # what was found just in time would not be found again
            values, bound = np.zeros(len(self._cost)), float(solver.getInfo().mip_dual_bound)
            values[columns] = found
            # HiGHS sometimes returns the start where it has found better, or loses the best; it is asked once more
            cost, rounding = float(self._cost @ values), _ROUNDING * max(abs(bound), 1.0)
            if cost <= bound + gap + rounding and (start is None or bound <= float(self._cost @ start) + rounding):
                self._fill(values, is_in)
                return values, bound, good_enough <= _GAP
        return None

    def _fill(self, values: FloatArray, is_known: BoolArray | None = None) -> None:
        """Give the switches that the solver did not have the value that fits."""
        for choice in self._choices:
            missing = self._matrix.is_switch[choice.columns]
            if is_known is not None:
                missing = missing & ~is_known[choice.columns]
            if missing.any():
                values[choice.columns[missing]] = choice.settle(values)[missing]

    def _make_whole(self, broken: Sequence[BoolArray], *, everywhere: bool) -> None:
        for whole, part in zip(self._whole, broken, strict=True):
            whole |= ~whole if everywhere and part.any() else part

    def _better(self, best: FloatArray | None, values: FloatArray, enough: float) -> FloatArray:
        """Return the cheapest known values that satisfy everything: switches as some values suggest, or all at rest."""
        answers = [best, self.fixed(self._decisions, self._settled(values))]
        if self._hint is not None and not _costs_at_most(self._cost, answers, enough):
            for suggestion in self._hint(values):
                answers += self._repaired(suggestion)
                if _costs_at_most(self._cost, answers, enough):
                    break
        found = [answer for answer in answers if answer is not None]
        return min(found, key=lambda answer: float(self._cost @ answer)) if found else self._resting()

    def _resting(self) -> FloatArray:
        """Return the values when nothing is done, whatever the time; each follows from those before it."""
        bounds = self._matrix.bounds(*(np.concatenate(part) for part in zip(*self._rest, strict=True)))
        if bounds is None:
            raise PlanError("the programme has no answer, not even to rest")
        at_rest = replace(self._matrix, lower=bounds[0], upper=bounds[1])
        solver = Solver()  # anew, for what is settled goes with its presolve at once
        solver.load(at_rest, self._cost, self._kept, ~self._matrix.is_switched, np.arange(0))
        found = solver.run_until(np.inf)
        if found is None:
            raise PlanError("the programme has no answer, not even to rest")
        values = bounds[0]
        values[self._kept] = found
        self._priced = values, np.array(solver.getSolution().row_dual)
        return values

    def _repaired(self, suggestion: FloatArray) -> list[FloatArray]:
        """Return answers with every decision as a suggestion has it, then as became of it."""
        answers: list[FloatArray] = []
        decided, before = self._settled(suggestion), np.zeros(0)
        for _ in range(_REPAIRS + 1):
            answer = None if np.array_equal(decided, before) else self.fixed(self._decisions, decided)
            if answer is None:
                break
            answers.append(answer)
            decided, before = self._settled(answer), decided
        return answers

    def _settled(self, values: FloatArray) -> FloatArray:
        """Return every decision as some values suggest."""
        return np.concatenate([choice.settle(values) for choice in self._choices])


def _costs_at_most(cost: FloatArray, answers: Sequence[FloatArray | None], most: float) -> bool:
    return any(answer is not None and float(cost @ answer) <= most for answer in answers)


def _broken(choice: Choice, values: FloatArray) -> BoolArray:
    broken = choice.is_broken(values)
    return broken | choice.is_tempting if choice.is_tempting is not None and broken.any() else broken
