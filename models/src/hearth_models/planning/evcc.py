"""evcc's optimiser requests, answered by Hearth: point evcc's optimiser address here and nothing else changes.

The words are evcc's own (``c`` charge, ``d`` discharge, ``s`` stored, ``n`` import, ``e`` export; Wh, W and currency
units per Wh). Source: the OpenAPI description of github.com/evcc-io/optimizer (MIT). What differs:

- money is settled first and preferences are decided afterwards among equally good schedules, at no cost;
- a preference never turns around when the lowest price is negative;
- an answer always comes back when time is up, as ``Feasible`` when it could not be proved the best.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from hearth_models.arrays import FloatArray
from hearth_models.planning.evcc_model import EvccModel
from hearth_models.planning.inputs import UNREADABLE, PlanError
from hearth_models.planning.search import TIME_LIMIT_S

CHARGING_STRATEGIES = (
    "none",
    "charge_before_export",
    "attenuate_demand_peaks",
    "attenuate_feedin_peaks",
    "attenuate_grid_peaks",
)
DISCHARGING_STRATEGIES = ("none", "discharge_before_import")
_MOST_STEPS = 2000
_MOST_BATTERIES = 32

NotNegative = Annotated[float, Meta(ge=0)]
Efficiency = Annotated[float, Meta(gt=0, le=1)]


class EvccBattery(msgspec.Struct, kw_only=True, frozen=True):
    """A home battery, or a car at a charger."""

    s_min: NotNegative
    s_max: NotNegative
    s_initial: NotNegative
    c_min: NotNegative
    c_max: NotNegative
    d_max: NotNegative
    p_a: float
    charge_from_grid: bool = False
    discharge_to_grid: bool = False
    s_capacity: NotNegative | None = None
    p_demand: list[NotNegative] | None = None
    s_goal: list[NotNegative] | None = None
    c_priority: int = 0

    @property
    def capacity_wh(self) -> float:
        """Energy when full [Wh]."""
        return self.s_max if self.s_capacity is None else self.s_capacity


class EvccGrid(msgspec.Struct, kw_only=True, frozen=True):
    """Limits of the connection [W]; beyond ``p_max_imp`` the demand rate applies where there is one [1/W]."""

    p_max_imp: NotNegative | None = None
    p_max_exp: NotNegative | None = None
    prc_p_exc_imp: NotNegative | None = None


class EvccStrategy(msgspec.Struct, kw_only=True, frozen=True):
    """What is preferred among schedules of the same cost."""

    charging_strategy: str = "none"
    discharging_strategy: str = "none"


class EvccSeries(msgspec.Struct, kw_only=True, frozen=True):
    """Lengths [s], demand and production [Wh], prices [1/Wh] of each step."""

    dt: list[NotNegative]
    gt: list[NotNegative]
    ft: list[NotNegative]
    p_N: list[float]  # noqa: N815  evcc's name
    p_E: list[float]  # noqa: N815  evcc's name


class EvccRequest(msgspec.Struct, kw_only=True, frozen=True):
    """Everything that is asked."""

    batteries: Annotated[list[EvccBattery], Meta(max_length=_MOST_BATTERIES)]
    time_series: EvccSeries
    strategy: EvccStrategy = EvccStrategy()
    grid: EvccGrid = EvccGrid()
    eta_c: Efficiency = 0.95
    eta_d: Efficiency = 0.95

    @property
    def n_steps(self) -> int:
        """How many steps are asked for."""
        return len(self.time_series.gt)


def read_request(text: bytes) -> EvccRequest:
    """Read a request.

    Args:
        text: The JSON body, or a recorded case with the body under ``request``.

    Raises:
        PlanError: It is not such a request; the field is named.
    """
    try:
        raw: Any = msgspec.json.decode(text)
        if isinstance(raw, dict) and "request" in raw:
            raw = raw["request"]
        request = msgspec.convert(raw, EvccRequest)
    except UNREADABLE as error:
        raise PlanError.unreadable(error, "request") from error
    _check(request)
    return request


def answer(request: EvccRequest, time_limit_s: float = TIME_LIMIT_S) -> dict[str, Any]:
    """Return the schedule in evcc's response shape."""
    model = EvccModel(request)
    found = model.solve(time_limit_s)
    batteries = [
        {
            "charging_power": _list(found.charge[number]),
            "discharging_power": _list(found.discharge[number]),
            "state_of_charge": _list(found.stored[number]),
        }
        for number in range(len(request.batteries))
    ]
    grid = request.grid
    has_rate = grid.p_max_imp is not None and grid.prc_p_exc_imp is not None
    return {
        "status": "Optimal" if found.is_proven else "Feasible",
        "objective_value": worth(request, found.taken + found.taken_beyond, found.given, found.stored),
        "limit_violations": {
            "grid_import_limit_exceeded": bool((found.taken_beyond > 1e-3).any()),
            "grid_export_limit_hit": bool((found.given_beyond > 1e-3).any()),
        },
        "batteries": batteries,
        "grid_import": _list(found.taken + (found.taken_beyond if has_rate else 0.0)),
        "grid_export": _list(found.given),
        "flow_direction": found.is_export.astype(int).tolist(),
        "grid_import_overshoot": [] if grid.p_max_imp is None else _list(found.taken_beyond),
        "grid_export_overshoot": [] if grid.p_max_exp is None else _list(found.given_beyond),
    }


