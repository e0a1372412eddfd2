"""The charger's test: the car's current is stepped, and the house's load must step with it, on the phases it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from hearth_agent.commissioning.findings import Finding, Ramp, Result, factor_name
from hearth_agent.commissioning.orders import Mover
from hearth_agent.commissioning.ramps import LEAST_PAIRS, MOST_PAIRS, agree
from hearth_agent.commissioning.sampling import Sample, Sampler, column
from hearth_agent.control.flows import Flows
from hearth_agent.control.phases import PHASE_V
from hearth_agent.devices.profile import ControlKind
from hearth_agent.settings import Home

SETTLE_S, MEASURE_S = 20.0, 20.0
Tell = Callable[[str], None]
_LOW_A, _STEP_A = 6.0, 4.0
_LEAST_W = 300.0
_CONNECTED = (2.0, 3.0)
_ANSWERED, _ON_PHASE, _NOT_ON_PHASE = (0.7, 1.3), 0.7, 0.25
_ALL = 3


def has_car(device: str, samples: Sequence[Sample]) -> bool:
    """Tell whether a car is there and charges, or waits to."""
    return any(state in _CONNECTED for state in column(samples, device, "vehicle_state")[-3:]) or any(
        power_w > _LEAST_W for power_w in column(samples, device, "power_w")[-3:]
    )


def levels_a(home: Home, device: str, flows: Flows) -> tuple[float, float]:
    """Return the two currents of the test [A]: 6 and a step above where the fuse has room, else pause and 6."""
    limits = home.settings.site.limits
    control = home.profiles[device].controls[ControlKind.EV_CURRENT]
    most_a = min(control.max_a, home.device(device).max_current_a or control.max_a)
    highest_w = max((flows.grid_w or 0.0) if one is None else one for one in flows.phase_w[: limits.phases])
    room_a = 0.9 * limits.main_fuse_a - highest_w / PHASE_V
    low_a = max(_LOW_A, control.min_a)
    high_a = min(low_a + _STEP_A, most_a)
    return (low_a, high_a) if high_a >= low_a + 2 and room_a > high_a else (0.0, low_a)


async def ramp_charger(
    home: Home,
    device: str,
    mover: Mover,
    sampler: Sampler,
    currents_a: tuple[float, float],
    fed: tuple[int, ...],
    tell: Tell,
) -> Ramp:
    """Step the car's current until the answers agree.

    Args:
        home: Settings.
        device: The charger.
        mover: Holds its control.
        sampler: Reads all devices.
        currents_a: The two levels [A].
        fed: Phases on which inverter and battery deliver, in equal parts.
        tell: Gets a line of progress.

    Raises:
        DisobedientError: The charger does not take an order.
    """
    levels: list[list[Sample]] = []
    steps: list[tuple[float, float, tuple[float, ...]]] = []
    for number in range(MOST_PAIRS + 1):
        limit_a = currents_a[number % 2]
        tell(f"the car may take {limit_a:g} A" if limit_a else "the car is paused")
        await mover.car(limit_a)
        taken = []
        async for sample in sampler.during(SETTLE_S + MEASURE_S):
            mover.keep()
            taken.append(sample)
        settled = [one for one in taken if one.at_s - taken[0].at_s >= SETTLE_S]
        levels.append(settled)
        steps = [step for old, new in pairwise(levels) if (step := _step(home, device, old, new, fed)) is not None]
        answers = [load / car for car, load, _ in steps]
        if agree(answers) and _ANSWERED[0] <= median(answers) <= _ANSWERED[1]:
            break
    return _judge(home, device, steps)


def _judge(home: Home, device: str, steps: list[tuple[float, float, tuple[float, ...]]]) -> Ramp:
    if len(steps) < LEAST_PAIRS:
        text = f"the car followed only {len(steps)} of the steps"
        return Ramp(findings=[_unsure(device, text, "charge a car that is not nearly full, and repeat it")])
    answers = [load / car for car, load, _ in steps]
    answer = median(answers)
    figures = {"answer": answer, "step_w": median(abs(car) for car, _, _ in steps), "repeated": float(len(steps))}
    text = f"of each watt of the charger the house's load shows {answer:.2f} ({len(steps)} steps)"
    if not agree(answers):
        return Ramp(findings=[_unsure(device, text, "the house's own load changed too much: repeat it")])
    if not _ANSWERED[0] <= answer <= _ANSWERED[1]:
        name = factor_name(1 / answer, 0.35) if answer else ""
        remedy = (
            f"the power of {device} is {name}"
            if name
            else f"{device} is not behind the grid meter, or its scale is wrong"
        )
        if answer < -0.5:
            remedy = f"set `sign: -1` on {device}"
        return Ramp(findings=[_finding(device, "ramp", Result.FAILED, text, remedy, figures)])
    passed = _finding(device, "ramp", Result.PASSED, text, "", figures)
    phases, on_phases = _rotation(home, device, steps)
    return Ramp(findings=[passed, on_phases], phases=phases)


def _rotation(
    home: Home, device: str, steps: list[tuple[float, float, tuple[float, ...]]]
) -> tuple[list[int], Finding]:
    """Find the home's phase of a car that charges on one; a car on three loads all alike and tells nothing."""
    shares = [median(step[2][n] / step[0] for step in steps) for n in range(len(steps[0][2]))]
    figures = {f"l{n}": share for n, share in enumerate(shares, start=1)}
    text = "of the charger's power the home shows " + ", ".join(f"{s:.2f} on L{n}" for n, s in enumerate(shares, 1))
    on = [n for n, share in enumerate(shares, start=1) if share > _ON_PHASE]
    rotation = home.device(device).phase_rotation
    if len(on) == 1 and all(abs(share) < _NOT_ON_PHASE for n, share in enumerate(shares, 1) if n not in on):
        if rotation is not None and rotation[0] != on[0]:
            remedy = f"phase_rotation of {device} must begin with {on[0]}, or the car charges on another of its phases"
            return [], _finding(device, "phases", Result.FAILED, text, remedy, figures)
        return on, _finding(device, "phases", Result.PASSED, text, "", figures)
    remedy = "a car on three phases does not show their order; the fuse's guard assumes the worst"
    known = all(share > 0.2 for share in shares) and len(shares) == _ALL
    return ([1, 2, 3] if known else []), _finding(device, "phases", Result.INCONCLUSIVE, text, remedy, figures)


