"""A load that can be held back: what it was not given it wants later."""

from __future__ import annotations

import math


class DeferrableLoad:
    """The EV or the heat pump: follows its recorded demand, and catches up on what a limit withheld."""

    def __init__(self, catch_up_w: float) -> None:
        """Make a load without backlog.

        Args:
            catch_up_w: Power while it catches up [W].
        """
        self.catch_up_w = catch_up_w
        self.backlog_wh = 0.0

    def power_w(self, demand_w: float, allowed_w: float) -> float:
        """Return what it draws now [W], given its recorded demand and what it is allowed [W]."""
        wanted_w = max(demand_w, self.catch_up_w) if self.backlog_wh > 0 else demand_w
        return min(wanted_w, allowed_w)

    def lasts_s(self, demand_w: float, power_w: float) -> float:
        """Return how long it can go on like this before the backlog is empty [s]."""
        if self.backlog_wh > 0 and power_w > demand_w:
            return self.backlog_wh * 3600 / (power_w - demand_w)
        return math.inf

    def run(self, demand_w: float, power_w: float, duration_s: float) -> None:
        """Book what it wanted and what it drew."""
        self.backlog_wh += (demand_w - power_w) * duration_s / 3600
        if self.backlog_wh < 1e-6:
            self.backlog_wh = 0.0
