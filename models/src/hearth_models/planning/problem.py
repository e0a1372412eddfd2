"""A home's planning problem as data: the JSON that ``hearth-models plan`` reads and the API takes.

Series have one value a step; where a field takes a number or a list, a number holds for every step. Times are seconds
from the start of the first step. Nonsense is refused with its field, and so is a field that is not known: a misspelt
wish must not be ignored. What is merely impossible (a car that cannot be full in time) is a plan with a broken wish.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from hearth_models.arrays import FloatArray
from hearth_models.planning.inputs import VOLT, PlanError

MOST_STEPS = 1000
_LONGEST_STEP_S = 6 * 3600.0

Number = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(gt=0, le=1)]
Phase = Annotated[int, Meta(ge=1, le=3)]
Series = float | list[float]
Name = Annotated[str, Meta(min_length=1, max_length=64)]


class Site(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The connection. All limits are soft: beyond them a plan is dear, but there is one."""

    fuse_a: Positive = 63.0
    phases: Annotated[int, Meta(ge=1, le=3)] = 3
    import_limit_w: Series | None = None
    export_limit_w: Series | None = None
    load_phase_shares: list[Number] | None = None
    """How the load divides over the phases; evenly when absent."""
    dimmed_w: Series | None = None
    """What cars, heat pumps and charging batteries may draw together beside own PV (section 14a EnWG)."""

    @property
    def fuse_w(self) -> float:
        """What one phase lets through [W]."""
        return self.fuse_a * VOLT


