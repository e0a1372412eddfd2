"""How fast the demo's time may run: as asked, slower when the agent's control loop cannot keep up."""

from __future__ import annotations

from hearth_core.clock import ClockConductor

_SLOWER, _FASTER = 0.8, 1.05


class Pace:
    """Adapts the clock's speed to the lag the agent reports.

    A machine that is too slow must make the demo longer, not the control late: late control would be measured as
    broken limits and lost money that no real home would see.
    """

    def __init__(self, conductor: ClockConductor, speed: float, control_s: float) -> None:
        self._conductor, self._wanted, self._control_s = conductor, speed, control_s
        self._speed = speed

    def go(self) -> None:
        """Let time run."""
        self._conductor.set_speed(self._speed)

    def adapt(self, lag_s: float | None) -> None:
        """Take one step towards the speed at which the control loop is at most one period late."""
        if lag_s is None:
            return
        if lag_s > self._control_s:
            speed = max(1.0, self._speed * _SLOWER)
        elif lag_s < self._control_s / 2:
            speed = min(self._wanted, self._speed * _FASTER)
        else:
            return
        if speed != self._speed:
            self._speed = speed
            self._conductor.set_speed(speed)
