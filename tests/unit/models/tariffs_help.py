"""Local times and tariffs, written shortly."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from hearth_core.config import parse_yaml
from hearth_core.tariff import Tariff
from hearth_models.arrays import FloatArray

BERLIN = "Europe/Berlin"


def steps(local: str, n: int, step_s: int = 3600, timezone: str = BERLIN) -> FloatArray:
    """Return beginnings of steps from a local time on, shape (n,) [s]."""
    start_s = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(timezone)).timestamp()
    return start_s + step_s * np.arange(n, dtype=np.float64)


def tariff_of(text: str) -> Tariff:
    """Read a tariff."""
    return parse_yaml(text, "tariff.yaml", Tariff)
