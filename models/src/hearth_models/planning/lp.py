"""The linear programme beside the value function: one expected course, its broken wishes and marginal prices.

Hard is only physics; every wish (the fuse, the charge floor) is soft at its own price tier, so an answer always comes
back. Where money would pay for going both ways at once (feed-in dearer than import, negative import prices) a binary
would be needed, and makes 10 ms into seconds; the directions of these steps come from the value function's course
instead, which knows no such trick. Matrices are arrays in kW and kWh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import highspy
import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.battery import Battery
from hearth_models.planning.inputs import PlanError
from hearth_models.planning.search import Solver
from hearth_models.planning.value import BEYOND_EUR_PER_KWH, Market

# A kWh missing below the charge floor, for one step: below the fuse's tier, above any tariff.
BELOW_FLOOR_EUR_PER_KWH = 2.0
# Columns of each step, in this order.
_CHARGE, _DISCHARGE, _IMPORT, _BEYOND, _EXPORT, _SPILL, _STORED, _BELOW = range(8)
_COLUMNS = 8
_UNLIMITED_KW = 1000.0
_SPILL_EUR_PER_KWH = 1e-6
_TINY = 1e-9


@dataclass(frozen=True)
class Course:
    """The cheapest expected course; arrays have one value a step.

    ``marginal_eur_per_kwh`` is what one more kWh of net load in a step would cost, ``stored_eur_per_kwh`` what one more
    kWh in the cells at its end is worth.
    """

    battery_w: FloatArray
    grid_w: FloatArray
    stored_wh: FloatArray
    beyond_fuse_w: FloatArray
    spilled_w: FloatArray
    below_floor_wh: FloatArray
    marginal_eur_per_kwh: FloatArray
    stored_eur_per_kwh: FloatArray
    cost_eur: float
    """Grid, wear and soft wishes, minus the worth of what is stored at the end above the floor."""


@dataclass(frozen=True)
class _Shape:
    """The matrix of a horizon, which depends on the number of steps only (values are filled in by kind)."""

    starts: IntArray
    index: IntArray
    kind: IntArray


# Kinds of matrix entries that are not constants.
_ONE, _MINUS, _ETA_IN, _ETA_OUT = 0, 1, 2, 3


@lru_cache(maxsize=8)
def _shape(n: int) -> _Shape:
    """Column-wise structure: row t is the energy balance of step t, row n + t its storage.

    The energy in the cells is floor + stored - below, so the soft floor needs no row of its own.
    """
    step = np.arange(n)
    columns: dict[int, list[tuple[IntArray, int]]] = {
        _CHARGE: [(step, _MINUS), (n + step, _ETA_IN)],
        _DISCHARGE: [(step, _ONE), (n + step, _ETA_OUT)],
        _IMPORT: [(step, _ONE)],
        _BEYOND: [(step, _ONE)],
        _EXPORT: [(step, _MINUS)],
        _SPILL: [(step, _MINUS)],
        _STORED: [(n + step, _ONE), (n + step + 1, _MINUS)],
        _BELOW: [(n + step, _MINUS), (n + step + 1, _ONE)],
    }
    starts, index, kind = [0], [], []
    for column in range(_COLUMNS):
        for t in range(n):
            for rows, entry in columns[column]:
                # the last step's charge has no successor
                if rows[t] == 2 * n:
                    continue
                index.append(int(rows[t]))
                kind.append(entry)
            starts.append(len(index))
    return _Shape(np.array(starts), np.array(index), np.array(kind))


def solve_course(
    net_w: FloatArray,
    market: Market,
    battery: Battery,
    stored_wh: float,
    hours: FloatArray,
    end_eur_per_kwh: float,
    guide_w: FloatArray | None = None,
) -> Course:
    """Return the cheapest course for one expected net load.

    Args:
        net_w: Expected net load, shape (n,) [W].
        market: Prices and limits.
        battery: Its limits; the efficiency is that of half power.
        stored_wh: Energy in the cells now; may lie below the floor [Wh].
        hours: Length of each step, shape (n,) [h].
        end_eur_per_kwh: Worth of a kWh left in the cells at the end.
        guide_w: Battery power of the value function's course, shape (n,), + = discharge; decides the directions where
            going both ways at once would pay. Resting when None [W].

    Raises:
        PlanError: Arrays differ in length or hold no numbers.
    """
    n = len(net_w)
    _check(net_w, market, hours, n)
    guide = np.zeros(n) if guide_w is None else guide_w
    model = _model(net_w, market, battery, stored_wh, hours, end_eur_per_kwh, guide)
    solver = Solver()
    solver.passModel(model)
    solver.run()
    if solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        raise PlanError(f"linear programme: {solver.modelStatusToString(solver.getModelStatus())}")
    solution = solver.getSolution()
    values = np.array(solution.col_value).reshape(_COLUMNS, n)
    duals = np.array(solution.row_dual).reshape(2, n)
    return Course(
        battery_w=(values[_DISCHARGE] - values[_CHARGE]) * 1000,
        grid_w=(values[_IMPORT] + values[_BEYOND] - values[_EXPORT]) * 1000,
        stored_wh=battery.min_wh + (values[_STORED] - values[_BELOW]) * 1000,
        beyond_fuse_w=values[_BEYOND] * 1000,
        spilled_w=values[_SPILL] * 1000,
        below_floor_wh=values[_BELOW] * 1000,
        # the balance rows are in kW of a step, so their duals are per kW and step
        marginal_eur_per_kwh=duals[0] / hours,
        stored_eur_per_kwh=-duals[1],
        cost_eur=float(solver.getInfo().objective_function_value),
    )


def _model(
    net_w: FloatArray,
    market: Market,
    battery: Battery,
    stored_wh: float,
    hours: FloatArray,
    end_eur_per_kwh: float,
    guide_w: FloatArray,
) -> highspy.HighsLp:
    n, shape = len(net_w), _shape(len(net_w))
    eta = battery.efficiency
    step = _steps_of_entries(shape, n)
    value = np.choose(shape.kind, [1.0, -1.0, -eta, 1 / eta])
    value = np.where(shape.kind >= _ETA_IN, value * hours[step], value)
    cost = np.zeros((_COLUMNS, n))
    cost[_DISCHARGE] = battery.wear_eur_per_kwh / eta * hours
    cost[_IMPORT] = market.import_eur_per_kwh * hours
    cost[_BEYOND] = (market.import_eur_per_kwh + BEYOND_EUR_PER_KWH) * hours
    cost[_EXPORT] = -market.export_eur_per_kwh * hours
    cost[_BELOW] = BELOW_FLOOR_EUR_PER_KWH
    cost[_SPILL] = (np.maximum(-market.export_eur_per_kwh, 0.0) + _SPILL_EUR_PER_KWH) * hours
    cost[_STORED, -1] -= end_eur_per_kwh
    cost[_BELOW, -1] += end_eur_per_kwh
    _hold_directions(cost, net_w, market, guide_w, hours)
    upper = np.full((_COLUMNS, n), highspy.kHighsInf)
    upper[_CHARGE], upper[_DISCHARGE] = battery.max_charge_w / 1000, battery.max_discharge_w / 1000
    upper[_IMPORT] = min(market.import_limit_w / 1000, _UNLIMITED_KW)
    upper[_EXPORT] = min(market.export_limit_w / 1000, _UNLIMITED_KW)
    upper[_SPILL] = np.maximum(-net_w, 0.0) / 1000
    above_wh = stored_wh - battery.min_wh
    upper[_STORED] = max(battery.max_wh - battery.min_wh, above_wh) / 1000
    storage = -battery.own_use_w / 1000 * hours
    storage[0] += above_wh / 1000
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = _COLUMNS * n, 2 * n
    lp.col_cost_ = cost.ravel()
    lp.col_lower_, lp.col_upper_ = np.zeros(_COLUMNS * n), upper.ravel()
    lp.row_lower_ = lp.row_upper_ = np.concatenate([net_w / 1000, storage])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = shape.starts, shape.index, value
    return lp


def _steps_of_entries(shape: _Shape, n: int) -> IntArray:
    columns = np.repeat(np.arange(_COLUMNS * n), np.diff(shape.starts))
    step: IntArray = columns % n
    return step


def _hold_directions(
    cost: FloatArray, net_w: FloatArray, market: Market, guide_w: FloatArray, hours: FloatArray
) -> None:
    """Make the direction that the guide does not take dear, in steps where going both ways at once would pay."""
    import_price, export_price = market.import_eur_per_kwh, market.export_eur_per_kwh
    grid_w = net_w - guide_w
    both_ways: BoolArray = (export_price > import_price - _TINY) | (import_price < 0)
    burning: BoolArray = import_price < 0
    for column, steps in (
        (_IMPORT, both_ways & (grid_w < 0)),
        (_BEYOND, both_ways & (grid_w < 0)),
        (_EXPORT, both_ways & (grid_w >= 0)),
        (_CHARGE, burning & (guide_w > 0)),
        (_DISCHARGE, burning & (guide_w <= 0)),
    ):
        cost[column, steps] += BEYOND_EUR_PER_KWH * hours[steps]


def _check(net_w: FloatArray, market: Market, hours: FloatArray, n: int) -> None:
    named = {
        "net_w": net_w,
        "import_eur_per_kwh": market.import_eur_per_kwh,
        "export_eur_per_kwh": market.export_eur_per_kwh,
        "hours": hours,
    }
    for name, values in named.items():
        if values.shape != (n,):
            raise PlanError(f"{name}: shape {values.shape} must be ({n},)")
        if not np.isfinite(values).all():
            raise PlanError(f"{name}: holds values that are no numbers")
