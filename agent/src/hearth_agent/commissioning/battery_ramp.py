"""The battery's ramp test: charge a little, discharge a little, a few times, and see what the grid meter answers."""

from __future__ import annotations

from collections.abc import Callable

from hearth_agent.commissioning.findings import Finding, Ramp, Result
from hearth_agent.commissioning.orders import Mover
from hearth_agent.commissioning.ramps import (
    MOST_PAIRS,
    Level,
    Move,
    answered,
    judge_battery,
    judge_charge,
    judge_phases,
    moves,
)
from hearth_agent.commissioning.sampling import Sampler
from hearth_agent.control.flows import Flows
from hearth_agent.control.phases import PHASE_V
from hearth_agent.settings import Home
from hearth_core.site import BatteryFacts

SETTLE_S, MEASURE_S = 12.0, 24.0
_USUAL_W, _SHARE, _LEAST_W = 1500.0, 0.3, 300.0
_FUSE_SHARE = 0.9
_SOC_ROOM_PERCENT = 3.0
_STEP_W = 50.0


def power_of_test(home: Home, flows: Flows, asked_w: float | None) -> tuple[float, str]:
    """Return the power of the test, and where that is 0, why.

    It leaves every phase below the main fuse even if all of it flowed on one phase, and the export below its limit.
    """
    battery, limits = home.settings.site.battery, home.settings.site.limits
    if battery is None:
        return 0.0, "site.battery is missing in the file"
    if flows.grid_w is None or flows.soc_percent is None:
        return 0.0, "grid meter or state of charge cannot be read"
    if not _has_room(battery, flows.soc_percent):
        return 0.0, f"the charge of {flows.soc_percent:.0f} % leaves no room to charge and discharge"
    most_w = _FUSE_SHARE * limits.main_fuse_a * PHASE_V
    phases_w = [flows.grid_w if one is None else one for one in flows.phase_w[: limits.phases]]
    # where the battery is now does not matter to the phases, but what it already does is taken back first
    own_w = abs(flows.battery_w or 0.0)
    room_w = min(most_w - max(phases_w), most_w + min(phases_w)) - own_w
    if limits.export_limit_w is not None:
        room_w = min(room_w, limits.export_limit_w + flows.grid_w - own_w)
    wanted_w = asked_w or min(_USUAL_W, _SHARE * min(battery.max_charge_w, battery.max_discharge_w))
    power_w = min(wanted_w, room_w, battery.max_charge_w, battery.max_discharge_w) // _STEP_W * _STEP_W
    if power_w < _LEAST_W:
        return 0.0, f"only {max(room_w, 0):.0f} W are left below main fuse or export limit"
    return power_w, ""


async def ramp_battery(
    home: Home, device: str, grid: str, mover: Mover, sampler: Sampler, power_w: float, tell: Callable[[str], None]
) -> Ramp:
    """Charge and discharge in turn until the answers agree.

    Args:
        home: Settings.
        device: The battery or hybrid inverter.
        grid: The meter that must answer.
        mover: Holds the device's control.
        sampler: Reads all devices.
        power_w: Of each level.
        tell: Gets a line of progress.

    Raises:
        DisobedientError: The device does not take an order.
    """
    levels: list[Level] = []
    found: list[Move] = []
    for number in range(MOST_PAIRS + 1):
        order_w = -power_w if number % 2 == 0 else power_w
        tell(f"{device} {'charges' if order_w < 0 else 'discharges'} with {power_w:.0f} W")
        looks, alarm = await _level(home, mover, sampler, order_w)
        if alarm:
            return Ramp(findings=[_stopped(device, alarm)])
        levels.append(Level(order_w, looks))
        found = moves(levels)
        if answered(found):
            break
    findings = list(judge_battery(device, grid, found))
    phases, on_phases = judge_phases(device, grid, found, home.settings.site.limits.phases)
    if any(one.blocks for one in findings):
        # a phase the wrong way round falsifies the total too: it is the better explanation
        against = [on_phases] if on_phases is not None and on_phases.result is Result.FAILED else []
        return Ramp(findings=[*against, *findings] if _is_partial(on_phases) else findings)
    battery = home.settings.site.battery
    charge = [judge_charge(device, levels, battery.capacity_wh)] if battery else []
    return Ramp(findings=[*findings, *charge, *([on_phases] if on_phases else [])], phases=phases)


async def _level(home: Home, mover: Mover, sampler: Sampler, order_w: float) -> tuple[list[Flows], str]:
    """Hold one level; return the looks after settling, or why it was stopped."""
    await mover.battery(order_w)
    looks: list[Flows] = []
    started_s: float | None = None
    async for sample in sampler.during(SETTLE_S + MEASURE_S):
        mover.keep()
        flows = sample.flows(home.profiles)
        started_s = sample.at_s if started_s is None else started_s
        if alarm := _alarm(home, flows, order_w):
            return looks, alarm
        if sample.at_s - started_s >= SETTLE_S:
            looks.append(flows)
    return looks, ""


def _alarm(home: Home, flows: Flows, order_w: float) -> str:
    """Return why the test must stop now, or ""."""
    limits, battery = home.settings.site.limits, home.settings.site.battery
    for number, power_w in enumerate(flows.phase_w[: limits.phases], start=1):
        amps = abs(power_w if power_w is not None else flows.grid_w or 0.0) / PHASE_V
        if amps > limits.main_fuse_a:
            return f"L{number} came to {amps:.0f} A, the main fuse is {limits.main_fuse_a:g} A"
    exported_w = -(flows.grid_w or 0.0)
    if order_w > 0 and limits.export_limit_w is not None and exported_w > limits.export_limit_w:
        return f"{exported_w:.0f} W are fed in, the limit is {limits.export_limit_w:g} W"
    soc = flows.soc_percent
    if battery is not None and soc is not None and not battery.min_soc_percent <= soc <= battery.max_soc_percent:
        return f"the charge came to {soc:.0f} %"
    return ""


def _has_room(battery: BatteryFacts, soc_percent: float) -> bool:
    low, high = battery.min_soc_percent + _SOC_ROOM_PERCENT, battery.max_soc_percent - _SOC_ROOM_PERCENT
    return low <= soc_percent <= high


def _is_partial(on_phases: Finding | None) -> bool:
    """Tell whether some phases answer the right way: then the whole meter is not reversed."""
    return on_phases is not None and any(share > 0 for share in on_phases.figures.values())


def _stopped(device: str, why: str) -> Finding:
    remedy = "the test was stopped and the device given back; repeat it when less flows"
    return Finding(device=device, check="ramp", result=Result.INCONCLUSIVE, text=why, remedy=remedy, needed=True)
