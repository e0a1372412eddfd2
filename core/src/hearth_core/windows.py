"""When a price holds: hours of the local day, weekdays, months. Public holidays are not known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations, pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

DAY_MIN = 1440
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")


class Day(StrEnum):
    """A day of the week, or several."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"
    WEEKDAYS = "weekdays"
    WEEKENDS = "weekends"


_SINGLE = tuple(Day)[:7]
_GROUPS = {Day.WEEKDAYS: frozenset(range(5)), Day.WEEKENDS: frozenset((5, 6))}


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Hours on certain days in certain months; what is left out is not limited.

    Hours such as 22:00-06:00 pass midnight; their days are those of the clock: on ``mon``, 00:00-06:00 and 22:00-24:00.
    """

    name: str = ""
    hours: tuple[str, ...] = ()
    days: tuple[Day, ...] = ()
    months: tuple[Annotated[int, Meta(ge=1, le=12)], ...] = ()
    quarters: tuple[Annotated[int, Meta(ge=1, le=4)], ...] = ()

    def __post_init__(self) -> None:
        for number, text in enumerate(self.hours):
            if (span := _span_min(text)) is None or span[0] == span[1]:
                msg = f"hours[{number}]: {text!r} is no span of a day; write 06:00-22:00, at most 24:00"
                raise ValueError(msg)
        if _overlap(self.spans_min):
            msg = f"hours: {', '.join(self.hours)} overlap; name each minute once"
            raise ValueError(msg)
        if self.months and self.quarters:
            msg = "quarters: give either them or months"
            raise ValueError(msg)

    @property
    def spans_min(self) -> list[tuple[int, int]]:
        """Begin and end of each span of a day, none of which passes midnight [min]."""
        spans: list[tuple[int, int]] = []
        for text in self.hours:
            begin, end = _span_min(text) or (0, 0)
            spans += [(begin, end)] if begin < end else [(begin, DAY_MIN), (0, end)]
        return [span for span in spans if span[0] < span[1]] or [(0, DAY_MIN)]

    @property
    def weekdays(self) -> frozenset[int]:
        """Days of the week, 0 Monday .. 6 Sunday."""
        found = (_GROUPS.get(day) or frozenset((_SINGLE.index(day),)) for day in self.days)
        return frozenset().union(*found) or frozenset(range(7))

    @property
    def calendar_months(self) -> frozenset[int]:
        """Months, 1 January .. 12 December."""
        by_quarter = {3 * quarter - back for quarter in self.quarters for back in range(3)}
        return frozenset(self.months) | by_quarter or frozenset(range(1, 13))


class PricedWindow(Window, frozen=True, kw_only=True):
    """A window with a price of its own."""

    eur_per_kwh: Annotated[float, Meta(ge=-1, le=2)]


def check_windows(field: str, windows: Sequence[Window], *, outside: str = "", has_outside: bool = True) -> None:
    """Refuse windows that overlap, or leave time without a price.

    Args:
        field: Where they stand.
        windows: The windows of one price.
        outside: The field that says what holds outside all windows.
        has_outside: Whether it is given.

    Raises:
        ValueError: Begins with the field.
    """
    for (first, one), (second, other) in combinations(enumerate(windows), 2):
        same_days = one.weekdays & other.weekdays and one.calendar_months & other.calendar_months
        if same_days and _overlap([*one.spans_min, *other.spans_min]):
            msg = f"{field}[{second}]: overlaps {field}[{first}]; at each time one window may hold"
            raise ValueError(msg)
    if has_outside:
        return
    minutes = sum(
        (end - begin) * len(window.weekdays) * len(window.calendar_months)
        for window in windows
        for begin, end in window.spans_min
    )
    if minutes < 12 * 7 * DAY_MIN:
        msg = f"{outside}: must be given, for {field} do not cover all time"
        raise ValueError(msg)


def _span_min(text: str) -> tuple[int, int] | None:
    match = _HOURS.fullmatch(text)
    if match is None:
        return None
    begin_h, begin_min, end_h, end_min = map(int, match.groups())
    begin, end = 60 * begin_h + begin_min, 60 * end_h + end_min
    return (begin, end) if begin_min < 60 and end_min < 60 and begin < DAY_MIN and end <= DAY_MIN else None


def _overlap(spans: list[tuple[int, int]]) -> bool:
    in_order = sorted(spans)
    return any(begin < end for (_, end), (begin, _) in pairwise(in_order))
