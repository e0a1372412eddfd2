"""How right the forecasts were, and what was expected a day ahead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from hearth_core.messages import Target
from hearth_hub.database.pool import Connection
from hearth_hub.forecasts import repository
from hearth_hub.homes.repository import Home
from hearth_hub.timing import instant, milliseconds

_STEP_S = 900
_DAYS = 14


@dataclass(frozen=True)
class Accuracy:
    """Errors of one target over a span; skill = 1 - error / error of the seasonal-naive forecast."""

    steps: int = 0
    mae_w: float | None = None
    skill: float | None = None


async def accuracy(connection: Connection, home: Home, start: datetime, end: datetime) -> dict[str, Accuracy]:
    """Return how right the day-ahead forecasts of load and PV were."""
    found = {str(target): Accuracy() for target in Target}
    for target, steps, error_w, naive_error_w in await repository.compared(connection, home.id, start, end):
        skill = None if not naive_error_w else round(1 - error_w / naive_error_w, 4)
        found[target] = Accuracy(steps, round(error_w, 1), skill)
    return found


async def recent_accuracy(connection: Connection, home: Home, at: datetime) -> dict[str, float | int | None]:
    """Return the accuracy of the last two weeks, as the API shows it."""
    found = await accuracy(connection, home, at - timedelta(days=_DAYS), at)
    load, pv = found[Target.LOAD], found[Target.PV]
    return {
        "load_skill": load.skill,
        "pv_skill": pv.skill,
        "load_mae_w": load.mae_w,
        "pv_mae_w": pv.mae_w,
        "days": round(max(load.steps, pv.steps) * _STEP_S / 86_400, 2),
    }


async def past(connection: Connection, home: Home, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Return what was expected of a span a day ahead, columnar in quarter-hours; NaN where nothing was."""
    start_ms = start_ms // (_STEP_S * 1000) * _STEP_S * 1000
    n_steps = -((start_ms - end_ms) // (_STEP_S * 1000))
    start = instant(start_ms)
    columns = {str(target): np.full(n_steps, np.nan) for target in Target}
    for target, at, p50_w, _ in await repository.expected(connection, home.id, start, instant(end_ms)):
        columns[target][(milliseconds(at) - start_ms) // (_STEP_S * 1000)] = p50_w
    return {
        "start_ms": start_ms,
        "step_s": _STEP_S,
        "load_p50_w": np.round(columns[Target.LOAD], 1),
        "pv_p50_w": np.round(columns[Target.PV], 1),
    }
