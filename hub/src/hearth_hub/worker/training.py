"""Train a home's models in a process of their own, so that learning never delays a plan."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from hearth_core.errors import PermanentError
from hearth_core.messages import ModelCard, ModelDelivery, Target
from hearth_hub.database.pool import Connection
from hearth_hub.homes.repository import Home
from hearth_hub.readings import repository as readings
from hearth_hub.readings.service import history
from hearth_hub.registry import repository as registry
from hearth_hub.timing import instant_s
from hearth_models.arrays import FloatArray

_FEWEST_DAYS = 14
_MOST_DAYS = 120
_DELIVERED_DAYS = 15
_HOUR_OF_DAY = time(2)
_DEADLINE_S = 600.0  # of real time; a Raspberry Pi 4 needs about a minute


class Task(msgspec.Struct, frozen=True):
    """What the child is given on stdin."""

    target: Target
    start_s: float
    step_s: int
    power_w: list[float | None]
    timezone: str
    latitude: float
    longitude: float
    now_ms: int


class Result(msgspec.Struct, frozen=True):
    """What the child answers on stdout."""

    card: ModelCard
    onnx: bytes


async def is_due(connection: Connection, home: Home, now_s: float) -> bool:
    """Tell whether models should be trained: the first ones after two weeks, then daily at two in the morning."""
    known = await readings.first_and_last(connection, home.id)
    now = instant_s(now_s)
    if home.site is None or known is None or known[1] - known[0] < timedelta(days=_FEWEST_DAYS):
        return False
    if now - known[1] > timedelta(days=1):
        return False  # history is still being loaded, or the home is gone
    made_at = await registry.last_made(connection, home.id)
    return made_at is None or made_at < _last_training_hour(now, home.site.timezone)


def _last_training_hour(now: datetime, timezone: str) -> datetime:
    local = now.astimezone(ZoneInfo(timezone))
    today = datetime.combine(local.date(), _HOUR_OF_DAY, local.tzinfo)
    return today if today <= local else datetime.combine(local.date() - timedelta(days=1), _HOUR_OF_DAY, local.tzinfo)


async def train_home(connection: Connection, home: Home, now_s: float) -> list[ModelDelivery]:
    """Train and store both models of a home.

    Raises:
        PermanentError: A child failed; the message says why.
    """
    if home.site is None:
        return []
    deliveries = []
    for target, past in zip((Target.LOAD, Target.PV), await history(connection, home, now_s, _MOST_DAYS), strict=True):
        if not np.isfinite(past.power_w).any():
            continue  # a home without PV
        site = home.site
        task = Task(
            target=target,
            start_s=past.start_s,
            step_s=past.step_s,
            power_w=_listed(past.power_w),
            timezone=site.timezone,
            latitude=site.latitude,
            longitude=site.longitude,
            now_ms=int(now_s * 1000),
        )
        result = await _in_child(task)
        await registry.store(connection, home.id, instant_s(now_s), result.card, result.onnx)
        deliveries.append(await delivery(connection, home, result.card, result.onnx, now_s))
    return deliveries


async def latest_deliveries(connection: Connection, home: Home, now_s: float) -> list[ModelDelivery]:
    """Return the newest models of a home, with fresh history, ready to be told again."""
    found = [await registry.latest(connection, home.id, target) for target in Target]
    return [await delivery(connection, home, *one, now_s) for one in found if one is not None]


async def delivery(connection: Connection, home: Home, card: ModelCard, onnx: bytes, now_s: float) -> ModelDelivery:
    """Pack a model with the history it starts from."""
    past = await history(connection, home, now_s, _DELIVERED_DAYS)
    series = past[0] if card.target is Target.LOAD else past[1]
    return ModelDelivery(
        home=home.agent,
        issued_ms=int(now_s * 1000),
        card=card,
        onnx=onnx,
        history_start_ms=int(series.start_s * 1000),
        history_w=_listed(np.round(series.power_w, 1)),
    )


def _listed(power_w: FloatArray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in power_w]


async def _in_child(task: Task) -> Result:
    environment: Mapping[str, str] = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hearth_hub.worker.training_child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,  # Ctrl-C is for us; we end the child
    )
    try:
        answer, said = await asyncio.wait_for(child.communicate(msgspec.json.encode(task)), _DEADLINE_S)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or [f"ended with {child.returncode}"]
        raise PermanentError(f"training {task.target}: {last[0]}")
    return msgspec.json.decode(answer, type=Result)
