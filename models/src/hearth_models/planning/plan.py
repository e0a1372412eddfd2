"""A home's plan: scenarios, the value of stored energy, the expected course, small enough for the wire."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from hearth_core.messages import Mode, Plan, Slot, StoredValue, encode
from hearth_models.arrays import FloatArray
from hearth_models.battery import Battery
from hearth_models.planning.course import Expected, expected_course
from hearth_models.planning.inputs import PlanError, PlanInputs
from hearth_models.planning.reasons import Story
from hearth_models.planning.scenarios import net_scenarios
from hearth_models.planning.value import Market, ValueFunction, solve
from hearth_models.planning.wishes import broken_wishes

MOST_BYTES = 47 * 1024
_FEWEST_POINTS = 17
_POINTS = (41, 31, 25, 21, _FEWEST_POINTS)


@dataclass(frozen=True)
class _Frame:
    """The steps that are still ahead when the plan is issued."""

    skipped: int
    starts_s: FloatArray
    lengths_s: FloatArray

    @classmethod
    def of(cls, inputs: PlanInputs, issued_ms: int) -> _Frame:
        now_s = issued_ms / 1000
        skipped = max(0, int((now_s - inputs.start_s) // inputs.step_s))
        if skipped >= inputs.n_steps:
            raise PlanError(f"issued_ms: {issued_ms} lies after the last step")
        starts = inputs.start_s + inputs.step_s * np.arange(skipped, inputs.n_steps + 1, dtype=np.float64)
        lengths = np.diff(starts)
        lengths[0] -= max(0.0, now_s - starts[0])
        return cls(skipped, starts, lengths)


def make_plan(inputs: PlanInputs, home: str, version: int, issued_ms: int, timezone: str) -> Plan:
    """Plan a home's next two days.

    The same inputs give the same plan (but for ``solve_ms``). The first step counts with what is left of it; steps
    that are over at ``issued_ms`` are dropped. The encoded plan stays below 48 KiB: where prices allow, neighbouring
    steps travel as one slot; otherwise the far end of the horizon is left out.

    Args:
        inputs: Prices, forecasts, battery and limits.
        home: The home's name.
        version: Of the plan, growing.
        issued_ms: Now.
        timezone: For times in the reasons.

    Raises:
        PlanError: ``issued_ms`` lies after the last step.
    """
    began = time.perf_counter()
    frame = _Frame.of(inputs, issued_ms)
    ahead = slice(frame.skipped, None)
    net_w = inputs.net_w[ahead]
    market = Market(
        inputs.import_eur_per_kwh[ahead],
        inputs.export_eur_per_kwh[ahead],
        inputs.import_limit_w,
        inputs.export_limit_w,
    )
    battery = inputs.battery
    value: ValueFunction | None = None
    if battery is None:
        n = len(net_w)
        expected = Expected([Mode.SELF_CONSUMPTION] * n, np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n))
        reasons, headline = ["there is no battery to plan for"] * n, "There is no battery to plan for."
    else:
        stored_wh = battery.stored_wh(inputs.soc_percent)
        scenarios = net_scenarios(inputs.load, inputs.pv, inputs.past_net_w)[:, ahead]
        if inputs.given_w is not None:
            scenarios = scenarios + inputs.given_w[ahead]
        value = solve(scenarios, market, battery, inputs.step_s, first_step_s=float(frame.lengths_s[0]))
        prices = market.import_eur_per_kwh, market.export_eur_per_kwh
        expected = expected_course(net_w, *prices, value, battery, stored_wh, frame.lengths_s)
        story = Story(frame.starts_s, *prices, net_w, expected, timezone)
        reasons = story.reasons()
        headline = story.headline(reasons)
    end_eur_per_kwh = 0.0 if value is None else value.end_eur_per_kwh
    wishes = broken_wishes(inputs, frame.starts_s, frame.lengths_s, end_eur_per_kwh, timezone)
    slots = _slots(inputs, frame, expected, reasons, net_w)
    return _fit(
        Plan(
            home=home,
            version=version,
            issued_ms=issued_ms,
            valid_from_ms=slots[0].start_ms,
            valid_until_ms=int(frame.starts_s[-1] * 1000),
            step_s=inputs.step_s,
            slots=slots,
            headline=headline,
            broken_wishes=wishes,
            solve_ms=round((time.perf_counter() - began) * 1000, 2),
        ),
        value,
        battery,
    )


def _slots(inputs: PlanInputs, frame: _Frame, expected: Expected, reasons: list[str], net_w: FloatArray) -> list[Slot]:
    slots = []
    pv_w = inputs.pv.mean_w
    load_w = inputs.net_w + pv_w
    for step in range(len(net_w)):
        source = step + frame.skipped
        soc_percent = inputs.battery.soc_percent(float(expected.stored_wh[step])) if inputs.battery else 0.0
        slots.append(
            Slot(
                start_ms=int(frame.starts_s[step] * 1000),
                mode=expected.modes[step],
                reason=reasons[step],
                power_w=_watts(expected.forced_w[step]),
                import_eur_per_kwh=_price(inputs.import_eur_per_kwh[source]),
                export_eur_per_kwh=_price(inputs.export_eur_per_kwh[source]),
                marginal_eur_per_kwh=_price(expected.worth_eur_per_kwh[step]),
                load_w=_watts(load_w[source]),
                pv_w=_watts(pv_w[source]),
                battery_w=_watts(expected.battery_w[step]),
                grid_w=_watts(net_w[step] - expected.battery_w[step]),
                soc_percent=round(soc_percent, 1),
            )
        )
    return slots


def _fit(plan: Plan, value: ValueFunction | None, battery: Battery | None) -> Plan:
    """Make the plan small enough: coarser grid of charges, then wider slots, then a shorter horizon."""
    widest = 1 if len(encode(plan)) < MOST_BYTES // 2 else 2
    for factor in range(1, widest + 1):
        merged = _merge(plan, factor)
        if merged is None:
            continue
        for points in _POINTS:
            candidate = _with_value(merged, value, battery, factor, points)
            if len(encode(candidate)) <= MOST_BYTES:
                return candidate
    return _shorten(_with_value(plan, value, battery, 1, _FEWEST_POINTS))


def _shorten(plan: Plan) -> Plan:
    """Leave out the far end until the plan fits."""
    keep = len(plan.slots)
    while len(encode(plan)) > MOST_BYTES:
        keep = min(keep - 1, keep * MOST_BYTES // len(encode(plan)))
        stored = plan.stored_value
        if stored is not None:
            stored = StoredValue(store=stored.store, soc_percent=stored.soc_percent, value_eur=stored.value_eur[:keep])
        until_ms = plan.slots[0].start_ms + keep * plan.step_s * 1000
        plan = _replace(plan, slots=plan.slots[:keep], stored_value=stored, valid_until_ms=until_ms)
    return plan


def _merge(plan: Plan, factor: int) -> Plan | None:
    """Join slots to a coarser clock grid; None when prices differ inside a joined slot."""
    if factor == 1:
        return plan
    step_s = plan.step_s * factor
    groups: dict[int, list[Slot]] = {}
    for slot in plan.slots:
        groups.setdefault(slot.start_ms // (step_s * 1000), []).append(slot)
    slots = []
    for number, members in groups.items():
        first, last = members[0], members[-1]
        prices = {(slot.import_eur_per_kwh, slot.export_eur_per_kwh) for slot in members}
        if len(prices) > 1:
            return None
        count = len(members)
        slots.append(
            Slot(
                start_ms=number * step_s * 1000,
                mode=first.mode,
                reason=first.reason,
                power_w=first.power_w,
                import_eur_per_kwh=first.import_eur_per_kwh,
                export_eur_per_kwh=first.export_eur_per_kwh,
                marginal_eur_per_kwh=first.marginal_eur_per_kwh,
                load_w=_watts(sum(slot.load_w for slot in members) / count),
                pv_w=_watts(sum(slot.pv_w for slot in members) / count),
                battery_w=_watts(sum(slot.battery_w for slot in members) / count),
                grid_w=_watts(sum(slot.grid_w for slot in members) / count),
                soc_percent=last.soc_percent,
            )
        )
    # a slot is found by its distance from the first, so the first starts on the coarser grid, perhaps in the past
    return _replace(plan, slots=slots, step_s=step_s, valid_from_ms=slots[0].start_ms)


def _with_value(plan: Plan, value: ValueFunction | None, battery: Battery | None, factor: int, points: int) -> Plan:
    """Attach the value at the end of each slot, on a grid of so many charges."""
    if value is None or battery is None:
        return plan
    steps = value.value_eur.shape[0] - 1
    inner_ms = plan.step_s * 1000 // factor
    end_ms = plan.slots[0].start_ms + plan.step_s * 1000 * (1 + np.arange(len(plan.slots)))
    # the row at the end of each slot; the last slot may reach beyond the last step
    rows = np.minimum(steps - (plan.valid_until_ms - end_ms) // inner_ms, steps)
    grid = np.linspace(value.stored_wh[0], value.stored_wh[-1], points)
    table = [np.interp(grid, value.stored_wh, value.value_eur[row] - value.value_eur[row, 0]) for row in rows]
    stored = StoredValue(
        store="battery",
        soc_percent=np.round(grid / battery.capacity_wh * 100, 3).tolist(),
        value_eur=np.round(np.array(table), 4).tolist(),
    )
    return _replace(plan, stored_value=stored)


def _replace(plan: Plan, **changes: object) -> Plan:
    fields = {name: getattr(plan, name) for name in plan.__struct_fields__}
    return Plan(**{**fields, **changes})


def _watts(power_w: float) -> float:
    return float(round(power_w)) + 0.0


def _price(eur_per_kwh: float) -> float:
    return round(float(eur_per_kwh), 5) + 0.0
