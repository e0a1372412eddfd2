"""One step's view of the cars: what each draws, what it is wished, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hearth_agent.control.house import Charger
from hearth_agent.control.orders import CarReading, CarState, Reason
from hearth_agent.control.phases import CLAIM_S, Room
from hearth_agent.control.sharing import Want

DRAWS_A = 1.0
"""Less is standby."""
TURN_S = 3600.0
"""So long a car may go on charging while another waits for its place."""
_DEAF_AFTER_S, _DEAF_BY_A = 20.0, 2.0


class Car(NamedTuple):
    """One controlled car in one step."""

    charger: Charger
    state: CarState
    lines: tuple[int, ...]
    """The lines of the house that it loads."""
    drawn_a: float | None
    limit_a: float
    """The most it may draw now."""
    target_a: float
    """What plan, owner or fallback would let it draw."""
    active: bool
    """It charges or would charge; the others keep their limit and take no share."""
    deaf: bool
    """It draws more than it was told, for long: what it draws cannot be moved."""
    reason: Reason

    @property
    def id(self) -> str:
        """The charger's name."""
        return self.charger.id

    @property
    def counted_a(self) -> float:
        """What the meter's value contains of it."""
        return 0.0 if self.deaf or self.drawn_a is None else self.drawn_a

    def want(self, most_a: float, *, least_a: float | None = None) -> Want:
        """Return it as a claim to a share."""
        return Want(self.id, self.lines, self.charger.min_a if least_a is None else least_a, most_a)


def car_of(
    charger: Charger, state: CarState, reading: CarReading, wish_a: float | None, reason: Reason, tick_s: float
) -> Car:
    """Put together what one step has to know of one car."""
    limit_a = most_a(charger, state)
    drawn_a = drawn(reading)
    target_a = charger.max_a if wish_a is None else wish_a
    young = tick_s - state.raised_s < CLAIM_S
    known = reading.wanting
    guess = drawn_a is None or drawn_a > DRAWS_A or young or limit_a <= 0
    active = known is not False and (known is True or guess)
    late = tick_s - state.changed_s >= _DEAF_AFTER_S
    deaf = drawn_a is not None and late and drawn_a > max(limit_a, DRAWS_A) + _DEAF_BY_A
    lines = lines_of(charger, state, reading)
    return Car(charger, state, lines, drawn_a, limit_a, target_a, active, deaf, reason)


def most_a(charger: Charger, state: CarState) -> float:
    """Return the most a car may draw under the limit in force [A]."""
    return charger.max_a if state.limit_a is None else min(state.limit_a, charger.max_a)


def lines_of(charger: Charger, state: CarState, reading: CarReading) -> tuple[int, ...]:
    """Return the lines it loads: one when it was switched so, or when it visibly charges on its first phase only."""
    if state.phases == 1:
        return charger.lines[:1]
    told = reading.line_a[: len(charger.lines)]
    first_only = len(told) > 1 and told[0] is not None and told[0] > DRAWS_A
    if first_only and all(one is not None and one <= DRAWS_A for one in told[1:]):
        return charger.lines[:1]
    return charger.lines


def in_turn(cars: Iterable[Car], tick_s: float) -> list[Car]:
    """Order cars: whoever charges within its turn, then who waits longest, then who has charged for long."""

    def key(car: Car) -> tuple[int, float, str]:
        charging = car.limit_a > 0
        since_s = car.state.switched_s
        rank = (0 if tick_s - since_s < TURN_S else 2) if charging else 1
        return rank, since_s, car.id

    return sorted(cars, key=key)


def without(room: Room, cars: Sequence[Car]) -> Room:
    """Take out of a room what these cars draw, so that it can be divided anew."""
    for car in cars:
        room.take(car.lines, -car.counted_a)
    return room


def allowance_a(car: Car, tick_s: float) -> float:
    """Return what has to be counted of a car: its draw, and its whole limit soon after it was raised."""
    if tick_s - car.state.raised_s < CLAIM_S:
        return max(car.limit_a, car.counted_a)
    return car.counted_a


def drawn(reading: CarReading) -> float | None:
    """Return the highest current a car draws; None where its charger does not tell [A]."""
    known = [one for one in reading.line_a if one is not None]
    if not known or reading.line_a[0] is None:
        return None
    return max(0.0, *known)
