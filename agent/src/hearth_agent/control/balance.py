"""Does the home's energy balance still close? What contradicts it long enough takes control away.

Every look is cheap and pure. Looks are averaged over a minute, because devices are not read at the same instant; each
minute every check says whether it is contradicted, and a check that is contradicted for minutes is a breach. Minutes
that do not contradict take little of the evidence away, because most wrong signs show only now and then.
The checks ask for contradictions that no load can explain: a home may consume what it likes, but never less than 0.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import msgspec

from hearth_agent.control.charge_balance import Charge, follow_charge
from hearth_agent.control.flows import Flows, mean_of
from hearth_agent.control.phases import PHASE_V

_MINUTE_S = 60.0
_FORGET = 0.5
"""How much of its evidence a check loses in a minute without contradiction [min]."""
# losses of a hybrid inverter: conversion, and what its electronics draw
_LOSS_SHARE, _OWN_USE_W = 0.06, 60.0
_NO_SUCH_POWER_FACTOR = 1.15
_LEAST_POWER_FACTOR = 0.15
_LEAST_VA = 1000.0
_MOST_OF_FUSE = 3.0
_STEP_W = 400.0
_STEPS, _STEPS_WRONG = 15, 12
_WRONG_WAY, _TOO_MUCH, _APART = 0.4, 2.5, 0.5
_STIFF_W = 60.0


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the home beforehand."""

    tolerance_w: float = 150.0
    tolerance_share: float = 0.08
    unmetered_pv_w: float = 0.0
    minutes: float = 8.0
    phases: int = 3
    main_fuse_a: float = 35.0
    capacity_wh: float | None = None
    inverter_share: float = 1.0
    """Largest share of the producers' power that can flow on one phase: 1/3 when they were proved to feed all three."""

    def tolerance(self, *powers_w: float) -> float:
        """Return how far a sum of these powers may be from where it belongs [W]."""
        return self.tolerance_w + self.tolerance_share * max(map(abs, powers_w))


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction that lasted."""

    check: str
    text: str
    """What is seen, with figures."""
    concerns: str
    """``all``, ``store`` (hybrid inverter or battery) or ``charger``: whose control cannot be trusted."""


class Answer(NamedTuple):
    """What the grid meter showed less when the producers delivered 1 W more, in all and on each phase [1]."""

    whole: float
    phases: tuple[float, ...]


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor remembers from look to look."""

    looks: tuple[Flows, ...] = ()
    minute: Flows | None = None
    """The minute before."""
    evidence: dict[str, float] = {}
    """Minutes of contradiction by check."""
    answers: tuple[Answer, ...] = ()
    """How the grid answered the last steps of the producers."""
    charge: Charge = Charge()


def look(bounds: Bounds, balance: Balance, flows: Flows) -> tuple[Balance, list[Breach]]:
    """Take one look at the home.

    Returns:
        What to remember, and the breaches that have enough evidence now.
    """
    if flows.grid_w is None or flows.inverter_w is None:
        return balance, []
    first_s = balance.looks[0].at_s if balance.looks else flows.at_s
    if flows.at_s - first_s < _MINUTE_S:
        return msgspec.structs.replace(balance, looks=(*balance.looks, flows)), []
    minute = mean_of(balance.looks)
    charge, charge_text = follow_charge(balance.charge, minute, bounds.capacity_wh)
    answers = _answers(balance, minute, bounds.phases)
    evidence, breaches = dict(balance.evidence), []
    for name, (check, concerns) in _CHECKS.items():
        text = check(bounds, minute)
        minutes = evidence.get(name, 0.0)
        evidence[name] = minutes = min(minutes + 1.0, bounds.minutes) if text else max(minutes - _FORGET, 0.0)
        if text and minutes >= bounds.minutes:
            breaches.append(Breach(check=name, text=text, concerns=concerns))
    if charge_text:
        breaches.append(Breach(check="soc", text=charge_text, concerns="store"))
    if step_text := _steps_text(answers):
        breaches.append(Breach(check="steps", text=step_text, concerns="all"))
    return Balance(looks=(flows,), minute=minute, evidence=evidence, answers=answers, charge=charge), breaches


def load_text(bounds: Bounds, flows: Flows) -> str:
    """Contradiction: the house would consume less than nothing."""
    load_w, grid_w, inverter_w = flows.load_w, flows.grid_w, flows.inverter_w
    if load_w is None or grid_w is None or inverter_w is None:
        return ""
    if load_w >= -bounds.tolerance(grid_w, inverter_w) - bounds.unmetered_pv_w:
        return ""
    return f"the house would consume {load_w:.0f} W (grid {grid_w:.0f} W, inverter {inverter_w:.0f} W)"


def consumers_text(bounds: Bounds, flows: Flows) -> str:
    """Contradiction: consumers draw more than the whole house."""
    load_w, grid_w, inverter_w = flows.load_w, flows.grid_w, flows.inverter_w
    if load_w is None or grid_w is None or inverter_w is None or load_text(bounds, flows):
        return ""
    slack_w = bounds.tolerance(grid_w, inverter_w, flows.consumers_w) + bounds.unmetered_pv_w
    if load_w - flows.consumers_w >= -slack_w:
        return ""
    return f"charger and other consumers draw {flows.consumers_w:.0f} W, the whole house {load_w:.0f} W"


