"""HiGHS, as the planner uses it: one thread, one seed, silent, given whole arrays."""

from __future__ import annotations

import time

import highspy
import numpy as np

from hearth_models.arrays import BoolArray, FloatArray, IntArray
from hearth_models.planning.programme import Matrix

_SEED = 1


class Solver(highspy.Highs):
    """HiGHS without callbacks, whose installation prints a banner before output can be turned off."""

    def __init__(self) -> None:
        super(highspy.Highs, self).__init__()
        self.setOptionValue("output_flag", False)
        self.setOptionValue("threads", 1)
        self.setOptionValue("random_seed", _SEED)

    @property
    def has_solution(self) -> bool:
        """Whether what it found so far satisfies everything."""
        found: bool = self.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        return found

    @property
    def is_optimal(self) -> bool:
        """Whether nothing better exists."""
        return bool(self.getModelStatus() == highspy.HighsModelStatus.kOptimal)

    def prepare_linear(self) -> None:
        """Expect linear programmes that are solved again and again."""
        # presolve takes longer than it saves: little is left to simplify
        self.setOptionValue("presolve", "off")
        # equals are told apart by a preference, so costs need no noise; it sees which of equals is preferred
        self.setOptionValue("dual_simplex_cost_perturbation_multiplier", 0.0)
        self.setOptionValue("dual_feasibility_tolerance", 1e-9)

    def prepare_branching(self, gap: float) -> None:
        """Expect whole numbers; an answer that can be bettered by no more than ``gap`` is the best."""
        self.setOptionValue("mip_abs_gap", gap)
        self.setOptionValue("mip_rel_gap", 0.0)
        # with traces of power, tolerances as loose as usual have lost the best, and so have restarts
        self.setOptionValue("mip_feasibility_tolerance", 1e-9)
        self.setOptionValue("mip_allow_restart", False)

    def load(self, matrix: Matrix, cost: FloatArray, columns: IntArray, rows: BoolArray, whole: IntArray) -> None:
        """Take a part of a programme.

        Args:
            matrix: The programme.
            cost: Of each of its columns.
            columns: Which of them, ascending; all that the rows hold.
            rows: Which rows; tells of each.
            whole: Which of the columns are whole numbers.
        """
        place = np.full(len(matrix.lower), -1)
        place[columns] = np.arange(len(columns))
        entries = rows[matrix.row]
        lengths = np.bincount(matrix.row[entries], minlength=len(rows))[rows]
        kinds = np.zeros(len(columns), np.int32)
        kinds[place[whole]] = 1
        self.passModel(
            len(columns),
            int(rows.sum()),
            int(entries.sum()),
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            cost[columns],
            matrix.lower[columns],
            matrix.upper[columns],
            matrix.row_lower[rows],
            matrix.row_upper[rows],
            np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32),
            place[matrix.column[entries]].astype(np.int32),
            matrix.factor[entries],
            kinds,
        )

    def hold(self, cost: FloatArray, most: float) -> None:
        """Let a cost of the columns be no more than ``most``."""
        used = np.flatnonzero(cost).astype(np.int32)
        self.addRow(-highspy.kHighsInf, most, len(used), used, cost[used])

    def begin_with(self, values: FloatArray) -> None:
        """Let the search for whole numbers begin with a solution that is known."""
        solution = highspy.HighsSolution()
        solution.col_value = values.tolist()
        self.setSolution(solution)

    def run_until(self, deadline_s: float) -> FloatArray | None:
        """Solve; None when nothing satisfies everything, or time is up before anything was found."""
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return None
        # the limit counts from the solver's first run on
        self.setOptionValue("time_limit", self.getRunTime() + left_s)
        self.run()
        return np.array(self.getSolution().col_value) if self.has_solution else None
