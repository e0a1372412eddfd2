"""A home that lives through faults and hostile plans, with every invariant checked at every step.

Used by the state machine (faults as rules), by the seeded run of `make test`, and by the million of `make invariants`.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from tests.invariants import electrical, machines, wishes
from tests.invariants.adversary import HOME, KEY, good_plan, letter
from tests.invariants.moment import BreachError, Moment, Past, rank
from tests.invariants.world import generous_house, random_house, random_world

from hearth_agent.control import step as step_module
from hearth_agent.control.guards import own_mode
from hearth_agent.control.house import ALL_CASES
from hearth_agent.control.orders import CarReading, GridCaps, HeaterReading, Measurements, Outcome, State
from hearth_agent.control.seen import believable
from hearth_agent.events import EventLog
from hearth_agent.plan.store import PlanStore
from hearth_core.clock import ManualClock
from hearth_core.messages import HeatMode, Mode, Override, Plan
from hearth_core.signing import seal

START_S = 1_459_728_000.0
_DAY_S = 86_400.0
FAULTS = ("meter gone", "meter nan", "meter frozen", "meter spikes", "soc gone", "soc frozen", "battery gone",
          "cars gone", "cars garbage", "heaters gone", "phases gone")  # fmt: skip
CALM_SHARE = 0.2
"""So many homes live without faults: there plans have to be followed."""
HASTY_SHARE = 0.1
"""So many have a hub that sends another wild plan every minute, for half a day."""
JUMPS_S = (7_200.0, -259_200.0, 30.0, -START_S)


class Life:
    """One home for a while."""

    def __init__(self, rng: Random, folder: Path, counts: Counter[str] | None = None, *, calm: bool = False) -> None:
        self.rng, self.folder = rng, folder
        self.counts: Counter[str] = Counter() if counts is None else counts
        self.steps = 0
        self.house = generous_house(rng) if calm else random_house(rng)
        self.world = random_world(rng, self.house)
        if calm:
            self.world.soc_percent = 50.0
        self.tick_s = rng.choice([0.0, 5_000.0])
        self.dt_s = 1.0 if calm else rng.choice([1.0, 1.0, 1.0, 1.0, 30.0])
        self.wall_s = START_S + rng.random() * _DAY_S
        self.clock = ManualClock(self.wall_s)
        self.path = folder / "plan.sealed"
        self.path.unlink(missing_ok=True)
        self.version = 1
        self.last = b""
        self.faults: set[str] = set()
        self.frozen: Measurements | None = None
        self.overrides: dict[str, Override] = {}
        self.grid = GridCaps()
        self.time_trusted = True
        self.restart()

    # --- what can happen

    def restart(self) -> None:
        """The agent dies and starts again: the plan lies on the disk, the state is gone, devices get their own mode."""
        self.store = PlanStore(self.path, HOME, KEY.public_key(), self.clock, EventLog(self.clock))
        self.state = State()
        if self.house.battery is not None and self.world.battery_listens:
            self.world.interval = own_mode(self.house.battery)
        for car in self.world.cars:
            if car.listens:
                car.limit_a, car.phases = car.charger.max_a, 3
        for heater in self.world.heaters:
            if heater.listens:
                heater.command = None
        self.past = Past(self.house, self.tick_s)

    def fault(self, kind: str) -> None:
        """Begin a fault, or end it."""
        self.faults ^= {kind}
        self.frozen = self.world.truth()

    def heal(self) -> None:
        """Every sensor is honest again."""
        self.faults.clear()
        self.time_trusted = True
        self.wall_s = max(self.wall_s, START_S)

    def jump(self, by_s: float) -> None:
        """The wall clock is set; more than a minute makes it untrusted until somebody says it is right."""
        self.wall_s = max(self.wall_s + by_s, 0.0)
        self.time_trusted = abs(by_s) <= 60.0 or self.rng.random() < 0.2
        self.past.nominal_s = None

    def trust(self) -> None:
        """Somebody says the clock is right."""
        self.time_trusted = True

    def post(self) -> None:
        """A letter with a plan arrives (I-8)."""
        self.clock.now_s = self.wall_s
        before, at_ms = self.store.current(int(self.wall_s * 1000)), int(self.wall_s * 1000)
        self.version += 1
        one = letter(self.rng, self.house, self.version, self.wall_s, self.last)
        taken = self.store.offer(one.sealed)
        self.counts["I-8"] += 1
        if taken != one.good:
            raise BreachError("I-8", f"a plan that is {one.kind} was {'believed' if taken else 'refused'}")
        if not one.good and self.store.current(at_ms) != before:
            raise BreachError("I-8", f"a plan that is {one.kind} replaced a good one")
        if one.good:
            self.last = one.sealed
            if self.store.current(at_ms) != one.plan:
                raise BreachError("I-8", "a good plan is not the one that is followed")

    def wish(self) -> None:
        """The owner wants something for one device, for a while."""
        rng = self.rng
        devices = [self.house.battery_id]
        devices += [one.id for one in self.house.chargers] + [one.id for one in self.house.heaters]
        self.version += 1
        lasts_s, now_ms = rng.choice([60, 600, 7_200]), int(self.wall_s * 1000)
        one = Override(
            home=HOME,
            version=self.version,
            device=rng.choice(devices),
            issued_ms=now_ms,
            until_ms=now_ms + 1000 * lasts_s,
            battery=rng.choice([None, *Mode]),
            power_w=rng.choice([None, 500.0, 9_000.0]),
            current_a=rng.choice([None, 0.0, 3.0, 10.0, 32.0]),
            heat_mode=rng.choice([None, *HeatMode]),
        )
        self.overrides[one.device] = one

    def limit(self) -> None:
        """The grid operator limits, or lifts its limit."""
        self.grid = GridCaps(
            import_w=self.rng.choice([None, None, 4_200.0, 8_000.0, 0.0]),
            export_w=self.rng.choice([None, None, 0.0, 3_000.0]),
        )

    def kettle(self, line: int, amps: float) -> None:
        """A load goes on or off."""
        self.world.kettle_a[line % self.house.limits.phases] = amps

    def weather(self, sun_w: float) -> None:
        """The roof gives something else."""
        self.world.sun_w = sun_w

    def drive(self) -> None:
        """A car comes or goes."""
        if self.world.cars:
            car = self.rng.choice(self.world.cars)
            car.plugged = not car.plugged

    def disturb(self) -> None:
        """Something happens."""
        rng = self.rng
        what = rng.random()
        if what < 0.25:
            self.kettle(rng.randrange(3), rng.choice([0.0, 0.0, 5.0, 9.0, 14.0, 25.0]))
        elif what < 0.33:
            self.weather(rng.choice([0.0, 0.0, 2_000.0, 9_000.0]))
        elif what < 0.45:
            self.fault(rng.choice(FAULTS))
        elif what < 0.58:
            self.heal()
        elif what < 0.62:
            self.jump(rng.choice(JUMPS_S))
        elif what < 0.66:
            self.trust()
        elif what < 0.80:
            self.post()
        elif what < 0.86:
            self.wish()
        elif what < 0.92:
            self.limit()
        elif what < 0.96:
            self.drive()
        elif what < 0.97:
            self.restart()
        else:
            self.grid, self.overrides = GridCaps(), {}

    def carry_on(self) -> None:
        """Nothing goes wrong: a good plan, a kettle, a car that comes or goes."""
        what = self.rng.random()
        if what < 0.7 or not self.last:
            self.clock.now_s = self.wall_s
            self.version += 1
            self.last = seal(good_plan(self.rng, self.house, self.version, self.wall_s), KEY)
            self.store.offer(self.last)
        elif what < 0.9:
            self.kettle(self.rng.randrange(3), self.rng.choice([0.0, 3.0]))
        else:
            self.drive()

    # --- what the controller is told

    def told(self) -> Measurements:
        """Return what the sensors say, with the faults of the moment."""
        honest = self.world.truth()
        if not self.faults:
            return honest
        changes: dict[str, Any] = {}
        frozen = self.frozen or honest
        if "meter frozen" in self.faults:
            changes |= {"grid_w": frozen.grid_w, "phase_a": frozen.phase_a}
        if "meter spikes" in self.faults and self.rng.random() < 0.3:
            grid_w = honest.grid_w or 0.0
            changes |= {"grid_w": -grid_w, "phase_a": tuple(-(one or 0.0) for one in honest.phase_a)}
        if "meter nan" in self.faults:
            changes |= {"grid_w": math.nan, "phase_a": (math.nan, math.inf, None)}
        if "meter gone" in self.faults:
            changes |= {"grid_w": None, "phase_a": ()}
        if "phases gone" in self.faults:
            changes["phase_a"] = honest.phase_a[:1]
        if "soc gone" in self.faults:
            changes["soc_percent"] = self.rng.choice([None, math.nan, -3.0, 1e9])
        if "soc frozen" in self.faults:
            changes["soc_percent"] = frozen.soc_percent
        if "battery gone" in self.faults:
            changes["battery_w"] = self.rng.choice([None, math.nan])
        if "cars gone" in self.faults:
            changes["cars"] = {}
        if "cars garbage" in self.faults:
            changes["cars"] = {id_: CarReading(line_a=(math.nan, 1e9, None)) for id_ in honest.cars}
        if "heaters gone" in self.faults:
            changes["heaters"] = {id_: HeaterReading() for id_ in honest.heaters}
        return msgspec.structs.replace(honest, **changes)

    # --- one step

    def live(self, count: int = 1) -> None:
        """Live for some steps."""
        for _ in range(count):
            self.step()

    def step(self) -> None:
        """Let time pass, decide, check, obey."""
        rng = self.rng
        self.steps += 1
        self.tick_s += self.dt_s
        self.wall_s += self.dt_s
        self.world.base_a = [min(max(one + rng.uniform(-0.3, 0.3), 0.3), 6.0) for one in self.world.base_a]
        self.world.live(self.dt_s)
        told = self.told()
        plan = self.store.current(int(self.wall_s * 1000))
        outcome = self._decide(told, plan, self.wall_s)
        now = Moment(
            self.house, told, believable(told), plan, self.overrides, self.grid, self.wall_s, self.tick_s,
            self.time_trusted, outcome,
        )  # fmt: skip
        self._look(now)
        self._check(now)
        self._remember(now)
        self.state = outcome.state
        self.world.obey(outcome.commands)

    def _decide(self, told: Measurements, plan: Plan | None, at_s: float) -> Outcome:
        try:
            return step_module.step(
                self.house,
                self.state,
                told,
                plan,
                at_s,
                self.tick_s,
                grid=self.grid,
                overrides=self.overrides,
                time_trusted=self.time_trusted,
            )
        except Exception as error:  # whatever goes wrong inside is a breach
            raise BreachError("I-19", f"the step failed: {type(error).__name__}: {error}") from error

    def _check(self, now: Moment) -> None:
        past, sometimes = self.past, self.steps % 7 == 0
        clockless = now.plan is None and not now.overrides and not any(one.legionella for one in self.house.heaters)
        again = self._decide(now.told, now.plan, now.at_s) if sometimes else None
        far_s = now.at_s + self.rng.choice([-1e9, 1e6, 9e9])
        elsewhere = self._decide(now.told, None, far_s) if sometimes and clockless and now.time_trusted else None
        seen = {
            "I-1": electrical.i1_finite_and_within_limits(now, past),
            "I-2": electrical.i2_fuse(now, past),
            "I-3": electrical.i3_imbalance(now, past),
            "I-4": electrical.i4_charge_band(now, past),
            "I-5": electrical.i5_grid_operator(now, past),
            "I-6": machines.i6_cars(now, past),
            "I-7": machines.i7_heaters(now, past),
            "I-9": wishes.i9_no_plan_means_fallback(now, past, self.dt_s),
            "I-12": electrical.i12_missing_is_the_worst(now, past),
            "I-13": wishes.i13_clock(now, past, elsewhere),
            "I-14": wishes.i14_owner_beats_hub(now, past),
            "I-15": machines.i15_daily_budgets(now, past),
            "I-17": wishes.i17_first_look(now, past),
            "I-18": wishes.i18_slot_edges(now, past),
            "I-19": bool(self.faults),
            "I-20": wishes.i20_causes(now, past, again),
            "I-21": machines.i21_owners_switches(now, past),
            "I-22": wishes.i22_followed(now, past),
        }
        self.counts.update(name for name, held in seen.items() if held)

    def _look(self, now: Moment) -> None:
        """Note since when things are as they are, before the step is judged."""
        past, limits, told = self.past, self.house.limits, now.believed
        meter = told.grid_w is not None
        past.meter_lost_s = None if meter else now.tick_s if past.meter_lost_s is None else past.meter_lost_s
        past.seen = past.seen or meter
        high = now.high_a()
        for line in range(limits.phases):
            if meter and high[line] > limits.main_fuse_a:
                past.over_s.setdefault(line, now.tick_s)
            else:
                past.over_s.pop(line, None)
        apart = meter and now.phases_known and limits.phase_imbalance_a is not None
        apart = apart and max(high) - min(high) > (limits.phase_imbalance_a or 0.0)
        past.apart_s = None if not apart else now.tick_s if past.apart_s is None else past.apart_s
        caps = [one for one in (limits.export_limit_w, now.grid.export_w) if one is not None]
        above = bool(caps) and meter and -(told.grid_w or 0.0) > min(caps, default=0.0)
        past.exporting_s = None if not above else now.tick_s if past.exporting_s is None else past.exporting_s
        if now.grid.import_w != past.cap_w:
            past.cap_w, past.capped_s = now.grid.import_w, now.tick_s
        self._look_at_charge(now)
        nominal = self._is_nominal(now)
        past.nominal_s = None if not nominal else now.tick_s if past.nominal_s is None else past.nominal_s

    def _look_at_charge(self, now: Moment) -> None:
        past, facts, soc = self.past, self.house.battery, now.believed.soc_percent
        if facts is None or soc is None:
            return
        past.full = soc >= facts.max_soc_percent or (past.full and soc > facts.max_soc_percent - 2)
        past.empty = soc <= facts.min_soc_percent or (past.empty and soc < facts.min_soc_percent + 2)

    def _is_nominal(self, now: Moment) -> bool:
        """Tell whether nothing gives any guard a reason, whatever the plan asks."""
        limits, told, plan = self.house.limits, now.believed, now.plan
        if self.faults or not now.time_trusted or now.overrides or plan is None or self.dt_s > 1:
            return False
        if now.grid != GridCaps() or limits.export_limit_w is not None or limits.phase_imbalance_a is not None:
            return False
        if not (limits.grid_may_charge_battery and limits.battery_may_charge_car) or self.house.cases != ALL_CASES:
            return False
        if told.soc_percent is not None and not 20 <= told.soc_percent <= 85:
            return False
        if self.state.cycles.left < 0.05 or self.state.switches.left < 0.05:
            return False
        if limits.main_fuse_a < 80 or self.world.sun_w > 0 or any(not one.listens for one in self.world.cars):
            return False
        index = int((now.at_s * 1000 - plan.slots[0].start_ms) // (plan.step_s * 1000))
        begun_s = plan.slots[0].start_ms / 1000 + index * plan.step_s + limits.slot_spread_s
        return now.at_s - begun_s > wishes.SETTLE_S

    def _remember(self, now: Moment) -> None:
        """Note what was ordered."""
        past, commands = self.past, now.outcome.commands
        for car in self.house.chargers:
            if not car.controlled:
                continue
            kept, limit_a = past.cars[car.id], now.car_limit_a(car)
            if limit_a != kept.limit_a:
                kept.changed_s = now.tick_s
            if limit_a > kept.limit_a:
                kept.raised_s = now.tick_s
            if (limit_a > 0) != (kept.limit_a > 0):
                kept.switched_s = now.tick_s
            phases = commands.cars[car.id].phases or kept.phases
            if phases != kept.phases:
                kept.phases, kept.phase_s, kept.switched_s = phases, now.tick_s, now.tick_s
            kept.limit_a = limit_a
        for heater in self.house.heaters:
            was, order = past.heaters[heater.id], commands.heaters[heater.id]
            if order == was.command:
                continue
            if rank(order) > rank(was.command):
                was.raised_s = now.tick_s
                was.starts_s = [one for one in was.starts_s if now.tick_s - one < 3600] + [now.tick_s]
            if rank(order) == 0:
                was.blocked_s = now.tick_s if was.blocked_s is None else was.blocked_s
            else:
                was.blocked_s = None
            was.command, was.changed_s = order, now.tick_s
        self._remember_battery(now)

    def _remember_battery(self, now: Moment) -> None:
        past, battery = self.past, now.battery
        if battery is None:
            return
        if now.outcome.mode is not past.mode:
            past.mode_switches_s = [one for one in past.mode_switches_s if now.tick_s - one < _DAY_S] + [now.tick_s]
            past.mode = now.outcome.mode
        if battery.highest_w < 0 and (past.battery is None or battery.highest_w < past.battery.highest_w):
            past.battery_s = now.tick_s
        past.battery = battery
        if (battery.highest_w < 0 or battery.lowest_w > 0) and self.dt_s >= 1:
            energy_wh = abs(self.world.battery_w) * self.dt_s / 3600
            if past.forced_wh and now.tick_s - past.forced_wh[-1][0] < 600:
                past.forced_wh[-1] = (past.forced_wh[-1][0], past.forced_wh[-1][1] + energy_wh)
            else:
                kept = [one for one in past.forced_wh if now.tick_s - one[0] < _DAY_S]
                past.forced_wh = [*kept, (now.tick_s, energy_wh)]


def run(
    seed: int, steps: int, folder: Path, counts: Counter[str], *, home_steps: int = 1_500, quiet_steps: int = 40
) -> int:
    """Live so many steps in one home after the other; the seed decides everything.

    Args:
        seed: Of all choices.
        steps: How many in all.
        folder: Where plans are kept.
        counts: How often each invariant's premise held; added to.
        home_steps: Length of one home's life.
        quiet_steps: The longest time in which nothing new happens.

    Returns:
        How many homes there were.

    Raises:
        BreachError: With seed, home and step, so that it can be lived again.
    """
    done = homes = 0
    while done < steps:
        rng = Random(f"{seed}/{homes}")
        kind = rng.random()
        calm, hasty = kind < CALM_SHARE, kind > 1 - HASTY_SHARE
        life = Life(rng, folder, counts, calm=calm)
        if hasty:
            life.dt_s = 30.0
        try:
            while life.steps < min(home_steps, steps - done):
                if calm or (hasty and rng.random() < 0.9):
                    life.carry_on()
                else:
                    life.disturb()
                quiet = rng.randrange(200, 700) if calm else rng.randrange(1, 4 if hasty else quiet_steps)
                life.live(min(quiet, min(home_steps, steps - done) - life.steps))
        except BreachError as error:
            error.add_note(f"seed {seed}, home {homes}, step {life.steps}: {life.house}")
            raise
        done += life.steps
        homes += 1
    return homes