def _step(
    home: Home, device: str, old: Sequence[Sample], new: Sequence[Sample], fed: tuple[int, ...]
) -> tuple[float, float, tuple[float, ...]] | None:
    """Return the change of the charger's power, of the load without the other consumers, and of each phase's load."""
    car = [column(one, device, "power_w") for one in (old, new)]
    if not all(car):
        return None
    car_w = median(car[1]) - median(car[0])
    flows = [[one.flows(home.profiles) for one in side] for side in (old, new)]
    loads = [[one.load_w - one.consumers_w for one in side if one.load_w is not None] for side in flows]
    if abs(car_w) < _LEAST_W or not all(loads):
        return None
    phases = range(1, home.settings.site.limits.phases + 1)
    each = tuple(_phase_load(flows[1], n, fed) - _phase_load(flows[0], n, fed) for n in phases)
    return car_w, median(loads[1]) - median(loads[0]) + car_w, each


def _phase_load(side: Sequence[Flows], line: int, fed: tuple[int, ...]) -> float:
    """Return the median load of a phase (from 1) [W]."""
    share = 1.0 / len(fed) if line in fed else 0.0
    values = [(one.phase_w[line - 1] or 0.0) + (one.inverter_w or 0.0) * share for one in side]
    return median(values) if values else 0.0


def _unsure(device: str, text: str, remedy: str) -> Finding:
    return _finding(device, "ramp", Result.INCONCLUSIVE, text, remedy, {})


def _finding(device: str, check: str, result: Result, text: str, remedy: str, figures: dict[str, float]) -> Finding:
    needed = check == "ramp"
    return Finding(device=device, check=check, result=result, text=text, remedy=remedy, needed=needed, figures=figures)