def worth(request: EvccRequest, taken_wh: FloatArray, given_wh: FloatArray, stored_wh: FloatArray) -> float:
    """Return what evcc publishes as the objective: revenue, minus cost, plus what was stored since the first step.

    Args:
        request: Gives the prices.
        taken_wh: Import, shape (n_steps,) [Wh].
        given_wh: Export, shape (n_steps,) [Wh].
        stored_wh: Energy at the end of each step, shape (n_batteries, n_steps) [Wh].

    Returns:
        In the request's currency units.
    """
    series, grid = request.time_series, request.grid
    total = float(np.dot(given_wh, series.p_E) - np.dot(taken_wh, series.p_N))
    total += sum(float(own[-1] - own[0]) * one.p_a for one, own in zip(request.batteries, stored_wh, strict=True))
    if grid.p_max_imp is not None and grid.prc_p_exc_imp is not None:
        hours = np.array(series.dt) / 3600
        power_w = np.divide(taken_wh, hours, out=np.zeros_like(taken_wh), where=hours > 0)
        total -= grid.prc_p_exc_imp * max(0.0, float(power_w.max()) - grid.p_max_imp)
    return total


def _list(values: FloatArray) -> list[float]:
    rounded: list[float] = np.round(np.maximum(values, 0.0), 6).tolist()
    return rounded


def _check(request: EvccRequest) -> None:
    n = request.n_steps
    if not 1 <= n <= _MOST_STEPS:
        raise PlanError(f"time_series.gt: {n} steps; 1..{_MOST_STEPS} can be planned")
    if not request.batteries:
        raise PlanError("batteries: empty; at least one is needed")
    named: dict[str, list[float] | None] = {
        f"time_series.{name}": getattr(request.time_series, name) for name in request.time_series.__struct_fields__
    }
    for number, battery in enumerate(request.batteries):
        named |= {f"batteries[{number}].{name}": getattr(battery, name) for name in ("p_demand", "s_goal")}
        _check_battery(f"batteries[{number}]", battery)
    for field, values in named.items():
        if values is None:
            continue
        if len(values) != n:
            raise PlanError(f"{field}: {len(values)} values, but time_series.gt has {n}")
        if not all(math.isfinite(value) for value in values):
            raise PlanError(f"{field}: holds a value that is no number")
    for field, allowed in (
        ("charging_strategy", CHARGING_STRATEGIES),
        ("discharging_strategy", DISCHARGING_STRATEGIES),
    ):
        if (value := getattr(request.strategy, field)) not in allowed:
            raise PlanError(f"strategy.{field}: {value!r} must be one of {', '.join(allowed)}")


def _check_battery(where: str, battery: EvccBattery) -> None:
    for field in ("s_min", "s_max", "s_initial", "c_min", "c_max", "d_max", "p_a"):
        if not math.isfinite(getattr(battery, field)):
            raise PlanError(f"{where}.{field}: {getattr(battery, field)!r} is no number")
    if battery.s_initial > battery.capacity_wh:
        raise PlanError(f"{where}.s_initial: {battery.s_initial} is above its capacity {battery.capacity_wh}")
    if battery.s_min > battery.s_max:
        raise PlanError(f"{where}.s_min: {battery.s_min} is above s_max {battery.s_max}")
    if battery.c_min > battery.c_max:
        raise PlanError(f"{where}.c_min: {battery.c_min} is above c_max {battery.c_max}")
