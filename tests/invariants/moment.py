"""What a check sees of one step, and how it says that an invariant is broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hearth_agent.control.house import Charger, House
from hearth_agent.control.orders import GridCaps, HeatCommand, Interval, Measurements, Outcome, Reason
from hearth_core.messages import HeatMode, Override, Plan

VOLT = 230.0
MARGIN = 0.05


class BreachError(AssertionError):
    """An invariant was broken."""

    def __init__(self, invariant: str, text: str) -> None:
        self.invariant = invariant
        super().__init__(f"{invariant}: {text}")


@dataclass
class Moment:
    """One step: what went in, what came out, and what was ordered before."""

    house: House
    told: Measurements
    """As the controller got it."""
    believed: Measurements
    """The same without what cannot be."""
    plan: Plan | None
    overrides: dict[str, Override]
    grid: GridCaps
    at_s: float
    tick_s: float
    time_trusted: bool
    outcome: Outcome

    @property
    def battery(self) -> Interval | None:
        return self.outcome.commands.battery

    def cause(self, device: str) -> Reason:
        reason = self.outcome.causes.get(device)
        if reason is None:
            raise BreachError("I-20", f"{device} is commanded without a cause")
        return reason

    def car_limit_a(self, car: Charger) -> float:
        """What a charger allows after this step."""
        command = self.outcome.commands.cars[car.id]
        return car.max_a if command.current_a is None else command.current_a

    def drawn_a(self, car: Charger) -> float | None:
        """What a car draws on its first line; None where nobody knows."""
        reading = self.believed.cars.get(car.id)
        if reading is None or not reading.line_a or reading.line_a[0] is None:
            return None
        return max(0.0, *(one for one in reading.line_a if one is not None))

    def high_a(self) -> list[float]:
        """The most each line may carry by what the meter tells."""
        count, told = self.house.limits.phases, list(self.believed.phase_a)
        told = (told + [None] * count)[:count]
        whole = (self.believed.grid_w or 0.0) / VOLT
        rest = whole - sum(one for one in told if one is not None)
        return [max(whole, rest) if one is None else one for one in told]

    @property
    def phases_known(self) -> bool:
        told = list(self.believed.phase_a)[: self.house.limits.phases]
        return len(told) == self.house.limits.phases and None not in told


@dataclass
class CarPast:
    """What was ordered of a charger before."""

    limit_a: float
    phases: int = 3
    raised_s: float = -1e18
    switched_s: float = -1e18
    phase_s: float = -1e18
    changed_s: float = -1e18


@dataclass
class HeaterPast:
    """What was ordered of a heater before."""

    command: HeatCommand = None
    changed_s: float = -1e18
    blocked_s: float | None = None
    raised_s: float = -1e18
    starts_s: list[float] = field(default_factory=list)


@dataclass
class Past:
    """What the checks remember between steps, kept apart from the controller's own state."""

    house: House
    begun_s: float
    cars: dict[str, CarPast] = field(default_factory=dict)
    heaters: dict[str, HeaterPast] = field(default_factory=dict)
    full: bool = False
    empty: bool = False
    seen: bool = False
    meter_lost_s: float | None = None
    over_s: dict[int, float] = field(default_factory=dict)
    """Since when each line has been above the fuse."""
    unshed_s: dict[int, float] = field(default_factory=dict)
    """Since when something flexible has gone on there all the same."""
    apart_s: float | None = None
    unlevel_s: float | None = None
    """Since when the cars have kept them apart all the same."""
    exporting_s: float | None = None
    capped_s: float | None = None
    cap_w: float | None = None
    mode: object = None
    mode_switches_s: list[float] = field(default_factory=list)
    battery: Interval | None = None
    battery_s: float = -1e18
    nominal_s: float | None = None
    forced_wh: list[tuple[float, float]] = field(default_factory=list)
    moved_s: float | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for car in self.house.chargers:
            self.cars[car.id] = CarPast(car.max_a)
        for heater in self.house.heaters:
            self.heaters[heater.id] = HeaterPast()


def lines_of(car: Charger, phases: int, told: tuple[float | None, ...]) -> tuple[int, ...]:
    """The lines a car loads: one when switched so, or when it visibly charges on its first phase alone."""
    if phases == 1 or len(car.lines) == 1:
        return car.lines[:1]
    seen = told[: len(car.lines)]
    if (
        len(seen) > 1
        and seen[0] is not None
        and seen[0] > 1.0
        and all(one is not None and one <= 1.0 for one in seen[1:])
    ):
        return car.lines[:1]
    return car.lines


def rank(command: HeatCommand) -> float:
    """How much a heater may draw under a command."""
    if command is None:
        return 1.0
    if isinstance(command, HeatMode):
        return float([HeatMode.BLOCKED, HeatMode.NORMAL, HeatMode.RECOMMENDED, HeatMode.FORCED].index(command))
    return 0.999 * min(command / 1e5, 1.0)


def most_w(rated_w: float, command: HeatCommand) -> float:
    """The most a heater draws under a command [W]."""
    if isinstance(command, float):
        return command
    return 0.0 if command is HeatMode.BLOCKED else rated_w
