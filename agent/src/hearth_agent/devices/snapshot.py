"""The latest values of every device with their age: what the controller and the forecaster look at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Measured(NamedTuple):
    """Values of one device at one instant."""

    at_s: float
    """`Clock.monotonic` when the answer came [s]."""
    values: Mapping[str, float]


class Snapshot:
    """Holds, for each device, its last poll and its last refresh of the points that limits need."""

    def __init__(self) -> None:
        self._polled: dict[str, Measured] = {}
        self._refreshed: dict[str, Measured] = {}

    def poll(self, device: str, measured: Measured) -> None:
        """Take the result of a poll."""
        self._polled[device] = measured
        self._refreshed.pop(device, None)

    def refresh(self, device: str, measured: Measured) -> None:
        """Take the points that were read again between two polls."""
        self._refreshed[device] = measured

    def value(self, device: str | None, point: str, now_s: float, max_age_s: float) -> float | None:
        """Return a value that is not older than ``max_age_s``, else None (also for a device that is None)."""
        if device is None:
            return None
        for store in (self._refreshed, self._polled):
            measured = store.get(device)
            if measured is not None and point in measured.values:
                age_s = now_s - measured.at_s
                return measured.values[point] if age_s <= max_age_s else None
        return None
