"""What the grid meter answered when a device was moved: pure figures out of pairs of levels.

The house's own load changes while a device is moved. Therefore each move is made several times, neighbouring levels are
compared by their medians, and where the repetitions do not agree nothing is concluded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from hearth_agent.commissioning.findings import Finding, Result, factor_name
from hearth_agent.control.flows import Flows

LEAST_PAIRS, MOST_PAIRS = 3, 6
_NEAR, _AGREE_SHARE = 0.25, 0.8
"""So many of the repetitions must be so near to their median, as a share of the move."""
_OBEYED = (0.6, 1.3)
_ALIKE, _SLACK = 0.25, 0.35
_NOTHING, _SURE = 0.15, 0.2
_ON_PHASE = 0.7
_OPPOSITE_PERCENT = 0.2
_WHOLE = 1.0


class Level(NamedTuple):
    """What was ordered, and the looks after the device had settled."""

    order_w: float
    looks: Sequence[Flows]

    def median(self, power: Callable[[Flows], float | None]) -> float | None:
        """Return the median of a power over the looks."""
        values = [value for one in self.looks if (value := power(one)) is not None]
        return median(values) if values else None


class Move(NamedTuple):
    """The differences between two neighbouring levels [W]; None where something was missing."""

    ordered_w: float
    battery_w: float | None
    inverter_w: float | None
    grid_w: float | None
    """Without the change of the consumers that are measured."""
    phase_w: tuple[float | None, ...]


def moves(levels: Sequence[Level]) -> list[Move]:
    """Return the moves between neighbouring levels."""
    return [_move(old, new) for old, new in pairwise(levels) if old.order_w != new.order_w]


def agree(values: Sequence[float]) -> bool:
    """Tell whether repetitions agree well enough to conclude something."""
    if len(values) < LEAST_PAIRS:
        return False
    middle = median(values)
    near = sum(abs(one - middle) <= _NEAR * max(_WHOLE, abs(middle)) for one in values)
    return near >= max(LEAST_PAIRS, math.ceil(_AGREE_SHARE * len(values)))


def answered(found: Sequence[Move]) -> bool:
    """Tell whether the grid meter surely answers as it should; anything else deserves every repetition."""
    answer = [-one for one in _ratios(found, lambda move: move.grid_w, lambda move: move.ordered_w)]
    return agree(answer) and _within(median(answer), _OBEYED)


def judge_battery(device: str, grid: str, found: Sequence[Move]) -> Iterator[Finding]:
    """Yield what the moves prove: the battery obeys, its own figures say so, and the grid meter answers."""
    battery = _ratios(found, lambda move: move.battery_w, lambda move: move.ordered_w)
    inverter = _ratios(found, lambda move: move.inverter_w, lambda move: move.ordered_w)
    answer = [-one for one in _ratios(found, lambda move: move.grid_w, lambda move: move.ordered_w)]
    if not battery or not inverter or not answer:
        yield _unsure(device, "ramp", "a device did not answer during the test", "see `hearth-agent probe`", {})
        return
    figures = {"battery": median(battery), "inverter": median(inverter), "grid": median(answer), "repeated": len(found)}
    said = (
        f"of each watt ordered the battery shows {figures['battery']:.2f}, the inverter {figures['inverter']:.2f}, "
        f"and the grid meter answers with {-figures['grid']:.2f} ({len(found)} moves)"
    )
    if not agree(answer):
        remedy = "the house's own load changed too much: repeat it in a quieter hour, or with more --power-w"
        spread = f"; its answers go from {-max(answer):.2f} to {-min(answer):.2f}"
        yield _unsure(device, "ramp", said + spread, remedy, figures)
        return
    seen = (figures["battery"], figures["inverter"], figures["grid"])
    device_at_fault, remedy = _battery_fault(device, grid, seen, _apart(answer))
    if not remedy:
        yield Finding(device=device, check="ramp", result=Result.PASSED, text=said, needed=True, figures=figures)
        return
    result = Result.FAILED if device_at_fault else Result.INCONCLUSIVE
    at = device_at_fault or device
    yield Finding(device=at, check="ramp", result=result, text=said, remedy=remedy, needed=True, figures=figures)


def judge_charge(device: str, levels: Sequence[Level], capacity_wh: float) -> Finding:
    """Return whether the state of charge moved as the battery was ordered, where a test so short can show it."""
    moved, expected = 0.0, 0.0
    for level in levels:
        known = [one for one in level.looks if one.soc_percent is not None]
        if len(known) < 2:
            continue
        hours = (known[-1].at_s - known[0].at_s) / 3600
        direction = -1.0 if level.order_w > 0 else 1.0
        moved += direction * ((known[-1].soc_percent or 0.0) - (known[0].soc_percent or 0.0))
        expected += abs(level.order_w) * hours / capacity_wh * 100
    figures = {"moved_percent": moved, "expected_percent": expected}
    text = f"the charge moved by {moved:+.2f} % in the ordered direction, {expected:.2f} % were ordered"
    check, result, remedy = "state of charge", Result.INCONCLUSIVE, "the test is too short for it; the agent watches it"
    if moved >= expected / 3 and moved > 0:
        result, remedy = Result.PASSED, ""
    elif moved <= -_OPPOSITE_PERCENT and moved <= -expected / 2:
        result, remedy = Result.FAILED, f"{device} charges when it is told to discharge, or its charge is read wrongly"
    return Finding(device=device, check=check, result=result, text=text, remedy=remedy, figures=figures)


def judge_phases(device: str, grid: str, found: Sequence[Move], phases: int) -> tuple[list[int], Finding | None]:
    """Return the phases on which the meter saw the device (in their order), and what is to be said of them."""
    shares: list[float] = []
    for number in range(phases):
        each = [-one for one in _ratios(found, _phase(number), lambda move: move.inverter_w)]
        if not agree(each):
            text = f"L{number + 1} moved too unevenly to tell"
            return [], _unsure(device, "phases", text, "repeat it in a quieter hour", {})
        shares.append(median(each))
    figures = {f"l{n}": share for n, share in enumerate(shares, start=1)}
    text = "of the device's power the meter shows " + ", ".join(f"{s:.2f} on L{n}" for n, s in enumerate(shares, 1))
    against = [n for n, share in enumerate(shares, start=1) if share < -0.1]
    if against:
        remedy = _against(grid, against)
        return [], Finding(device=grid, check="phases", result=Result.FAILED, text=text, remedy=remedy, figures=figures)
    seen = [n for n, share in enumerate(shares, start=1) if share > _NOTHING]
    if len(seen) == 1 and shares[seen[0] - 1] < _ON_PHASE:
        return [], _unsure(device, "phases", text, "repeat it in a quieter hour", figures)
    return seen, Finding(device=device, check="phases", result=Result.PASSED, text=text, figures=figures)


def _against(grid: str, lines: list[int]) -> str:
    """Name why phases answer the wrong way round."""
    names = " and ".join(f"L{n}" for n in lines)
    if len(lines) == 2:
        return (
            f"the current transformers of {names} of {grid} have changed places (each current belongs to the voltage "
            "of its own phase), or both are reversed"
        )
    return f"the current transformer of {names} of {grid} is reversed: turn it round, or swap its two wires"


def _battery_fault(device: str, grid: str, seen: tuple[float, float, float], apart: float) -> tuple[str, str]:
    """Return the device at fault ("" when none is) and the remedy ("" when all is well).

    Args:
        device: The battery.
        grid: The meter.
        seen: Of each watt ordered what battery, inverter and grid meter show.
        apart: How far the meter's answers are from each other.
    """
    battery, inverter, answer = seen
    fine = [_within(one, _OBEYED) for one in (battery, inverter, answer)]
    if all(fine) and abs(answer - inverter) <= _ALIKE:
        return "", ""
    if all(one < -0.5 for one in (battery, inverter, answer)):
        return (
            device,
            f"the battery does the opposite of what it is told: {device}'s profile orders it the wrong way round",
        )
    if max(battery, inverter, answer) < 2 * min(battery, inverter, answer) and (name := factor_name(answer)):
        return device, f"the orders of {device}'s profile are {name}"
    if max(map(abs, (battery, inverter, answer))) < _NOTHING:
        remedy = f"{device} takes the order but does not follow: allow control by Modbus in its own menu"
        return device, remedy
    if fine.count(True) < 2:
        return "", "the battery follows only in part: look at its charge, temperature and own limits, and repeat it"
    if not fine[0]:
        return device, _value_fault(device, "battery_sign", "battery power", battery)
    if not fine[1]:
        return device, _value_fault(device, "sign", "AC power", inverter)
    if abs(answer) < _NOTHING and not (apart <= _SURE * abs(answer) and factor_name(abs(answer))):
        return grid, f"{grid} does not see the battery: it must measure the whole home at the grid connection"
    if answer > 0 and not factor_name(answer, _SLACK):
        return (
            "",
            "the meter shows neither all of it nor a power of ten: repeat it in a quieter hour, with more --power-w",
        )
    return grid, _value_fault(grid, "sign", "power", answer)


def _value_fault(device: str, setting: str, what: str, ratio: float) -> str:
    name = factor_name(abs(ratio), _SLACK)
    if ratio < 0 and not name:
        return f"set `{setting}: -1` on {device}"
    turned = f" and reversed (`{setting}: -1`)" if ratio < 0 else ""
    return f"the {what} of {device} is {name or f'wrong by a factor of {ratio:.2f}'}{turned}"


def _move(old: Level, new: Level) -> Move:
    def change(power: Callable[[Flows], float | None]) -> float | None:
        before, after = old.median(power), new.median(power)
        return None if before is None or after is None else after - before

    grid_w, known_w = change(lambda one: one.grid_w), change(lambda one: one.consumers_w)
    return Move(
        ordered_w=new.order_w - old.order_w,
        battery_w=change(lambda one: one.battery_w),
        inverter_w=change(lambda one: one.inverter_w),
        grid_w=None if grid_w is None else grid_w - (known_w or 0.0),
        phase_w=tuple(change(_line(number)) for number in range(3)),
    )


def _line(number: int) -> Callable[[Flows], float | None]:
    return lambda flows: flows.phase_w[number]


def _phase(number: int) -> Callable[[Move], float | None]:
    return lambda move: move.phase_w[number]


def _ratios(
    found: Sequence[Move], above: Callable[[Move], float | None], below: Callable[[Move], float | None]
) -> list[float]:
    pairs = [(above(move), below(move)) for move in found]
    return [high / low for high, low in pairs if high is not None and low]


def _apart(values: Sequence[float]) -> float:
    middle = median(values)
    return median(abs(one - middle) for one in values)


def _within(value: float, band: tuple[float, float]) -> bool:
    return band[0] <= value <= band[1]


def _unsure(device: str, check: str, text: str, remedy: str, figures: dict[str, float]) -> Finding:
    result, needed = Result.INCONCLUSIVE, check == "ramp"
    return Finding(device=device, check=check, result=result, text=text, remedy=remedy, needed=needed, figures=figures)
