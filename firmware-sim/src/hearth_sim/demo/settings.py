"""What a demo is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

AGENT = "konstanz"
HISTORY_WEEKS = 8
DEVICES = (
    ("grid", "eastron-sdm630", False),
    ("inverter", "sunspec-hybrid", True),
    ("charger", "go-e", True),
    ("heat-pump", "nibe-s-series", False),
)


@dataclass(frozen=True)
class DemoSettings:
    """One demo; without ``days`` it lives until it is interrupted."""

    state: Path
    start_s: float
    speed: float
    days: float | None
    headless: bool
    json_path: Path | None
    fresh: bool
    http_port: int
    seed: int
    control_s: float = 5.0
    poll_s: float = 10.0
    flush_s: float = 10.0
