"""Homes that Hearth and EMHASS can both plan, put in the words of each, and the referee of their plans.

The referee shares no code with either planner. Its battery is EMHASS's: one efficiency in and one out, whatever the
power. Hearth plans with losses that grow with power, so a battery with losses is EMHASS's ground; one without is level.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hearth_models.arrays import FloatArray

STEP_S = 1800
BATTERY_W = 5000.0
LOWEST_PERCENT = 5.0
VOLT = 230.0
_TINY_WH = 1.0
# The fixed load of EMHASS's default configuration, and appliances as its sequences: start and end in steps.
DEFAULT_LOAD_W, DEFAULT_LOAD_STEPS = 3000.0, 8
_SEQUENCES = [
    ("dishes", [2000.0, 200.0, 1800.0, 100.0], 2, 20),
    ("laundry", [2100.0, 300.0, 300.0, 500.0, 400.0], 28, 0),
]


@dataclass(frozen=True)
class Home:
    """A home; series have one value a step, powers in W, prices in EUR/kWh."""

    start: str
    load_w: FloatArray
    pv_w: FloatArray
    import_eur_per_kwh: FloatArray
    export_eur_per_kwh: FloatArray
    limit_w: float
    has_steady_load: bool
    """3 kW, on or off in each step, for four hours in all: the one of EMHASS's default configuration."""
    has_sequences: bool = False
    capacity_wh: float = 0.0
    soc_percent: float = 0.0
    efficiency: float = 0.95
    """One way."""

    @property
    def n_steps(self) -> int:
        """How many steps there are."""
        return len(self.load_w)

    @property
    def sequences(self) -> list[tuple[str, list[float], int, int]]:
        """Name, shape, first step and last step (0: the end) of what runs once."""
        return _SEQUENCES if self.has_sequences else []

    def for_hearth(self) -> dict[str, Any]:
        """Return the problem as `hearth-models plan` reads it."""
        steady = {
            "name": "steady",  # what charges with one fixed current until it has its energy
            "capacity_wh": DEFAULT_LOAD_W * DEFAULT_LOAD_STEPS * STEP_S / 3600,
            "target_wh": DEFAULT_LOAD_W * DEFAULT_LOAD_STEPS * STEP_S / 3600,
            "stored_wh": 0.0,
            "min_a": DEFAULT_LOAD_W / VOLT,
            "max_a": DEFAULT_LOAD_W / VOLT,
            "phases": 1,
            "efficiency": 1.0,
        }
        battery = {
            "name": "battery",
            "capacity_wh": self.capacity_wh,
            "soc_percent": self.soc_percent,
            "min_soc_percent": LOWEST_PERCENT,
            "max_charge_w": BATTERY_W,
            "max_discharge_w": BATTERY_W,
            "efficiency": self.efficiency,
            "own_use_w": 0.0,
        }
        return {
            "start": f"{self.start}+01:00",
            "steps_s": [float(STEP_S)] * self.n_steps,
            "import_eur_per_kwh": self.import_eur_per_kwh.tolist(),
            "export_eur_per_kwh": self.export_eur_per_kwh.tolist(),
            "load_w": self.load_w.tolist(),
            "site": {"phases": 1, "fuse_a": 500.0, "import_limit_w": self.limit_w, "export_limit_w": self.limit_w},
            "pv": [{"name": "roof", "power_w": self.pv_w.tolist()}],
            "batteries": [battery] if self.capacity_wh else [],
            "cars": [steady] if self.has_steady_load else [],
            "appliances": [
                {"name": name, "shape_w": shape, "shape_step_s": float(STEP_S), "earliest_s": float(first * STEP_S)}
                | ({"ready_by_s": float(last * STEP_S)} if last else {})
                for name, shape, first, last in self.sequences
            ],
        }

    def for_emhass(self, end_wh: float) -> dict[str, Any]:
        """Return the problem as `emhass_side` reads it; the battery shall end where Hearth's plan left it."""
        has_battery = self.capacity_wh > 0
        return {
            "start": self.start,
            "load_w": self.load_w.tolist(),
            "pv_w": self.pv_w.tolist(),
            "import_eur_per_kwh": self.import_eur_per_kwh.tolist(),
            "export_eur_per_kwh": self.export_eur_per_kwh.tolist(),
            "soc_init": self.soc_percent / 100 if has_battery else None,
            "soc_final": end_wh / self.capacity_wh if has_battery else None,
            "config": self._emhass_config(),
        }

    def _emhass_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "num_threads": 1,  # as many as Hearth's planner uses
            "optimization_time_step": STEP_S // 60,
            "delta_forecast_daily": self.n_steps * STEP_S / 86_400,
            "set_use_pv": True,
            "compute_curtailment": True,
            "maximum_power_from_grid": self.limit_w,
            "maximum_power_to_grid": self.limit_w,
        }
        if self.capacity_wh:
            config |= {
                "set_use_battery": True,
                "set_nodischarge_to_grid": False,
                "battery_nominal_energy_capacity": self.capacity_wh,
                "battery_minimum_state_of_charge": LOWEST_PERCENT / 100,
                "battery_maximum_state_of_charge": 1.0,
                # charging is limited at the AC terminals, discharging in the cells: both are BATTERY_W on the AC side
                "battery_charge_power_max": BATTERY_W,
                "battery_discharge_power_max": BATTERY_W / self.efficiency,
                "battery_charge_efficiency": self.efficiency,
                "battery_discharge_efficiency": self.efficiency,
            }
        return config | self._emhass_loads()

    def _emhass_loads(self) -> dict[str, Any]:
        steady: list[Any] = [DEFAULT_LOAD_W] if self.has_steady_load else []
        count = len(steady) + len(self.sequences)
        named: dict[str, Any] = {
            "heat_topology": None,
            "deferrable_load_groups": [],
            "number_of_deferrable_loads": count,
        }
        alike: dict[str, Any] = {
            "minimum_power_of_deferrable_loads": 0.0,
            "cost_forecast_per_deferrable_load": None,
            "is_electric_load": True,
            "treat_deferrable_load_as_semi_cont": True,
            "set_deferrable_load_single_constant": False,
            "set_deferrable_startup_penalty": 0.0,
            "deferrable_load_max_cost": 0.0,
            "set_deferrable_max_startups": 0,
            "def_minimum_on_time": 0,
            "def_minimum_off_time": 0,
        }
        hours = DEFAULT_LOAD_STEPS * STEP_S / 3600
        return (
            named
            | {name: [value] * count for name, value in alike.items()}
            | {
                "nominal_power_of_deferrable_loads": [*steady, *(shape for _, shape, _, _ in self.sequences)],
                "operating_hours_of_each_deferrable_load": [*([hours] * len(steady)), *([0] * len(self.sequences))],
                "start_timesteps_of_each_deferrable_load": [
                    *([0] * len(steady)),
                    *(first for _, _, first, _ in self.sequences),
                ],
                "end_timesteps_of_each_deferrable_load": [
                    *([0] * len(steady)),
                    *(last for _, _, _, last in self.sequences),
                ],
            }
        )


