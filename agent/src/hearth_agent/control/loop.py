"""The controller's task: once a control period it looks, decides, and says what it wants. It waits for no device."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from hearth_agent.control.cars import DRAWS_A, drawn
from hearth_agent.control.facts import house_of
from hearth_agent.control.grid import export_limit_w
from hearth_agent.control.guards import own_mode
from hearth_agent.control.leases import Lease
from hearth_agent.control.measuring import Eyes
from hearth_agent.control.orders import (
    Cause,
    Commands,
    GridCaps,
    Interval,
    Measurements,
    Outcome,
    Reason,
    State,
)
from hearth_agent.control.phases import currents
from hearth_agent.control.step import step
from hearth_agent.control.withdrawal import Guard
from hearth_agent.control.wording import Variables, battery_order, ev_order, heat_order, phases_order, pv_order, spelled
from hearth_agent.devices.poller import Poller
from hearth_agent.devices.profile import ControlKind
from hearth_agent.devices.snapshot import Snapshot
from hearth_agent.events import EventLog
from hearth_agent.plan.store import PlanStore
from hearth_agent.settings import Home
from hearth_core.clock import Clock
from hearth_core.messages import Mode, Override
from hearth_core.points import DeviceKind

logger = logging.getLogger(__name__)

# from this share of the main fuse on, the meter is read every control period
_WATCHFUL = 0.6
_LAG_MEMORY = 0.9


class Controller:
    """Runs `step` on the clock and hands its commands to the leases."""

    def __init__(
        self,
        home: Home,
        leases: Mapping[tuple[str, ControlKind], Lease],
        pollers: Mapping[str, Poller],
        snapshot: Snapshot,
        plans: PlanStore,
        clock: Clock,
        events: EventLog,
    ) -> None:
        self._control_s, self._clock, self._plans = home.settings.control_s, clock, plans
        grid, store = home.device_of(DeviceKind.GRID_METER), home.store
        self._grid = grid.id if grid else None
        self._eyes = Eyes(home.profiles, self._grid, snapshot)
        self.guard = Guard(home, snapshot, clock, events)
        self._leases = dict(leases)
        self._home, self._steered = home, frozenset(self._leases)
        self._house = house_of(home, self._steered)
        battery = self._house.battery
        self._widest = own_mode(battery) if battery else Interval(0.0, 0.0)
        cars = [one.id for one in self._house.chargers]
        self._urgent = [pollers[id_] for id_ in (self._grid, store.id if store else None, *cars) if id_]
        self._state = State()
        self.stepped_s, self.due_s = time.monotonic(), clock.monotonic()
        """When the last step ended [real s], and when the next is to begin [s of the home's clock]."""
        self.time_trusted: Callable[[], bool] = lambda: True
        """Asked each step whether the wall clock is right."""
        self.lag_s = 0.0
        self.mode = Mode.SELF_CONSUMPTION
        self.reason = "starting"
        self.causes: Mapping[str, Reason] = {}
        """By device: why it is told what it is told."""
        self._logged: dict[tuple[str, ControlKind], tuple[Variables | None, Cause | None]] = {}
        self.grid: Callable[[], GridCaps] = GridCaps
        """Asked each step for what the grid operator allows."""
        self.overrides: Callable[[], Mapping[str, Override]] = dict
        """Asked each step for the owner's own wishes."""

    @property
    def leases(self) -> list[Lease]:
        """The leases whose tasks have to run."""
        return list(self._leases.values())

    async def run(self) -> None:
        """Step once a control period, for ever."""
        self.due_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(self.due_s - self._clock.monotonic())
            late_s = max(0.0, self._clock.monotonic() - self.due_s)
            self.lag_s = _LAG_MEMORY * self.lag_s + (1 - _LAG_MEMORY) * late_s
            self.tick()
            # a step that came late is not made up for
            self.due_s = max(self.due_s + self._control_s, self._clock.monotonic())
            self.stepped_s = time.monotonic()

    def tick(self) -> Outcome:
        """Do one step."""
        at_s = self._clock.time()
        self.guard.watch()
        self._leave_withdrawn()
        measured = self.measure()
        plan, caps = self._plans.current(int(at_s * 1000)), self.grid()
        outcome = step(
            self._house,
            self._state,
            measured,
            plan,
            at_s,
            self._clock.monotonic(),
            grid=caps,
            overrides=self.overrides(),
            time_trusted=self.time_trusted(),
        )
        self._state, self.mode, self.reason = outcome.state, outcome.mode, outcome.reason + self.guard.note
        self.causes = outcome.causes
        self._order(outcome.commands)
        watchful = self._is_watchful(measured, caps)
        for poller in self._urgent:
            poller.wanted_fresh = watchful
        return outcome

    def measure(self) -> Measurements:
        """Look at the home."""
        return self._eyes.look(self._house, self._clock.monotonic())

    def _leave_withdrawn(self) -> None:
        """Steer the others as if a device whose control was withdrawn were only watched."""
        steered = frozenset(key for key in self._leases if self.guard.may_order(key[0]))
        if steered != self._steered:
            self._steered, self._house = steered, house_of(self._home, steered)

    def _order(self, commands: Commands) -> None:
        """Say to each lease what its device should do now; one whose control was withdrawn belongs in its own mode."""
        for (device, kind), lease in self._leases.items():
            order = self._wanted(commands, device, kind, lease) if (device, kind) in self._steered else None
            lease.want(order)
            self._log(device, kind, order)

    def _log(self, device: str, kind: ControlKind, order: Variables | None) -> None:
        """Tell what a device is told from now on, and why; the same for another reason is for who looks closely."""
        why = self.causes.get(device)
        cause = why.cause if why else None
        before = self._logged.get((device, kind), (None, None))
        if (order, cause) == before:
            return
        self._logged[device, kind] = (order, cause)
        because = f"{why.cause}: {why.text}{f' ({why.ref})' if why.ref else ''}" if why else "control was withdrawn"
        level = logging.DEBUG if order == before[0] else logging.INFO
        logger.log(level, "%s %s: %s, because of %s", device, kind, spelled(kind, order), because)

    def _wanted(self, commands: Commands, device: str, kind: ControlKind, lease: Lease) -> Variables | None:
        match kind:
            case ControlKind.BATTERY_INTERVAL:
                return battery_order(commands.battery, self._widest, lease)
            case ControlKind.EV_CURRENT:
                return ev_order(commands.cars[device].current_a)
            case ControlKind.EV_PHASES:
                return phases_order(commands.cars[device].phases) if device in commands.cars else None
            case ControlKind.HEAT_MODE | ControlKind.HEAT_POWER:
                mode_wins = kind is ControlKind.HEAT_POWER and (device, ControlKind.HEAT_MODE) in self._leases
                return None if mode_wins else heat_order(commands.heaters[device])
            case ControlKind.PV_LIMIT:
                return pv_order(commands.pv_limit_w)

    def _is_watchful(self, measured: Measurements, caps: GridCaps) -> bool:
        """Tell whether a limit depends on fresh values: a forced order, a phase on its way to the fuse, a car."""
        if not self._leases:
            return False
        order = self._state.order if self._house.battery is not None else None
        if order is not None and (order.lowest_w > 0 or order.highest_w < 0):
            return True
        amps = currents(self._house, measured)
        if max(*map(abs, amps.high), *map(abs, amps.low)) > _WATCHFUL * self._house.limits.main_fuse_a:
            return True
        export_w = export_limit_w(self._house, caps)
        if export_w is not None and -(measured.grid_w or 0.0) > 0.9 * export_w:
            return True
        if caps.import_w is not None:
            return True
        # a car that draws gives way in time to whatever else is switched on
        draws_a = (drawn(measured.cars[one.id]) for one in self._house.chargers if one.controlled)
        return any(one is None or one > DRAWS_A for one in draws_a)
