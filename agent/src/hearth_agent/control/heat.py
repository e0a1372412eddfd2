"""Heaters: what they are wished, unless that would hurt the machine, the water or the people.

Blocked is never for long, never in a legionella window and never below the comfort floor; modes dwell and starts are
counted. Only a fuse that is really overloaded and the grid operator stand above that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hearth_agent.control import caps
from hearth_agent.control.house import Heater, House
from hearth_agent.control.orders import Cause, HeatCommand, HeaterReading, HeaterState, Measurements, Reason, State
from hearth_agent.control.phases import CLAIM_S, PHASE_V, SPARE_A, Currents, Danger, Room, room, since
from hearth_core.messages import HeatMode

_RANK = {HeatMode.BLOCKED: 0, HeatMode.NORMAL: 1, HeatMode.RECOMMENDED: 2, HeatMode.FORCED: 3}
_HOUR_S = 3600.0
_POWER_SPACING_S = 30.0
"""Shortest time between two powers of a heater that takes any."""
_ROOMY_S = 60.0


class HeatWish(NamedTuple):
    """What plan or owner ask of a heater; None leaves it to the heater."""

    command: HeatCommand
    reason: Reason


class Heated(NamedTuple):
    """The result for all heaters."""

    commands: dict[str, HeatCommand]
    states: dict[str, HeaterState]
    causes: dict[str, Reason]


def steer_heaters(
    house: House,
    state: State,
    measured: Measurements,
    amps: Currents,
    danger: Danger,
    wishes: Mapping[str, HeatWish],
    protected: Mapping[str, str],
    moved_a: Sequence[float],
    claims_a: Sequence[float],
    budget_w: float | None,
    tick_s: float,
) -> Heated:
    """Decide what each heater is told.

    Args:
        house: Heaters and limits.
        state: What the step before left.
        measured: What meter and heaters tell.
        amps: The phases.
        danger: Whether something has to give way.
        wishes: By heater.
        protected: Why a heater may not be blocked by a wish now, by heater; others are left out.
        moved_a: What the cars will carry more (or less) than the meter tells, on each line [A].
        claims_a: What all were allowed lately and do not draw yet, on each line [A].
        budget_w: What the grid operator leaves for heaters; None is no limit [W].
        tick_s: Seconds of a clock that never goes back.
    """
    heated = Heated({}, {}, {})
    within, free = room(house, amps), room(house, amps, spare_a=SPARE_A, claims_a=claims_a)
    for line, by_a in enumerate(moved_a):
        within.take((line,), by_a)
    roomy = state.roomy_since_s is not None and tick_s - state.roomy_since_s >= _ROOMY_S
    for heater in house.heaters:
        now, reading = state.heater(heater.id), measured.heater(heater.id)
        why = protected.get(heater.id) or _needs_heat(heater, now, reading, tick_s)
        drawn_w = draw_w(heater, now, reading)
        wish = _spared(wishes[heater.id], why)
        wish = _in_time(heater, now, wish, tick_s)
        wish = _affordable(heater, wish, budget_w)
        seeing = measured.grid_w is not None
        own_a = claim_w(heater, now, reading, tick_s) / PHASE_V / len(heater.lines)
        free.claim(heater.lines, -own_a)
        off = danger.over and drawn_w > 0 and any(within.amps[line] > within.most_a for line in heater.lines)
        wish = _below_fuse(
            heater, now, wish, free, danger, reading.power_w or 0.0, seeing=seeing, roomy=roomy, must=bool(why), off=off
        )
        changed = _remembered(heater, now, wish.command, tick_s)
        within.take(heater.lines, min(_most_w(heater, wish.command) - drawn_w, 0.0) / PHASE_V / len(heater.lines))
        free.claim(heater.lines, claim_w(heater, changed, reading, tick_s) / PHASE_V / len(heater.lines))
        if budget_w is not None:
            budget_w -= min(drawn_w, _most_w(heater, wish.command))
        heated.commands[heater.id], heated.states[heater.id] = wish.command, changed
        heated.causes[heater.id] = wish.reason
    return heated


def draw_w(heater: Heater, state: HeaterState, reading: HeaterReading) -> float:
    """Return what a heater draws; where it does not tell, the most its order allows [W]."""
    return _most_w(heater, state.command) if reading.power_w is None else max(0.0, reading.power_w)


def claim_w(heater: Heater, state: HeaterState, reading: HeaterReading, tick_s: float) -> float:
    """Return what a heater was allowed lately and does not draw yet [W]."""
    if tick_s - state.raised_s >= CLAIM_S:
        return 0.0
    return max(0.0, _most_w(heater, state.command) - (reading.power_w or 0.0))


def _needs_heat(heater: Heater, state: HeaterState, reading: HeaterReading, tick_s: float) -> str:
    """Say why it may not be blocked now; empty when it may."""
    if heater.floor_c is not None and (reading.temperature_c is None or reading.temperature_c < heater.floor_c):
        return "not blocked: it is colder than the comfort floor, or nobody knows"
    if tick_s < state.rest_until_s:
        return "not blocked again so soon"
    if state.blocked_since_s is not None and tick_s - state.blocked_since_s >= heater.longest_block_s:
        return "was blocked for as long as it may be"
    return ""


def _spared(wish: HeatWish, why: str) -> HeatWish:
    """Leave a heater to itself that may not be held back."""
    if why and _rank(wish.command) < _rank(None):
        return HeatWish(None, Reason(Cause.DEVICE, why))
    return wish


def _in_time(heater: Heater, state: HeaterState, wish: HeatWish, tick_s: float) -> HeatWish:
    """Keep dwell, starts an hour and the daily budget."""
    if wish.command == state.command:
        return wish
    if tick_s - state.changed_s < (_POWER_SPACING_S if heater.has_power else heater.dwell_s):
        return HeatWish(state.command, Reason(Cause.DEVICE, "keeps its mode for a while"))
    starts = sum(tick_s - at_s < _HOUR_S for at_s in state.starts_s)
    # a block needs a start as well: it must be possible to end it
    needs_start = not heater.has_power and (_rank(wish.command) > _rank(state.command) or _rank(wish.command) == 0)
    if needs_start and starts >= heater.starts_per_hour:
        return HeatWish(state.command, Reason(Cause.DEVICE, "was started as often as it may be in an hour"))
    gives_back = wish.command is None
    if not gives_back and not caps.has(state.switches, 1, caps.SWITCHES_PER_DAY, tick_s):
        return HeatWish(state.command, Reason(Cause.DEVICE, "was switched too often today"))
    return wish


def _affordable(heater: Heater, wish: HeatWish, budget_w: float | None) -> HeatWish:
    """Cut to what the grid operator leaves."""
    if budget_w is None or _most_w(heater, wish.command) <= budget_w:
        return wish
    command: HeatCommand = max(budget_w, 0.0) if heater.has_power else HeatMode.BLOCKED
    return HeatWish(command, Reason(Cause.GRID, f"held back: the grid operator leaves {budget_w:.0f} W"))


def _below_fuse(
    heater: Heater,
    state: HeaterState,
    wish: HeatWish,
    free: Room,
    danger: Danger,
    drawn_w: float,
    *,
    seeing: bool,
    roomy: bool,
    must: bool,
    off: bool,
) -> HeatWish:
    """Hold back what the phases cannot carry; blind, only as long as nobody freezes."""
    nothing: HeatCommand = 0.0 if heater.has_power else HeatMode.BLOCKED
    if danger.blind and not must:
        return HeatWish(nothing, Reason(Cause.METER, "held back: the grid meter is missing"))
    if off:
        return HeatWish(nothing, Reason(Cause.FUSE, "gives way: a phase is above the main fuse"))
    if danger.blind:  # back to its own mode and no further
        unseen = Reason(Cause.METER, "not driven: the grid meter is missing")
        return wish if _rank(wish.command) <= _rank(None) else HeatWish(None, unseen)
    if _rank(wish.command) <= _rank(state.command):
        return wish
    if not seeing:
        return HeatWish(state.command, Reason(Cause.METER, "waits for the grid meter"))
    more_a = (_most_w(heater, wish.command) - drawn_w) / PHASE_V / len(heater.lines)
    calm = roomy or _rank(state.command) > 0
    if calm and (more_a <= 0 or free.fits(heater.lines, more_a)):
        return wish
    return HeatWish(state.command, Reason(Cause.FUSE, "waits for room below the main fuse"))


def _remembered(heater: Heater, state: HeaterState, command: HeatCommand, tick_s: float) -> HeaterState:
    """Note what changed."""
    if command == state.command:
        return state
    raised, blocks = _rank(command) > _rank(state.command), _rank(command) == 0
    starts = raised and not heater.has_power
    rest_s = state.rest_until_s
    if not blocks and state.blocked_since_s is not None:
        rest_s = tick_s + (tick_s - state.blocked_since_s) / 2
    return HeaterState(
        command=command,
        changed_s=tick_s,
        blocked_since_s=since(state.blocked_since_s, tick_s, holds=blocks and not heater.has_power),
        raised_s=tick_s if raised else state.raised_s,
        starts_s=(*(at_s for at_s in state.starts_s if tick_s - at_s < _HOUR_S), *((tick_s,) if starts else ())),
        rest_until_s=rest_s,
        switches=caps.spent(state.switches, 1, caps.SWITCHES_PER_DAY, tick_s),
    )


def _rank(command: HeatCommand) -> float:
    """Order commands by how much they let a heater draw; its own mode counts as normal."""
    if command is None:
        return 1.0
    if isinstance(command, HeatMode):
        return float(_RANK[command])
    return command / (command + 1_000.0)


def _most_w(heater: Heater, command: HeatCommand) -> float:
    """Return the most a heater draws under a command [W]."""
    if isinstance(command, float):
        return command
    return 0.0 if command is HeatMode.BLOCKED else heater.rated_w