@dataclass(frozen=True)
class Schedule:
    """What a planner wants, shapes (n_steps,) [W]."""

    battery_w: FloatArray
    """+ = discharge."""
    curtailed_w: FloatArray
    loads_w: list[FloatArray]
    """The steady load, then the sequences, as far as the home has them."""


@dataclass(frozen=True)
class Verdict:
    """What became of a schedule."""

    eur: float
    """Import minus feed-in."""
    end_wh: float
    """Energy in the battery at the end."""
    faults: list[str] = field(default_factory=list)


def judge(home: Home, wanted: Schedule) -> Verdict:
    """Live a schedule: what the battery cannot do it does not do, what does not run as asked is a fault."""
    hours, low_wh, stored_wh = STEP_S / 3600, home.capacity_wh * LOWEST_PERCENT / 100, 0.0
    stored_wh = home.capacity_wh * home.soc_percent / 100
    done_w = np.zeros(home.n_steps)
    for step, power_w in enumerate(np.clip(wanted.battery_w, -BATTERY_W, BATTERY_W).tolist()):
        most_out_w = max(stored_wh - low_wh, 0.0) * home.efficiency / hours
        most_in_w = max(home.capacity_wh - stored_wh, 0.0) / home.efficiency / hours
        done_w[step] = min(max(power_w, -most_in_w), most_out_w)
        moved_w = done_w[step] / home.efficiency if done_w[step] > 0 else done_w[step] * home.efficiency
        stored_wh -= moved_w * hours
    loads_w = sum(wanted.loads_w, np.zeros(home.n_steps))
    pv_w = home.pv_w - np.clip(wanted.curtailed_w, 0.0, home.pv_w)
    grid_w = home.load_w + loads_w - pv_w - done_w
    taken_w, given_w = np.maximum(grid_w, 0.0), np.maximum(-grid_w, 0.0)
    eur = float(taken_w @ home.import_eur_per_kwh - given_w @ home.export_eur_per_kwh) * hours / 1000
    faults = _faults(home, wanted)
    if float(np.abs(grid_w).max()) > home.limit_w + 1.0:
        faults.append("grid limit")
    return Verdict(eur, stored_wh, faults)


def _faults(home: Home, wanted: Schedule) -> list[str]:
    loads = list(wanted.loads_w)
    faults = []
    if home.has_steady_load:
        steady_w = loads.pop(0)
        is_on = steady_w > DEFAULT_LOAD_W / 2
        if int(is_on.sum()) != DEFAULT_LOAD_STEPS or not np.allclose(steady_w, is_on * DEFAULT_LOAD_W, atol=1.0):
            faults.append("steady load")
    for (name, shape, first, last), power_w in zip(home.sequences, loads, strict=True):
        begins = range(first, (last or home.n_steps) - len(shape) + 1)
        runs = (np.concatenate([np.zeros(at), shape, np.zeros(home.n_steps - at - len(shape))]) for at in begins)
        if not any(np.allclose(power_w, run, atol=1.0) for run in runs):
            faults.append(name)
    return faults
