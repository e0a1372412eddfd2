"""What commissioning found out about a device, and the names of the usual mistakes."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

from hearth_agent.proof import ProofCheck


class Result(StrEnum):
    """A check's outcome; one that could not be judged is never taken for a good one."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one device."""

    device: str
    check: str
    result: Result
    text: str
    """What was seen, with figures and units."""
    remedy: str = ""
    """What to do about it; needed unless it passed."""
    needed: bool = False
    """Without passing it there is no proof."""
    figures: dict[str, float] = {}

    @property
    def blocks(self) -> bool:
        """Whether it stands in the way of a proof."""
        return self.result is Result.FAILED or (self.needed and self.result is not Result.PASSED)

    def as_check(self) -> ProofCheck:
        """Return it as the proof keeps it."""
        figures = {name: round(value, 3) for name, value in self.figures.items()}
        return ProofCheck(check=self.check, result=str(self.result), text=self.text, figures=figures)


class Ramp(msgspec.Struct, frozen=True, kw_only=True):
    """What a test that moved a device found."""

    findings: list[Finding]
    phases: list[int] = []
    """The home's phases on which it showed; empty where that was not found."""


_FACTORS = {
    3: "a thousand times too much: looks like W read as kW, or a scale of 1000 too many",
    2: "a hundred times too much: looks like a scale of 0.01 left out",
    1: "ten times too much: looks like a scale of 0.1 left out, or the meter's current transformer ratio",
    -1: "ten times too little: looks like a scale of 10 left out, or the meter's current transformer ratio",
    -2: "a hundred times too little: looks like a scale of 100 left out",
    -3: "a thousand times too little: looks like kW read as W",
}


def factor_name(ratio: float, slack: float = 0.3) -> str:
    """Name a ratio of seen to expected that is a power of ten; "" when it is none, or 1.

    Args:
        ratio: Seen / expected.
        slack: How far the ratio may be from the power of ten, as a share.

    Example:
        >>> factor_name(0.00101)
        'a thousand times too little: looks like kW read as W'
    """
    if ratio <= 0:
        return ""
    power = round(math.log10(ratio))
    near = abs(ratio / 10.0**power - 1) <= slack
    return _FACTORS.get(power, "") if near else ""
