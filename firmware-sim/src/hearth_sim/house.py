"""The physical house: what flows where, second by second, and what has flown.

Time advances to the clock's "now" when somebody looks (a register is read or written) and from a background tick, in
pieces that end at every 5 s edge of the `variation`, at the end of a lease and when a backlog is made up. In a piece
all demand is constant, the battery follows its order with a lag of 0.7 s whose mean is integrated exactly, and every
counter gets power times duration: so load = grid + inverter AC power holds in every piece to rounding. The inverter
is one box: its AC power is PV plus battery, never above its rating; PV and battery are seen on the DC side through a
constant efficiency of 97 %.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from hearth_core.clock import Clock
from hearth_models.battery import Battery
from hearth_sim.blocks import EV_HIGHEST_W, HEAT_PUMP_HIGHEST_W, HEAT_PUMP_WAITING_W
from hearth_sim.counters import INVERTER_EFFICIENCY, INVERTER_PHASES, counters_at
from hearth_sim.electric import NOMINAL_V, Supply, supply_at
from hearth_sim.limits import LimitWatch
from hearth_sim.loads import DeferrableLoad
from hearth_sim.recorded import HOUR_S
from hearth_sim.storage_control import StorageControl
from hearth_sim.variation import STEP_S, STEPS, Row, Variation

INVERTER_RATED_W = 10_000.0
_LAG_S = 0.7
STAYS_PLUGGED_S = 2 * 3600.0
_HEAT_PUMP_CATCH_UP_W = 2000.0
# the conductor may hold the clock for good; anything shorter than this is no time at all
_NO_TIME_S = 1e-6


@dataclass
class Flows:
    """Powers at this instant [W]; grid + = import, battery + = discharge (AC side), the rest >= 0."""

    house_w: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ev_w: float = 0.0
    heat_pump_w: float = 0.0
    pv_w: float = 0.0
    pv_possible_w: float = 0.0
    battery_w: float = 0.0

    @property
    def load_w(self) -> float:
        """All consumption."""
        return sum(self.house_w) + self.ev_w + self.heat_pump_w

    @property
    def inverter_w(self) -> float:
        """AC power of the hybrid inverter, + = delivers."""
        return self.pv_w + self.battery_w

    def grid_phases_w(self) -> tuple[float, float, float]:
        """Return the grid power of each phase, + = import."""
        even_w = (self.heat_pump_w - self.pv_w - self.battery_w) * INVERTER_PHASES
        l1, l2, l3 = self.house_w
        return (l1 + self.ev_w + even_w, l2 + even_w, l3 + even_w)


@dataclass
class Charger:
    """What the charger was told, and the session."""

    limit_a: float = 16.0
    allowed: bool = True
    forced: int = 0
    """0 neutral, 1 off, 2 on."""
    session_wh: float = 0.0

    def allowed_w(self) -> float:
        """Return the power the charger offers the car [W]."""
        on = self.forced == 2 or (self.forced == 0 and self.allowed)
        return self.limit_a * NOMINAL_V if on else 0.0


class House:
    """One home with PV, battery, EV and heat pump, on a clock."""

    def __init__(
        self,
        clock: Clock,
        variation: Variation,
        battery: Battery,
        *,
        start_s: float,
        soc_percent: float,
        watch: LimitWatch,
    ) -> None:
        """Make the house as it stands at ``start_s``: no backlog, battery idle, counters as history left them."""
        self.clock, self.variation, self.battery, self.watch = clock, variation, battery, watch
        self.start_s = self.at_s = start_s
        self.stored_wh = battery.stored_wh(soc_percent)
        self.start_soc_percent = soc_percent
        self.flows = Flows()
        self.counters = counters_at(variation, variation_time_s(variation, start_s))
        self.start_counters = copy.deepcopy(self.counters)
        self.charger = Charger()
        self.car = DeferrableLoad(EV_HIGHEST_W)
        self.heat_pump = DeferrableLoad(_HEAT_PUMP_CATCH_UP_W)
        self.heat_pump_blocked = False
        self.storage = StorageControl(battery.max_charge_w, reserve_percent=battery.min_soc_percent)
        self.wanted_until_s = -math.inf
        self.look_at_present()

    @property
    def soc_percent(self) -> float:
        """State of charge now [%]."""
        return self.battery.soc_percent(self.stored_wh)

    @property
    def plugged(self) -> bool:
        """Whether a car is at the charger."""
        return self.car.backlog_wh > 0 or self.at_s - self.wanted_until_s < STAYS_PLUGGED_S

    def supply(self) -> Supply:
        """Return what the grid meter sees now."""
        return supply_at(self.at_s, self.flows.grid_phases_w())

    def advance(self) -> float:
        """Live up to the clock's now and return it [s]; does nothing while the clock stands or is before the start."""
        now_s = self.clock.time()
        while now_s - self.at_s > _NO_TIME_S:
            row, edge_s = self._present()
            until_s = min(now_s, edge_s, max(self.storage.next_expiry_s, self.at_s))
            if until_s > self.at_s:
                self._live(row, until_s - self.at_s)
            self.storage.expire(self.at_s)
        return self.at_s

    def _present(self) -> tuple[Row, float]:
        """Return the demand of the present step and the step's end [s]."""
        step = math.floor((self.at_s + _NO_TIME_S) / STEP_S)
        return self.variation.hour(step // STEPS).rows[step % STEPS], (step + 1) * STEP_S

    def look_at_present(self) -> None:
        """Set the flows to the recorded ones of this instant, battery idle."""
        l1, l2, l3, pv_w, heat_pump_w, car_w, waiting_w = self._present()[0]
        self.flows = Flows((l1, l2, l3), car_w + waiting_w, heat_pump_w, pv_w, pv_w, 0.0)

    def _live(self, row: Row, longest_s: float) -> None:
        """Live one piece of at most ``longest_s``."""
        l1, l2, l3, pv_w, heat_pump_demand_w, car_demand_w, waiting_w = row
        car_w = self.car.power_w(car_demand_w, self.charger.allowed_w())
        heat_pump_allowed_w = HEAT_PUMP_WAITING_W if self.heat_pump_blocked else HEAT_PUMP_HIGHEST_W
        heat_pump_w = self.heat_pump.power_w(heat_pump_demand_w, heat_pump_allowed_w)
        duration_s = min(
            longest_s,
            self.car.lasts_s(car_demand_w, car_w),
            self.heat_pump.lasts_s(heat_pump_demand_w, heat_pump_w),
        )
        self.car.run(car_demand_w, car_w, duration_s)
        self.heat_pump.run(heat_pump_demand_w, heat_pump_w, duration_s)
        self._follow_session(car_demand_w, car_w, duration_s)
        load_w = l1 + l2 + l3 + car_w + waiting_w + heat_pump_w
        output_w = self._output_limit_w()
        delivered_w, end_w = self._run_battery(load_w, pv_w, output_w, duration_s)
        used_pv_w = min(pv_w, max(output_w - delivered_w, 0.0))
        self.at_s += duration_s
        self.flows = flows = Flows(
            (l1, l2, l3), car_w + waiting_w, heat_pump_w, min(pv_w, max(output_w - end_w, 0.0)), pv_w, end_w
        )
        mean = Flows(flows.house_w, flows.ev_w, heat_pump_w, used_pv_w, pv_w, delivered_w)
        self._count(mean, load_w, duration_s / 3600)
        self.watch.look(
            self.at_s, flows.grid_phases_w(), flows.inverter_w - load_w, self.soc_percent, car_w / NOMINAL_V
        )

    def _output_limit_w(self) -> float:
        storage = self.storage
        if not storage.connected:
            return 0.0
        return storage.output_share * INVERTER_RATED_W if storage.output_limited else INVERTER_RATED_W

    def _run_battery(self, load_w: float, pv_w: float, output_w: float, duration_s: float) -> tuple[float, float]:
        """Let the battery follow its order; return mean and final AC power of the piece [W]."""
        lowest_w, highest_w = self.storage.interval_w()
        target_w = min(max(load_w - pv_w, lowest_w), highest_w)
        if self.soc_percent <= self.storage.reserve_percent:
            target_w = min(target_w, 0.0)
        if not self.storage.grid_charge:
            target_w = max(target_w, -pv_w)
        if not self.storage.connected:
            target_w = 0.0
        target_w = min(target_w, max(output_w - pv_w, 0.0)) if target_w > 0 else target_w
        gap_w = self.flows.battery_w - target_w
        fading = math.exp(-duration_s / _LAG_S)
        mean_w = target_w + gap_w * (1 - fading) * _LAG_S / duration_s
        self.stored_wh, delivered_w = self.battery.run(self.stored_wh, mean_w, duration_s)
        # full, empty or beyond its powers: what it could not do in the mean it does not do at the end
        end_w = target_w + gap_w * fading if abs(delivered_w - mean_w) < 1.0 else delivered_w
        return delivered_w, end_w

    def _follow_session(self, demand_w: float, power_w: float, duration_s: float) -> None:
        if demand_w > 0 or self.car.backlog_wh > 0:
            if not self.plugged:
                self.charger.session_wh = 0.0
            self.wanted_until_s = self.at_s + duration_s
        self.charger.session_wh += power_w * duration_s / 3600

    def _count(self, mean: Flows, load_w: float, hours: float) -> None:
        total = self.counters
        total.load_wh += load_w * hours
        total.pv_wh += mean.pv_w * hours
        total.ev_wh += mean.ev_w * hours
        total.heat_pump_wh += mean.heat_pump_w * hours
        total.pv_dc_wh += mean.pv_w / INVERTER_EFFICIENCY * hours
        inverter_w, battery_w = mean.inverter_w, mean.battery_w
        total.inverter_wh += max(inverter_w, 0.0) * hours
        if battery_w >= 0:
            total.battery_discharge_wh += battery_w * hours
            total.battery_discharge_dc_wh += battery_w / INVERTER_EFFICIENCY * hours
        else:
            total.battery_charge_wh -= battery_w * hours
            total.battery_charge_dc_wh -= battery_w * INVERTER_EFFICIENCY * hours
        grid_w = load_w - inverter_w
        if grid_w >= 0:
            total.grid_import_wh += grid_w * hours
        else:
            total.grid_export_wh -= grid_w * hours
        for number, power_w in enumerate(mean.grid_phases_w()):
            if power_w >= 0:
                total.phase_import_wh[number] += power_w * hours
            else:
                total.phase_export_wh[number] -= power_w * hours


def variation_time_s(variation: Variation, at_s: float) -> float:
    """Return the instant of the record that stands for ``at_s`` [s]."""
    record = variation.record
    return record.start_s + record.row(math.floor(at_s / HOUR_S)) * HOUR_S + at_s % HOUR_S
