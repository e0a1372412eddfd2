"""A home's planning problem as data: the JSON that ``hearth-models plan`` reads and the API takes.

Series have one value a step; where a field takes a number or a list, a number holds for every step. Times are seconds
from the start of the first step. Nonsense is refused with its field, and so is a field that is not known: a misspelt
wish must not be ignored. What is merely impossible (a car that cannot be full in time) is a plan with a broken wish.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from hearth_models.arrays import FloatArray
from hearth_models.planning.inputs import UNREADABLE, VOLT, PlanError
from hearth_models.planning.problem_check import check

MOST_STEPS = 1000
MOST_PARTS = 32
"""Of a kind, in one home."""

Number = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Share = Annotated[float, Meta(gt=0, le=1)]
Phase = Annotated[int, Meta(ge=1, le=3)]
Series = float | list[float]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Few = Meta(max_length=MOST_PARTS)


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


class Span(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A part of the plan."""

    from_s: float
    until_s: float


class DemandCharge(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A price for the highest mean import of any step in a window, beyond what the month has seen already."""

    eur_per_kw: Number
    from_s: float = 0.0
    until_s: float | None = None
    windows: list[Span] = []
    """Where between the two it counts; all of them form one peak. Everywhere when empty."""
    incurred_kw: Number = 0.0


class Pv(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A PV plant."""

    name: Name
    power_w: list[Number]
    can_curtail: bool = True
    phase: Phase | None = None


class EfficiencyBand(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A band of power, from the one below up to an edge, in which one way has an efficiency."""

    up_to_w: Positive
    efficiency: Share


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
    efficiency: Share | Annotated[list[EfficiencyBand], Meta(min_length=1)] = 0.95
    """One way. A number: at half power, and less at full power (see `hearth_models.battery`). Bands: as they say, the
    lowest first."""
    own_use_w: Number = 10.0
    wear_eur_per_kwh: Number = 0.0
    end_eur_per_kwh: float | None = None
    """Worth of a kWh left at the end; the mean import price after losses when absent."""
    can_charge_from_grid: bool = True
    can_discharge_to_grid: bool = True
    phase: Phase | None = None

    @property
    def efficiency_at_half_power(self) -> float:
        """One way [1]."""
        if not isinstance(self.efficiency, list):
            return self.efficiency
        half_w = max(self.max_charge_w, self.max_discharge_w) / 2
        return next(band.efficiency for band in self.efficiency if band.up_to_w >= half_w)


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
    """ISO 8601 with an offset."""
    timezone: str | None = None
    """Words in the answer use its clock, e.g. Europe/Berlin; that of the start's offset when absent."""
    steps_s: Annotated[list[Positive], Meta(min_length=1, max_length=MOST_STEPS)]
    import_eur_per_kwh: list[float]
    export_eur_per_kwh: list[float]
    load_w: list[float]
    site: Site = Site()
    demand_charges: Annotated[list[DemandCharge], Few] = []
    pv: Annotated[list[Pv], Few] = []
    batteries: Annotated[list[BatteryPart], Few] = []
    cars: Annotated[list[Car], Few] = []
    heat: Annotated[list[Heat], Few] = []
    appliances: Annotated[list[Appliance], Few] = []

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
    except UNREADABLE as error:
        raise PlanError.unreadable(error, "problem") from error
    check(problem)
    return problem
