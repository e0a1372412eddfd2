"""A three-phase house as physics: battery, cars, heaters, roof and loads, with devices that lag or do not listen.

Deliberately small and independent of the controller: its steps are what the million is made of. Signs as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from hearth_agent.control.house import ALL_CASES, Charger, Heater, House
from hearth_agent.control.orders import CarReading, Commands, HeatCommand, HeaterReading, Interval, Measurements
from hearth_agent.devices.profile import Case
from hearth_core.messages import HeatMode
from hearth_core.site import Limits
from hearth_core.windows import Window
from hearth_models.battery import Battery

VOLT = 230.0
_BATTERY_LAG_S, _CAR_LAG_S = 2.0, 3.0


@dataclass
class CarBody:
    """One car at its charger."""

    charger: Charger
    plugged: bool = True
    takes_a: float = 16.0
    one_phase: bool = False
    """Its own charger has one phase only."""
    tells: bool = True
    """The charger tells whether a car is there."""
    listens: bool = True
    limit_a: float = 16.0
    phases: int = 3
    drawn_a: float = 0.0

    @property
    def lines(self) -> tuple[int, ...]:
        """The lines of the house it really loads."""
        return self.charger.lines[:1] if self.one_phase or self.phases == 1 else self.charger.lines

    def live(self, dt_s: float) -> None:
        """Follow the limit with a lag; below 6 A a car does not charge."""
        wanted_a = min(self.takes_a, self.limit_a) if self.plugged else 0.0
        wanted_a = wanted_a if wanted_a >= 6.0 else 0.0
        self.drawn_a += (wanted_a - self.drawn_a) * min(dt_s / _CAR_LAG_S, 1.0)
        if abs(self.drawn_a - wanted_a) < 0.2:
            self.drawn_a = wanted_a


@dataclass
class HeaterBody:
    """A heat pump or water heater with a thermostat of its own."""

    heater: Heater
    temperature_c: float = 45.0
    on: bool = False
    listens: bool = True
    command: HeatCommand = None
    power_w: float = 0.0

    def live(self, dt_s: float) -> None:
        """Heat by thermostat and order."""
        if self.temperature_c < 44.0:
            self.on = True
        elif self.temperature_c > 48.0:
            self.on = False
        self.power_w = self.heater.rated_w if self.on else 0.0
        if self.command is HeatMode.BLOCKED:
            self.power_w = 0.0
        elif self.command is HeatMode.FORCED:
            self.power_w = self.heater.rated_w if self.temperature_c < 60.0 else 0.0
        elif isinstance(self.command, float):
            self.power_w = self.command if self.temperature_c < 60.0 else 0.0
        self.temperature_c += (self.power_w / self.heater.rated_w * 9.0 - 3.0) * dt_s / 3600


@dataclass
class World:
    """What is really so."""

    house: House
    rng: Random
    cars: list[CarBody]
    heaters: list[HeaterBody]
    base_a: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    kettle_a: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    sun_w: float = 0.0
    soc_percent: float = 50.0
    battery_w: float = 0.0
    battery_listens: bool = True
    interval: Interval | None = None
    pv_limit_w: float | None = None
    pv_w: float = 0.0

    def obey(self, commands: Commands) -> None:
        """Take the commands, as far as each device listens; None is its own mode."""
        if self.battery_listens:
            self.interval = commands.battery
        self.pv_limit_w = commands.pv_limit_w
        for car in self.cars:
            command = commands.cars.get(car.charger.id)
            if command is not None and car.listens:
                car.limit_a = car.charger.max_a if command.current_a is None else command.current_a
                car.phases = command.phases or car.phases
        for heater in self.heaters:
            if heater.listens and heater.heater.id in commands.heaters:
                heater.command = commands.heaters[heater.heater.id]

    def live(self, dt_s: float) -> None:
        """Let time pass."""
        self.pv_w = self.sun_w if self.pv_limit_w is None else min(self.sun_w, self.pv_limit_w)
        for car in self.cars:
            car.live(dt_s)
        for heater in self.heaters:
            heater.live(dt_s)
        battery = self.house.battery
        if battery is None:
            return
        net_w = sum(self._line_a(line, with_battery=False) for line in range(self.house.limits.phases)) * VOLT
        low, high = -battery.max_charge_w, battery.max_discharge_w
        if self.interval is not None:
            low, high = max(self.interval.lowest_w, low), min(self.interval.highest_w, high)
        wanted_w = min(max(net_w, low), high)
        if (wanted_w < 0 and self.soc_percent >= 100) or (wanted_w > 0 and self.soc_percent <= 0):
            wanted_w = 0.0
        self.battery_w += (wanted_w - self.battery_w) * min(dt_s / _BATTERY_LAG_S, 1.0)
        gained = -self.battery_w * dt_s / 3600 / battery.capacity_wh * 100
        self.soc_percent = min(max(self.soc_percent + gained, 0.0), 100.0)

    def _line_a(self, line: int, *, with_battery: bool = True) -> float:
        count = self.house.limits.phases
        amps = self.base_a[line] + self.kettle_a[line] - self.pv_w / VOLT / count
        for car in self.cars:
            if line in car.lines:
                amps += car.drawn_a
        for heater in self.heaters:
            if line in heater.heater.lines:
                amps += heater.power_w / VOLT / len(heater.heater.lines)
        return amps - (self.battery_w / VOLT / count if with_battery else 0.0)

    def line_a(self) -> tuple[float, ...]:
        """Return the current of each line, + = import [A]."""
        return tuple(self._line_a(line) for line in range(self.house.limits.phases))

    def truth(self) -> Measurements:
        """Return what honest meters tell."""
        line_a = self.line_a()
        return Measurements(
            grid_w=sum(line_a) * VOLT,
            phase_a=line_a,
            battery_w=self.battery_w if self.house.battery else None,
            soc_percent=self.soc_percent if self.house.battery else None,
            pv_w=self.pv_w,
            cars={
                car.charger.id: CarReading(
                    line_a=tuple(car.drawn_a if line in car.lines else 0.0 for line in car.charger.lines),
                    wanting=car.plugged if car.tells else None,
                )
                for car in self.cars
            },
            heaters={
                one.heater.id: HeaterReading(power_w=one.power_w, temperature_c=one.temperature_c)
                for one in self.heaters
            },
        )


def generous_house(rng: Random) -> House:
    """Return a home in which no guard has a reason, whatever a plan asks."""
    spread_s = rng.choice([0.0, 0.0, 60.0])
    cars = [
        Charger(id=f"car-{number}", lines=rng.choice([(0, 1, 2), (2, 0, 1), (1,)]), offset_s=spread_s * rng.random())
        for number in range(rng.choice([0, 1, 2]))
    ]
    return House(
        limits=Limits(main_fuse_a=80.0, slot_spread_s=spread_s, battery_cycles_per_day=20.0),
        battery=Battery(40_000, 5_000, 4_000, 10.0, 95.0),
        battery_offset_s=spread_s * rng.random(),
        chargers=tuple(cars),
        heaters=(Heater(id="pump", rated_w=2_000.0, dwell_s=60.0, offset_s=spread_s * rng.random()),),
    )


def random_house(rng: Random) -> House:
    """Return one of many homes: fuses, wirings and devices differ."""
    phases = 3 if rng.random() < 0.85 else 1
    whole = tuple(range(phases))
    rotations = [(0, 1, 2), (1, 2, 0), (2, 0, 1)] if phases == 3 else [(0,)]
    limits = Limits(
        main_fuse_a=rng.choice([20.0, 25.0, 35.0, 63.0]),
        phases=phases,
        export_limit_w=rng.choice([None, 0.0, 4_000.0]),
        phase_imbalance_a=20.0 if phases == 3 and rng.random() < 0.5 else None,
        grid_may_charge_battery=rng.random() < 0.75,
        battery_may_charge_car=rng.random() < 0.6,
        battery_cycles_per_day=rng.choice([0.5, 3.0]),
        slot_spread_s=rng.choice([0.0, 0.0, 600.0]),
    )
    cars = tuple(
        Charger(
            id=f"car-{number}",
            lines=rng.choice([rng.choice(rotations), rng.choice(rotations), (rng.choice(whole),)]),
            max_a=rng.choice([16.0, 16.0, 20.0]),
            controlled=number < 2,
            offset_s=limits.slot_spread_s * rng.random(),
        )
        for number in range(rng.choice([0, 1, 2, 2, 3]))
    )
    cars = tuple(
        Charger(
            id=one.id,
            lines=one.lines,
            max_a=one.max_a,
            controlled=one.controlled,
            offset_s=one.offset_s,
            switchable=len(one.lines) == 3 and rng.random() < 0.5,
        )
        for one in cars
    )
    heaters = (
        Heater(
            id="pump",
            rated_w=rng.choice([2_000.0, 5_000.0]),
            lines=whole,
            dwell_s=rng.choice([60.0, 600.0]),
            longest_block_s=rng.choice([3_600.0, 7_200.0]),
            starts_per_hour=rng.choice([2, 3, 6]),
            floor_c=rng.choice([None, 42.0]),
            legionella=rng.choice([(), (), (Window(hours=("02:00-05:00",)),)]),
            offset_s=limits.slot_spread_s * rng.random(),
        ),
        Heater(id="boiler", rated_w=3_000.0, lines=(whole[-1],), has_power=True, floor_c=rng.choice([None, 40.0])),
    )
    return House(
        limits=limits,
        battery=None if rng.random() < 0.1 else Battery(10_000, 5_000, 4_000, 10.0, 95.0),
        cases=rng.choice([ALL_CASES, ALL_CASES, frozenset({Case.CHARGE, Case.DISCHARGE}), frozenset({Case.HOLD})]),
        battery_offset_s=limits.slot_spread_s * rng.random(),
        chargers=cars,
        heaters=heaters[: rng.choice([0, 1, 2, 2])],
        pv_rated_w=rng.choice([None, 9_000.0]),
    )


def random_world(rng: Random, house: House) -> World:
    """Return a house with its devices in some state."""
    return World(
        house,
        rng,
        cars=[
            CarBody(
                one,
                plugged=rng.random() < 0.8,
                takes_a=rng.choice([16.0, 16.0, 13.0, 32.0]),
                one_phase=len(one.lines) == 3 and rng.random() < 0.3,
                tells=rng.random() < 0.7,
                listens=rng.random() < 0.93,
                limit_a=one.max_a,
            )
            for one in house.chargers
        ],
        heaters=[HeaterBody(one, 40 + 10 * rng.random(), listens=rng.random() < 0.93) for one in house.heaters],
        battery_listens=rng.random() < 0.93,
        soc_percent=rng.choice([5.0, 12.0, 50.0, 50.0, 94.0, 97.0]),
    )