def inverter_text(bounds: Bounds, flows: Flows) -> str:
    """Contradiction: the inverter's AC power is not PV plus battery less its losses."""
    dc_w, ac_w = flows.dc_w, flows.inverter_w
    if dc_w is None or ac_w is None:
        return ""
    flowing_w = max(abs(flows.pv_w or 0.0), abs(flows.battery_w or 0.0), abs(ac_w))
    slack_w = bounds.tolerance(flowing_w)
    if -slack_w - _LOSS_SHARE * flowing_w - _OWN_USE_W <= ac_w - dc_w <= slack_w:
        return ""
    return f"the inverter delivers {ac_w:.0f} W, its PV {flows.pv_w:.0f} W and battery {flows.battery_w:.0f} W"


def reversed_phases(bounds: Bounds, flows: Flows) -> list[int]:
    """Return the phases (from 1) that feed out more than anything in the home can deliver to them."""
    if flows.inverter_w is None:
        return []
    most_w = max(flows.inverter_w, 0.0) * bounds.inverter_share + bounds.unmetered_pv_w
    known = [(n, w) for n, w in enumerate(flows.phase_w[: bounds.phases], start=1) if w is not None]
    return [n for n, w in known if w < -most_w - bounds.tolerance(w, flows.inverter_w)]


def phases_text(bounds: Bounds, flows: Flows) -> str:
    """Contradiction: a phase feeds out what nobody produces."""
    wrong = reversed_phases(bounds, flows)
    if not wrong:
        return ""
    seen = ", ".join(f"L{n} {flows.phase_w[n - 1]:.0f} W" for n in wrong)
    return f"{seen}, while the inverter delivers {flows.inverter_w:.0f} W in all"


def apparent_text(bounds: Bounds, flows: Flows) -> str:
    """Contradiction: a phase's power is more than voltage times current, or hardly any of it."""
    idle = abs(flows.inverter_w or 0.0) < _LEAST_VA / 10
    for n, (power_w, va) in enumerate(zip(flows.phase_w, flows.phase_va, strict=True), start=1):
        if power_w is None or va is None:
            continue
        if abs(power_w) > _NO_SUCH_POWER_FACTOR * va + bounds.tolerance_w:
            return f"L{n} shows {power_w:.0f} W, but voltage times current is {va:.0f} VA"
        if idle and va > _LEAST_VA and abs(power_w) < _LEAST_POWER_FACTOR * va:
            return f"L{n} shows {power_w:.0f} W, but voltage times current is {va:.0f} VA"
    return ""


def fuse_text(bounds: Bounds, flows: Flows) -> str:
    """Contradiction: more flows than any fuse lets pass for minutes."""
    most_w = _MOST_OF_FUSE * bounds.main_fuse_a * bounds.phases * PHASE_V
    if flows.grid_w is None or abs(flows.grid_w) <= most_w:
        return ""
    return f"the grid meter shows {flows.grid_w:.0f} W on a main fuse of {bounds.main_fuse_a:g} A"


def _answers(balance: Balance, minute: Flows, phases: int) -> tuple[Answer, ...]:
    """Follow how the grid answers when the sun's power steps while the battery stands still."""
    before = balance.minute
    if before is None:
        return balance.answers
    step_w = (minute.inverter_w or 0.0) - (before.inverter_w or 0.0)
    moved_w = abs((minute.battery_w or 0.0) - (before.battery_w or 0.0))
    if abs(step_w) < _STEP_W or moved_w > _STIFF_W or minute.at_s - before.at_s > 3 * _MINUTE_S:
        return balance.answers
    known_w = minute.consumers_w - before.consumers_w
    whole = ((before.grid_w or 0.0) - (minute.grid_w or 0.0) + known_w) / step_w
    pairs = list(zip(before.phase_w, minute.phase_w, strict=True))[:phases]
    each = tuple((old - new) / step_w for old, new in pairs if old is not None and new is not None)
    return (*balance.answers, Answer(whole, each if len(each) == phases else ()))[-_STEPS:]


def _steps_text(answers: tuple[Answer, ...]) -> str:
    """Contradiction: the grid, or one phase of it, answers the wrong way round, or by far too much.

    By too little proves nothing: a heater that takes the surplus does the same.
    """
    if len(answers) < _STEPS:
        return ""
    whole = [one.whole for one in answers]
    if _agree([-one for one in whole], _WRONG_WAY) or _agree(whole, _TOO_MUCH):
        return f"when the inverter delivers 1 W more, the grid meter shows {median(whole):.2f} W less instead of 1"
    for number in range(min(len(one.phases) for one in answers)):
        each = [-one.phases[number] for one in answers]
        if _agree(each, _WRONG_WAY / 3):
            return (
                f"when the inverter delivers 1 W more, L{number + 1} of the grid meter shows {median(each):.2f} W more"
            )
    return ""


def _agree(values: list[float], lowest: float) -> bool:
    """Tell whether most values are above a bound, and near enough to each other not to be the load's doing."""
    middle = median(values)
    apart = median(abs(one - middle) for one in values)
    return sum(one > lowest for one in values) >= _STEPS_WRONG and apart <= _APART * middle


Check = Callable[[Bounds, Flows], str]
_CHECKS: dict[str, tuple[Check, str]] = {
    "load": (load_text, "all"),
    "consumers": (consumers_text, "charger"),
    "inverter": (inverter_text, "store"),
    "phases": (phases_text, "all"),
    "apparent power": (apparent_text, "all"),
    "fuse": (fuse_text, "all"),
}
