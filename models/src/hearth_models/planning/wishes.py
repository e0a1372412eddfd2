"""Which wishes the hub's plan cannot keep: asked of the programme that plans whole homes."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from hearth_models.arrays import FloatArray
from hearth_models.planning.inputs import PlanInputs
from hearth_models.planning.joint_answer import build
from hearth_models.planning.joint_words import Words
from hearth_models.planning.joint_words import broken_wishes as told_broken
from hearth_models.planning.problem import BatteryPart, Problem, Pv, Site
from hearth_models.planning.search import Search


def broken_wishes(
    inputs: PlanInputs, starts_s: FloatArray, lengths_s: FloatArray, end_eur_per_kwh: float, timezone: str
) -> list[str]:
    """Say which wishes no course can keep: the fuse, the export limit, the charge floor.

    Args:
        inputs: Prices, forecasts, battery and limits.
        starts_s: Starts of the steps ahead and the end of the last, shape (n + 1,); the inputs' last steps [s].
        lengths_s: What is left of each step, shape (n,) [s].
        end_eur_per_kwh: Worth of a kWh left in the battery at the end.
        timezone: For local times.
    """
    problem = _problem(inputs, starts_s, lengths_s, end_eur_per_kwh, timezone)
    joint, *_ = build(problem)
    # no money hangs on this course: the first that obeys physics will do
    found = Search(joint.programme, joint.cost).solve(good_enough=np.inf)
    return [wish.text for wish in told_broken(joint, found.values, Words(problem))]


def _problem(
    inputs: PlanInputs, starts_s: FloatArray, lengths_s: FloatArray, end_eur_per_kwh: float, timezone: str
) -> Problem:
    ahead, limits, battery = slice(inputs.n_steps - len(lengths_s), None), inputs.limits, inputs.battery
    batteries = []
    if battery is not None:
        part = BatteryPart(
            name="the battery",
            capacity_wh=battery.capacity_wh,
            soc_percent=inputs.soc_percent,
            max_charge_w=battery.max_charge_w,
            max_discharge_w=battery.max_discharge_w,
            min_soc_percent=battery.min_soc_percent,
            max_soc_percent=battery.max_soc_percent,
            efficiency=battery.efficiency,
            own_use_w=battery.own_use_w,
            wear_eur_per_kwh=battery.wear_eur_per_kwh,
            end_eur_per_kwh=end_eur_per_kwh,
        )
        batteries.append(part)
    return Problem(
        start=datetime.fromtimestamp(float(starts_s[1] - lengths_s[0]), UTC).isoformat(),
        timezone=timezone,
        steps_s=lengths_s.tolist(),
        import_eur_per_kwh=inputs.import_eur_per_kwh[ahead].tolist(),
        export_eur_per_kwh=inputs.export_eur_per_kwh[ahead].tolist(),
        load_w=inputs.load.mean_w[ahead].tolist(),
        site=Site(fuse_a=limits.main_fuse_a, phases=limits.phases, export_limit_w=limits.export_limit_w),
        # what must be turned down to keep the export limit is what is told
        pv=[Pv(name="the roof", power_w=np.maximum(inputs.pv.mean_w[ahead], 0.0).tolist(), can_curtail=False)],
        batteries=batteries,
    )
