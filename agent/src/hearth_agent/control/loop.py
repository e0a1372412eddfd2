"""The controller's task: once a control period it looks, decides, and says what it wants. It waits for no device."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from hearth_agent.control.guards import own_mode, phase_currents
from hearth_agent.control.leases import Lease
from hearth_agent.control.orders import GridCaps, House, Interval, Measurements, Outcome, State
from hearth_agent.control.step import step
from hearth_agent.control.withdrawal import Guard
from hearth_agent.control.wording import Variables, battery_order, ev_order
from hearth_agent.devices.poller import Poller
from hearth_agent.devices.profile import ControlKind
from hearth_agent.devices.snapshot import Snapshot
from hearth_agent.events import EventLog
from hearth_agent.plan.store import PlanStore
from hearth_agent.settings import Home
from hearth_core.clock import Clock
from hearth_core.messages import Mode, Override
from hearth_core.points import DeviceKind
from hearth_models.battery import Battery

logger = logging.getLogger(__name__)

FRESH_S = 60.0
"""Older values count as missing."""
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
        self._control_s, self._clock, self._snapshot, self._plans = home.settings.control_s, clock, snapshot, plans
        grid, inverter, car = (home.device_of(kind) for kind in _ROLES)
        self._grid, self._inverter, self._car = (one.id if one else None for one in (grid, inverter, car))
        self.guard = Guard(home, snapshot, clock, events)
        self._battery_lease = self._first(leases, ControlKind.BATTERY_INTERVAL)
        self._ev_lease = self._first(leases, ControlKind.EV_CURRENT)
        facts = home.settings.site.battery
        battery = Battery.from_facts(facts) if facts else None
        self._widest = own_mode(battery) if battery else Interval(0.0, 0.0)
        spec = home.profiles[car.id].controls.get(ControlKind.EV_CURRENT) if car else None
        self._ev_cap_a = car.max_current_a if car else None
        self._house = House(
            limits=home.settings.site.limits,
            battery=battery,
            ev_min_a=spec.min_a if spec else 6.0,
            ev_max_a=min(spec.max_a, self._ev_cap_a or spec.max_a) if spec and self._ev_lease else None,
        )
        self._urgent = [pollers[id_] for id_ in (self._grid, self._inverter, self._car) if id_]
        self._state = State()
        self.stepped_s, self.due_s = time.monotonic(), clock.monotonic()
        """When the last step ended [real s], and when the next is to begin [s of the home's clock]."""
        self.time_trusted: Callable[[], bool] = lambda: True
        """Asked each step whether the wall clock is right."""
        self.lag_s = 0.0
        self.mode = Mode.SELF_CONSUMPTION
        self.reason = "starting"
        self.grid: Callable[[], GridCaps] = GridCaps
        """Asked each step for what the grid operator allows."""
        self.overrides: Callable[[], Mapping[str, Override]] = dict
        """Asked each step for the owner's own wishes."""

    @staticmethod
    def _first(leases: Mapping[tuple[str, ControlKind], Lease], kind: ControlKind) -> Lease | None:
        return next((lease for (_, other), lease in leases.items() if other is kind), None)

    @property
    def leases(self) -> list[Lease]:
        """The leases it uses."""
        return [lease for lease in (self._battery_lease, self._ev_lease) if lease is not None]

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
        measured = self._measure()
        self.grid()
        self.overrides()
        plan = self._plans.current(int(at_s * 1000)) if self.time_trusted() else None
        outcome = step(self._house, self._state, measured, plan, at_s, self._clock.monotonic())
        self.guard.watch()
        self._state, self.mode, self.reason = outcome.state, outcome.mode, outcome.reason + self.guard.note
        if self._battery_lease is not None:
            order = battery_order(outcome.commands.battery, self._widest, self._battery_lease)
            self._want(self._battery_lease, order)
        if self._ev_lease is not None:
            limit_a = outcome.commands.ev_a
            self._want(self._ev_lease, ev_order(limit_a))
        watchful = self._is_watchful(measured)
        for poller in self._urgent:
            poller.wanted_fresh = watchful
        return outcome

    def _want(self, lease: Lease, order: Variables | None) -> None:
        """Pass an order on, unless control of the device was withdrawn: then it belongs in its own mode."""
        lease.want(order if self.guard.may_order(lease.device.id) else None)

    def _measure(self) -> Measurements:
        now_s, value = self._clock.monotonic(), self._snapshot.value
        grid, inverter = self._grid, self._inverter
        return Measurements(
            grid_w=value(grid, "power_w", now_s, FRESH_S),
            phase_a=tuple(self._phase(now_s, line) for line in range(1, self._house.limits.phases + 1)),
            battery_w=value(inverter, "battery_power_w", now_s, FRESH_S),
            soc_percent=value(inverter, "soc_percent", now_s, FRESH_S),
            ev_a=self._car_current(now_s),
        )

    def _phase(self, now_s: float, line: int) -> float | None:
        """Return a phase's current with the sign of its power: meters tell the magnitude only."""
        current_a = self._snapshot.value(self._grid, f"current_l{line}_a", now_s, FRESH_S)
        power_w = self._snapshot.value(self._grid, f"power_l{line}_w", now_s, FRESH_S)
        if current_a is None or power_w is None:
            return None
        return abs(current_a) if power_w >= 0 else -abs(current_a)

    def _car_current(self, now_s: float) -> float | None:
        lines = [self._snapshot.value(self._car, f"current_l{line}_a", now_s, FRESH_S) for line in (1, 2, 3)]
        known = [one for one in lines if one is not None]
        return max(known) if known else None

    def _is_watchful(self, measured: Measurements) -> bool:
        """Tell whether a limit depends on fresh values: a forced order, or a phase on its way to the fuse."""
        order = self._state.order
        if self._battery_lease is not None and order is not None and (order.lowest_w > 0 or order.highest_w < 0):
            return True
        highest_a = max(abs(one) for one in phase_currents(self._house, measured))
        if highest_a > _WATCHFUL * self._house.limits.main_fuse_a:
            return bool(self.leases)
        export_w = self._house.limits.export_limit_w
        return export_w is not None and -(measured.grid_w or 0.0) > 0.9 * export_w and bool(self.leases)


_ROLES = (DeviceKind.GRID_METER, DeviceKind.HYBRID_INVERTER, DeviceKind.EV_CHARGER)
