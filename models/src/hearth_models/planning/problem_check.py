"""What no plan can be made from is refused with its field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hearth_models.planning.inputs import PlanError

if TYPE_CHECKING:
    from hearth_models.planning.problem import BatteryPart, Problem

_LONGEST_STEP_S = 6 * 3600.0


def check(problem: Problem) -> None:
    """Raise PlanError for what no plan can be made from."""
    try:
        start = problem.start_at
    except ValueError as error:
        raise PlanError(f"start: {problem.start!r} is no time; write 2026-01-31T07:00:00+01:00") from error
    if start.tzinfo is None:
        raise PlanError(f"start: {problem.start!r} has no offset; write 2026-01-31T07:00:00+01:00")
    if problem.timezone is not None:
        try:
            ZoneInfo(problem.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise PlanError(f"timezone: {problem.timezone!r} is not known; write e.g. Europe/Berlin") from error
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
    for number, charge in enumerate(problem.demand_charges):
        for place, span in enumerate(charge.windows):
            if span.until_s <= span.from_s:
                where = f"demand_charges[{number}].windows[{place}].until_s"
                raise PlanError(f"{where}: {span.until_s} is not after from_s {span.from_s}")
    for number, battery in enumerate(problem.batteries):
        if battery.min_soc_percent >= battery.max_soc_percent:
            band = f"{battery.min_soc_percent}..{battery.max_soc_percent}"
            raise PlanError(f"batteries[{number}].min_soc_percent..max_soc_percent: {band} is no band")
        _check_bands(f"batteries[{number}]", battery)
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


def _check_bands(where: str, battery: BatteryPart) -> None:
    if not isinstance(battery.efficiency, list):
        return
    edges = [band.up_to_w for band in battery.efficiency]
    if any(low >= high for low, high in pairwise(edges)):
        raise PlanError(f"{where}.efficiency: up_to_w {edges} must grow from band to band")
    for field in ("max_charge_w", "max_discharge_w"):
        if getattr(battery, field) > edges[-1]:
            raise PlanError(
                f"{where}.efficiency: the last band ends at {edges[-1]} W, below {field} {getattr(battery, field)}"
            )


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