class DemandCharge(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A price for the highest mean import of any step in a window, beyond what the month has seen already."""

    eur_per_kw: Number
    from_s: float = 0.0
    until_s: float | None = None
    incurred_kw: Number = 0.0


class Pv(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A PV plant."""

    name: Name
    power_w: list[Number]
    can_curtail: bool = True
    phase: Phase | None = None


class BatteryPart(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A home battery."""

    name: Name
    capacity_wh: Positive
    soc_percent: Percent
    max_charge_w: Number
    max_discharge_w: Number
    min_soc_percent: Percent = 5.0
    max_soc_percent: Percent = 100.0
    reserve_soc_percent: Percent = 0.0
    """Kept for an outage; a wish, below the band it is a must."""
    efficiency: Share = 0.95
    """One way, at half power; less at full power (see `hearth_models.battery`)."""
    own_use_w: Number = 10.0
    wear_eur_per_kwh: Number = 0.0
    end_eur_per_kwh: float | None = None
    """Worth of a kWh left at the end; the mean import price after losses when absent."""
    can_charge_from_grid: bool = True
    can_discharge_to_grid: bool = True
    phase: Phase | None = None


class CarMode(StrEnum):
    """How a car is charged."""

    CHEAPEST = "cheapest"
    PV_ONLY = "pv_only"
    NOW = "now"


class Car(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A car at its charger, from arrival to departure."""

    name: Name
    capacity_wh: Positive
    stored_wh: Number
    target_wh: Number
    arrives_s: float = 0.0
    departs_s: float | None = None
    """None: it is not known; the car shall be full at the end of the plan."""
    mode: CarMode = CarMode.CHEAPEST
    min_a: Positive = 6.0
    max_a: Positive = 16.0
    phases: Annotated[int, Meta(ge=1, le=3)] = 3
    phase: Phase | None = None
    """On which phase a single-phase car charges."""
    efficiency: Share = 0.9
    max_discharge_w: Number = 0.0
    reserve_wh: Number = 0.0
    """Below this the car gives nothing back."""
    wear_eur_per_kwh: Number = 0.0

    @property
    def min_w(self) -> float:
        """The least a charger gives when it gives anything [W]."""
        return self.min_a * VOLT * self.phases

    @property
    def max_w(self) -> float:
        """The most it gives [W]."""
        return self.max_a * VOLT * self.phases


class Source(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What turns electricity into heat: a heat pump, or a heating rod (coefficient of performance 1)."""

    max_w: Positive
    min_w: Number = 0.0
    cop: Series = 1.0
    min_run_s: Number = 0.0
    min_rest_s: Number = 0.0
    is_running: bool = False
    phase: Phase | None = None


class Heat(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A room or a tank: one temperature, losses to its surroundings, a band to stay within."""

    name: Name
    capacity_wh_per_k: Positive
    loss_w_per_k: Number
    now_c: float
    low_c: Series
    high_c: Series
    surroundings_c: Series
    gain_w: Series = 0.0
    """Heat from elsewhere; negative for what is drawn (hot water)."""
    source: Source
    end_eur_per_k: Number = 0.0
    """Worth of a degree left at the end; the mean price of making it when 0."""


class Appliance(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A run of fixed shape that may wait."""

    name: Name
    shape_w: Annotated[list[Number], Meta(min_length=1, max_length=MOST_STEPS)]
    shape_step_s: Positive = 900.0
    earliest_s: float = 0.0
    ready_by_s: float | None = None
    phase: Phase | None = None


class Problem(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Everything a plan depends on."""

    start: str
    """ISO 8601 with an offset; words in the answer use its clock."""
    steps_s: Annotated[list[Positive], Meta(min_length=1, max_length=MOST_STEPS)]
    import_eur_per_kwh: list[float]
    export_eur_per_kwh: list[float]
    load_w: list[float]
    site: Site = Site()
    demand_charges: list[DemandCharge] = []
    pv: list[Pv] = []
    batteries: list[BatteryPart] = []
    cars: list[Car] = []
    heat: list[Heat] = []
    appliances: list[Appliance] = []

    @property
    def n_steps(self) -> int:
        """How many steps there are."""
        return len(self.steps_s)

    @property
    def hours(self) -> FloatArray:
        """Length of each step [h]."""
        return np.array(self.steps_s) / 3600

    @property
    def begins_s(self) -> FloatArray:
        """Begin of each step and the end of the last, shape (n_steps + 1,) [s]."""
        return np.concatenate([[0.0], np.cumsum(self.steps_s)])

    @property
    def start_at(self) -> datetime:
        """Start of the first step."""
        return datetime.fromisoformat(self.start)

    def series(self, value: Series) -> FloatArray:
        """Return a value for each step."""
        return np.broadcast_to(np.asarray(value, np.float64), (self.n_steps,)).copy()

    def presence(self, from_s: float, until_s: float | None) -> FloatArray:
        """Return which share of each step lies between two times, shape (n_steps,); None is the end of the plan."""
        edges = self.begins_s
        inside = np.minimum(edges[1:], edges[-1] if until_s is None else until_s) - np.maximum(edges[:-1], from_s)
        share: FloatArray = np.clip(inside / np.array(self.steps_s), 0.0, 1.0)
        return share


def problem_schema() -> dict[str, Any]:
    """Return the JSON Schema of a problem."""
    found: dict[str, Any] = msgspec.json.schema(Problem)
    return found


def read_problem(text: bytes) -> Problem:
    """Read a problem.

    Raises:
        PlanError: It is nonsense; the field is named.
    """
    try:
        problem = msgspec.json.decode(text, type=Problem)
    except msgspec.MsgspecError as error:
        raise PlanError(f"problem: {error}") from error
    check(problem)
    return problem


def check(problem: Problem) -> None:
    """Raise PlanError for what no plan can be made from."""
    try:
        start = problem.start_at
    except ValueError as error:
        raise PlanError(f"start: {problem.start!r} is no time; write 2026-01-31T07:00:00+01:00") from error
    if start.tzinfo is None:
        raise PlanError(f"start: {problem.start!r} has no offset; write 2026-01-31T07:00:00+01:00")
    if max(problem.steps_s) > _LONGEST_STEP_S:
        raise PlanError(f"steps_s: {max(problem.steps_s)} is longer than {_LONGEST_STEP_S:.0f} s")
    for where, value in _numbers("", problem):
        if not math.isfinite(value):
            raise PlanError(f"{where}: {value} is no number")
    for where, series in _series(problem):
        if isinstance(series, list) and len(series) != problem.n_steps:
            raise PlanError(f"{where}: {len(series)} values, but steps_s has {problem.n_steps}")
    names: set[str] = set()
    for group in ("pv", "batteries", "cars", "heat", "appliances"):
        for number, part in enumerate(getattr(problem, group)):
            if part.name in names:
                raise PlanError(f"{group}[{number}].name: {part.name!r} is taken")
            names.add(part.name)
    _check_parts(problem)


def _check_parts(problem: Problem) -> None:
    shares = problem.site.load_phase_shares
    if shares is not None and (len(shares) != problem.site.phases or sum(shares) <= 0):
        raise PlanError(f"site.load_phase_shares: {shares} must be {problem.site.phases} shares, not all 0")
    for number, battery in enumerate(problem.batteries):
        if battery.min_soc_percent >= battery.max_soc_percent:
            band = f"{battery.min_soc_percent}..{battery.max_soc_percent}"
            raise PlanError(f"batteries[{number}].min_soc_percent..max_soc_percent: {band} is no band")
    for number, car in enumerate(problem.cars):
        if car.departs_s is not None and car.departs_s <= car.arrives_s:
            raise PlanError(f"cars[{number}].departs_s: {car.departs_s} is not after arrives_s {car.arrives_s}")
        if car.min_a > car.max_a:
            raise PlanError(f"cars[{number}].min_a: {car.min_a} is above max_a {car.max_a}")
        for field in ("stored_wh", "target_wh", "reserve_wh"):
            if getattr(car, field) > car.capacity_wh:
                raise PlanError(f"cars[{number}].{field}: {getattr(car, field)} is above capacity_wh {car.capacity_wh}")
    for number, heat in enumerate(problem.heat):
        if (problem.series(heat.low_c) > problem.series(heat.high_c)).any():
            raise PlanError(f"heat[{number}].low_c: is above high_c")
        if (problem.series(heat.source.cop) <= 0).any():
            raise PlanError(f"heat[{number}].source.cop: must be above 0")
        if heat.source.min_w > heat.source.max_w:
            raise PlanError(f"heat[{number}].source.min_w: {heat.source.min_w} is above max_w {heat.source.max_w}")
    for number, appliance in enumerate(problem.appliances):
        if appliance.ready_by_s is not None and appliance.ready_by_s <= appliance.earliest_s:
            raise PlanError(f"appliances[{number}].ready_by_s: is not after earliest_s {appliance.earliest_s}")


def _series(problem: Problem) -> Iterator[tuple[str, Any]]:
    for name in ("import_eur_per_kwh", "export_eur_per_kwh", "load_w"):
        yield name, getattr(problem, name)
    for name in ("import_limit_w", "export_limit_w", "dimmed_w"):
        yield f"site.{name}", getattr(problem.site, name)
    for number, pv in enumerate(problem.pv):
        yield f"pv[{number}].power_w", pv.power_w
    for number, heat in enumerate(problem.heat):
        for name in ("low_c", "high_c", "surroundings_c", "gain_w"):
            yield f"heat[{number}].{name}", getattr(heat, name)
        yield f"heat[{number}].source.cop", heat.source.cop


def _numbers(where: str, value: Any) -> Iterator[tuple[str, float]]:  # noqa: ANN401  walks every kind of part
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _numbers(f"{where}.{name}" if where else name, getattr(value, name))
    elif isinstance(value, list):
        if value and isinstance(value[0], float) and all(map(math.isfinite, value)):
            return
        for number, item in enumerate(value):
            yield from _numbers(f"{where}[{number}]", item)
    elif isinstance(value, float):
        yield where, value
