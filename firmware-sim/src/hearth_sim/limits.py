"""Watches the house's electrical limits, as an honest witness of what the controller did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hearth_sim.electric import phase_at

_MOST_ENTRIES = 1000


@dataclass
class _Episode:
    since_s: float
    worst: float
    entry: dict[str, Any] | None = None


class LimitWatch:
    """Notes each time a limit is broken for longer than it may be, once an episode, with the worst value."""

    def __init__(self, fuse_a: float, export_limit_w: float | None, band_percent: tuple[float, float]) -> None:
        self.fuse_a, self.export_limit_w, self.band_percent = fuse_a, export_limit_w, band_percent
        self.broken: list[dict[str, Any]] = []
        self._episodes: dict[str, _Episode] = {}
        # below this power no phase can reach the fuse's current: spares the hot loop a square root
        self._surely_fine_w = fuse_a * 200.0

    def look(
        self, at_s: float, grid_w: tuple[float, float, float], export_w: float, soc_percent: float, car_a: float
    ) -> None:
        """Judge one moment: phase powers [W], export [W], state of charge [%], current the car draws [A]."""
        for number, power_w in enumerate(grid_w):
            name = f"main_fuse_l{number + 1}"
            if abs(power_w) > self._surely_fine_w:
                current_a = phase_at(at_s, number, power_w).current_a
                self._judge(name, at_s, current_a, current_a - self.fuse_a, 5.0)
            elif name in self._episodes:
                del self._episodes[name]
        if self.export_limit_w is not None:
            self._judge("export_limit", at_s, export_w, export_w - 1.02 * self.export_limit_w - 50, 60.0)
        low, high = self.band_percent
        outside = max(low - soc_percent, soc_percent - high)
        if outside > 0.05 or "soc_band" in self._episodes:
            self._judge("soc_band", at_s, soc_percent, outside - 0.05, 0.0)
        between = 0.5 < car_a < 5.5
        if between or "ev_current" in self._episodes:
            self._judge("ev_current", at_s, car_a, 1.0 if between else -1.0, 5.0)

    def _judge(self, name: str, at_s: float, value: float, excess: float, patience_s: float) -> None:
        """Follow one limit; an excess above 0 that lasts longer than the patience is a broken limit."""
        if excess <= 0:
            self._episodes.pop(name, None)
            return
        episode = self._episodes.setdefault(name, _Episode(at_s, value))
        if abs(value) > abs(episode.worst):
            episode.worst = value
            if episode.entry is not None:
                episode.entry["value"] = round(value, 3)
        if episode.entry is None and at_s - episode.since_s >= patience_s and len(self.broken) < _MOST_ENTRIES:
            episode.entry = {
                "limit": name,
                "at_ms": int(episode.since_s * 1000),
                "value": round(episode.worst, 3),
                "text": self._text(name),
            }
            self.broken.append(episode.entry)

    def _text(self, name: str) -> str:
        if name.startswith("main_fuse"):
            return f"current of phase {name[-2:].upper()} above {self.fuse_a:g} A for more than 5 s"
        if name == "export_limit":
            return f"export above {self.export_limit_w:g} W (+2 % and 50 W) for more than 60 s"
        if name == "soc_band":
            return f"state of charge outside {self.band_percent[0]:g}..{self.band_percent[1]:g} %"
        return "the car was charged with more than 0 and less than 6 A for more than 5 s"
