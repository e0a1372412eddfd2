"""A programme as arrays: columns, rows, and the yes-or-no decisions among them.

A switch is a column that is 0 or 1. Most switches never decide anything, so neither they nor their rows are given to
the solver before an answer needs them (see `hearth_models.planning.search`). A row with one column and some switches
is a bound of that column once the switches are settled; that is how an answer is made physical without branching.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray

# Less than this is nothing [kW or kWh].
TINY = 1e-6
# Bounds that cross by less than this are rounding.
_ROUNDING = 1e-9

Terms = Sequence[tuple[IntArray, FloatArray | float]]
"""Columns, one for each row, each with its coefficients."""


@dataclass(frozen=True)
class Choice:
    """Decisions, one a step, and when they must be whole numbers."""

    columns: IntArray
    is_broken: Callable[[FloatArray], BoolArray]
    """Tells from the values of all columns in which steps physics is broken; shape as ``columns``."""
    settle: Callable[[FloatArray], FloatArray]
    """Returns 0 or 1 for each step: what fits the values of all columns."""
    is_tempting: BoolArray | None = None
    """Steps in which physics would surely be broken; they become whole together with the first that is."""


@dataclass(frozen=True)
class Matrix:
    """A programme for the solver; a part of it can be left out."""

    lower: FloatArray
    upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    row: IntArray
    """Row of each entry, ascending."""
    column: IntArray
    factor: FloatArray
    is_switch: BoolArray
    """Of each column."""

    @cached_property
    def is_switched(self) -> BoolArray:
        """Of each row: whether it holds a switch."""
        switched = np.zeros(len(self.row_lower), np.bool_)
        switched[self.row[self.is_switch[self.column]]] = True
        return switched

    @cached_property
    def _alone(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Row, column and factor of what stands beside switches."""
        alone = self.is_switched[self.row] & ~self.is_switch[self.column]
        if (np.bincount(self.row[alone]) > 1).any():
            raise ValueError("a row with a switch holds more than one other column")
        return self.row[alone], self.column[alone], self.factor[alone]

    def bounds(self, columns: IntArray, values: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return the bounds of all columns when some, every switch among them, have a value; None if they clash."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[columns] = upper[columns] = values
        of_switch = self.is_switch[self.column]
        given = np.bincount(self.row[of_switch], (self.factor * lower[self.column])[of_switch], len(self.row_lower))
        low, high = self.row_lower - given, self.row_upper - given
        row, column, factor = self._alone
        ends = low[row] / factor, high[row] / factor
        np.maximum.at(lower, column, np.where(factor > 0, *ends))
        np.minimum.at(upper, column, np.where(factor > 0, *ends[::-1]))
        between = self.is_switched.copy()
        between[row] = False
        if (low[between] > _ROUNDING).any() or (high[between] < -_ROUNDING).any():
            return None
        if (lower > upper + _ROUNDING).any():
            return None
        return lower, np.maximum(lower, upper)


@dataclass
class Programme:
    """Columns and rows, gathered as arrays; the cost is minimised."""

    choices: list[Choice] = field(default_factory=list)
    rest: list[tuple[IntArray, FloatArray]] = field(default_factory=list)
    """Columns with their values when nothing is done, every switch among them; the others can follow from these."""
    hint: Callable[[FloatArray], Iterable[FloatArray]] | None = None
    """Returns values that are more physical than some: switches are settled as each of these suggests."""
    _columns: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    _switches: list[IntArray] = field(default_factory=list)
    _entries: list[tuple[IntArray, IntArray, FloatArray]] = field(default_factory=list)
    _bounds: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    _n_columns: int = 0
    _n_rows: int = 0

    def columns(self, count: int, *, lower: FloatArray | float = 0.0, upper: FloatArray | float = np.inf) -> IntArray:
        """Add columns and return their numbers; bounds are one for all or one for each."""
        self._columns.append((_each(lower, count), _each(upper, count)))
        self._n_columns += count
        return np.arange(self._n_columns - count, self._n_columns)

    def switches(self, count: int, *, upper: FloatArray | float = 1.0) -> IntArray:
        """Add columns that are 0 or 1 and cost nothing; a row of theirs may hold one other column at most."""
        self._switches.append(self.columns(count, upper=upper))
        return self._switches[-1]

    def rows(
        self, terms: Terms, *, lower: FloatArray | float = -np.inf, upper: FloatArray | float = np.inf
    ) -> IntArray:
        """Add as many rows as each term has columns, ``lower <= sum of coefficient * column <= upper``.

        Returns:
            The numbers of the rows.
        """
        count = len(terms[0][0])
        numbers = self.empty_rows(count, lower=lower, upper=upper)
        self._entries += [(numbers, columns, _each(factor, count)) for columns, factor in terms]
        return numbers

    def empty_rows(
        self, count: int, *, lower: FloatArray | float = -np.inf, upper: FloatArray | float = np.inf
    ) -> IntArray:
        """Add rows to be extended and return their numbers."""
        self._bounds.append((_each(lower, count), _each(upper, count)))
        self._n_rows += count
        return np.arange(self._n_rows - count, self._n_rows)

    def extend(self, rows: IntArray, columns: IntArray, factors: FloatArray) -> None:
        """Add entries to rows that exist."""
        self._entries.append((rows, columns, factors))

    def cost(self, prices: Sequence[tuple[IntArray, FloatArray | float]]) -> FloatArray:
        """Return a cost of every column, 0 where no price is given; prices of the same column add up."""
        total = np.zeros(self._n_columns)
        for columns, price in prices:
            np.add.at(total, columns, price)
        return total

    def matrix(self) -> Matrix:
        """Return everything as arrays."""
        lower, upper = (np.concatenate(part) for part in zip(*self._columns, strict=True))
        row_lower, row_upper = (np.concatenate(part) for part in zip(*self._bounds, strict=True))
        row, column, factor = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        order = np.argsort(row, kind="stable")
        is_switch = np.zeros(self._n_columns, np.bool_)
        is_switch[np.concatenate([*self._switches, np.arange(0)])] = True
        return Matrix(lower, upper, row_lower, row_upper, row[order], column[order], factor[order], is_switch)


Parts = Sequence[tuple[IntArray, FloatArray]]
"""Columns of every step whose sum is one power, each with how large it can be."""


def total(parts: Parts, values: FloatArray) -> FloatArray:
    """Return the sum of parts, one value a step."""
    summed: FloatArray = np.sum([values[columns] for columns, _ in parts], axis=0)
    return summed


def either(
    programme: Programme,
    one: Parts,
    other: Parts,
    *,
    is_tempting: BoolArray | None = None,
    is_broken: Callable[[FloatArray], BoolArray] | None = None,
    lead: Callable[[FloatArray], FloatArray] | None = None,
    at_rest: FloatArray | float = 0.0,
) -> IntArray:
    """Let two powers of a step never be above 0 together.

    Args:
        programme: Where they are.
        one: The parts of one power.
        other: The parts of the other.
        is_tempting: Where it would surely pay to have both.
        is_broken: Tells in which steps there are both; by their sums when None.
        lead: By how much ``one`` is meant rather than ``other``; the difference of their sums when None.
        at_rest: The switch when nothing is done.

    Returns:
        Switches that are 1 where ``one`` may be.
    """
    count = len(one[0][0])
    is_one = programme.switches(count)
    for columns, most in one:
        programme.rows([(columns, 1.0), (is_one, -most)], upper=0.0)
    for columns, most in other:
        programme.rows([(columns, 1.0), (is_one, most)], upper=most)
    if is_tempting is not None:
        _share(programme, one, other, is_tempting)

    def both(values: FloatArray) -> BoolArray:
        return (total(one, values) > TINY) & (total(other, values) > TINY)

    def difference(values: FloatArray) -> FloatArray:
        return total(one, values) - total(other, values)

    def settle(values: FloatArray) -> FloatArray:
        return ((lead or difference)(values) > 0).astype(np.float64)

    programme.choices.append(Choice(is_one, is_broken or both, settle, is_tempting))
    programme.rest.append((is_one, _each(at_rest, count)))
    return is_one


def _share(programme: Programme, one: Parts, other: Parts, where: BoolArray) -> None:
    """Let two powers share each step as a switch between 0 and 1 would make them."""
    most_one, most_other = (np.sum([most for _, most in parts], axis=0) for parts in (one, other))
    steps = np.flatnonzero(where & (most_one > TINY) & (most_other > TINY))
    if not len(steps):
        return
    terms: list[tuple[IntArray, FloatArray | float]] = []
    for parts, most in ((one, most_one), (other, most_other)):
        terms += [(columns[steps], 1 / most[steps]) for columns, _ in parts]
    programme.rows(terms, upper=1.0)


def _each(value: FloatArray | float, count: int) -> FloatArray:
    return np.broadcast_to(np.asarray(value, np.float64), (count,))
