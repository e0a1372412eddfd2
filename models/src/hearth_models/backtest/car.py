"""A home's car from recorded plug-ins: each session is planned when the car comes and again every hour.

Departure and energy are known when the car is plugged in, as a driver would tell them. What charging costs is what the
meter shows more than without the car, before the battery helps.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hearth_core.errors import ConfigError
from hearth_models.arrays import FloatArray
from hearth_models.planning.inputs import VOLT
from hearth_models.planning.joint_answer import plan_home
from hearth_models.planning.problem import Car, Problem, Pv
from hearth_models.planning.value import Market

_WEEK_S = 7 * 86_400
_MIN_A, _MAX_A = 6.0, 32.0
_MAX_W = _MAX_A * VOLT
_COLUMNS = ("user", "plug_in_utc", "plug_out_utc", "energy_kwh")


@dataclass(frozen=True)
class Session:
    """A plug-in: times [s] and energy at the meter [Wh]."""

    from_s: float
    until_s: float
    energy_wh: float


def read_sessions(path: Path, start_s: float, end_s: float, user: str = "") -> list[Session]:
    """Read one user's sessions; they are moved by whole weeks to begin with the home, and end with it.

    Args:
        path: CSV(.gz) with user, plug_in_utc, plug_out_utc, energy_kwh.
        start_s: Begin of the home's recording [s].
        end_s: Its end [s].
        user: Whose; the one with most sessions when empty.

    Raises:
        ConfigError: The file cannot be read; names the line, the field and the value.
    """
    source = str(path)
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(source, "the file", str(error), "Give a readable .csv or .csv.gz file.") from error
    rows = list(csv.DictReader(text.splitlines()))
    for name in _COLUMNS:
        if not rows or name not in rows[0]:
            raise ConfigError(source, "column", name, "Sessions need user, plug_in_utc, plug_out_utc, energy_kwh.")
    counts = Counter(row["user"] for row in rows)
    whose = user or min(counts, key=lambda name: (-counts[name], name))
    if whose not in counts:
        raise ConfigError(source, "user", whose, f"There is: {', '.join(sorted(counts))}.")
    found = [_session(source, line, row) for line, row in enumerate(rows, start=2) if row["user"] == whose]
    found.sort(key=lambda one: one.from_s)
    moved_s = -((found[0].from_s - start_s) // _WEEK_S) * _WEEK_S
    if found[0].from_s < start_s < found[-1].until_s:
        moved_s = 0.0
    sessions = [Session(one.from_s + moved_s, one.until_s + moved_s, one.energy_wh) for one in found]
    kept: list[Session] = []
    for one in sessions:
        if one.from_s >= max(start_s, kept[-1].until_s if kept else start_s) and one.until_s <= end_s:
            kept.append(one)
    return kept


def _session(source: str, line: int, row: dict[str, str]) -> Session:
    try:
        begin, end = (datetime.fromisoformat(row[name]) for name in ("plug_in_utc", "plug_out_utc"))
        energy_wh = float(row["energy_kwh"]) * 1000
    except ValueError as error:
        raise ConfigError(
            source, f"line {line}", str(row), "Write times as 2019-01-01T08:00:00Z, energy in kWh."
        ) from error
    if end <= begin or not energy_wh >= 0:
        raise ConfigError(source, f"line {line}", str(row), "A session ends after it begins and takes energy.")
    return Session(_utc_s(begin), _utc_s(end), energy_wh)


def _utc_s(at: datetime) -> float:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


class CarLife:
    """The car's charging on the grid of steps that is lived."""

    def __init__(self, sessions: list[Session], start_s: float, step_s: int, n_steps: int) -> None:
        """Take sessions that do not overlap; those too short for a step are left out.

        Args:
            sessions: In order.
            start_s: Begin of the first step [s].
            step_s: Length of a step [s].
            n_steps: How many.
        """
        self.step_s = step_s
        self.sessions: list[tuple[int, int, float]] = []
        for one in sessions:
            first = -int(-(one.from_s - start_s) // step_s)
            last = min(int((one.until_s - start_s) // step_s), n_steps)
            most_wh = (last - first) * step_s / 3600 * _MAX_W
            if last > first and one.energy_wh > 0:
                self.sessions.append((first, last, min(one.energy_wh, most_wh)))
        self.charged_w = np.zeros(n_steps)
        """What the car has drawn, and what is planned for it."""
        self._next = 0

    def plan(self, step: int, load_w: FloatArray, pv_w: FloatArray, market: Market, plan_step_s: int) -> None:
        """Plan the session that runs or begins within the plan's next step, with what is expected of the house."""
        join = plan_step_s // self.step_s
        while self._next < len(self.sessions) and self.sessions[self._next][1] <= step:
            self._next += 1
        if self._next == len(self.sessions) or self.sessions[self._next][0] >= step + join:
            return
        first, last, energy_wh = self.sessions[self._next]
        begin = max(first, step)
        left_wh = energy_wh - float(self.charged_w[first:begin].sum()) * self.step_s / 3600
        self.charged_w[begin:last] = 0.0
        if left_wh <= 1.0:
            return
        reach = min(last, step + len(load_w) * join)
        spread = self._spread(step, begin, reach, join)
        steps = slice(0, len(spread))
        house = load_w[steps], pv_w[steps], market.import_eur_per_kwh[steps], market.export_eur_per_kwh[steps]
        planned = _cheapest(spread, left_wh, *house)
        each = planned[(np.arange(begin, reach) - step) // join]
        self.charged_w[begin:reach] = self._until_full(each, left_wh)

    def _spread(self, step: int, begin: int, reach: int, join: int) -> FloatArray:
        """Return the length of each of the plan's steps in which the car is there [s]."""
        n = -(-(reach - step) // join)
        edges = step + join * np.arange(n + 1)
        inside = np.minimum(edges[1:], reach) - np.maximum(edges[:-1], begin)
        there: FloatArray = np.maximum(inside, 0) * float(self.step_s)
        return there

    def _until_full(self, offered_w: FloatArray, energy_wh: float) -> FloatArray:
        """Return what the car takes of the power it is offered in each step, until it has what it needs [W]."""
        offered_wh = np.cumsum(offered_w) * self.step_s / 3600
        taken: FloatArray = np.diff(np.minimum(offered_wh, energy_wh), prepend=0.0) * 3600 / self.step_s
        return taken

    def power_w(self, step: int) -> float:
        """Return what the car draws in a step [W]."""
        return float(self.charged_w[step])

    def planned_w(self, step: int, join: int, n: int) -> FloatArray:
        """Return what is planned for it in each of the plan's next steps, shape (n,) [W]."""
        ahead = self.charged_w[step : step + n * join]
        whole = np.zeros(n * join)
        whole[: len(ahead)] = ahead
        mean: FloatArray = whole.reshape(n, join).mean(axis=1)
        return mean

    def at_once_w(self) -> FloatArray:
        """Return the charging of a car that charges as fast as it can from the moment it is plugged in [W]."""
        power = np.zeros_like(self.charged_w)
        for first, last, energy_wh in self.sessions:
            power[first:last] = self._until_full(np.full(last - first, _MAX_W), energy_wh)
        return power

    def cheapest_w(self, net_w: FloatArray, market: Market) -> FloatArray:
        """Return the cheapest charging inside each window, knowing load, sun and prices [W]."""
        power = np.zeros_like(self.charged_w)
        for first, last, energy_wh in self.sessions:
            span = slice(first, last)
            spread = np.full(last - first, float(self.step_s))
            net = net_w[span]
            prices = market.import_eur_per_kwh[span], market.export_eur_per_kwh[span]
            planned = _cheapest(spread, energy_wh, np.maximum(net, 0), np.maximum(-net, 0), *prices)
            power[span] = self._until_full(planned, energy_wh)
        return power


def _cheapest(
    spread_s: FloatArray,
    energy_wh: float,
    load_w: FloatArray,
    pv_w: FloatArray,
    import_eur_per_kwh: FloatArray,
    export_eur_per_kwh: FloatArray,
) -> FloatArray:
    """Ask the joint programme for the charging power of each step [W]."""
    kept = np.flatnonzero(spread_s)
    power = np.zeros(len(spread_s))
    if not len(kept):
        return power
    problem = Problem(
        start="2026-01-01T00:00:00+00:00",
        steps_s=spread_s[kept].tolist(),
        import_eur_per_kwh=import_eur_per_kwh[kept].tolist(),
        export_eur_per_kwh=export_eur_per_kwh[kept].tolist(),
        load_w=load_w[kept].tolist(),
        pv=[Pv(name="roof", power_w=pv_w[kept].tolist(), can_curtail=False)],
        cars=[
            Car(
                name="car",
                capacity_wh=energy_wh,
                stored_wh=0.0,
                target_wh=energy_wh,
                min_a=_MIN_A,
                max_a=_MAX_A,
                phases=1,
                phase=1,
                efficiency=1.0,
            )
        ],
    )
    power[kept] = plan_home(problem, good_enough_eur=0.002).assets[0].power_w
    return power
