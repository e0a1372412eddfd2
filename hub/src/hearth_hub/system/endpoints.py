"""GET /api/health and /api/clock."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from hearth_core.clock import now_ms
from hearth_hub.doors import DbConnection, TheClock
from hearth_hub.timing import speed_of

router = APIRouter(prefix="/api", tags=["system"])


class Health(BaseModel):
    """The API answers and its database does."""

    status: Literal["ok"] = "ok"


class ClockNow(BaseModel):
    """The time this hub lives in."""

    now_ms: int
    speed: float
    """Seconds of this clock a real second; 1 outside demos."""


@router.get("/health")
async def get_health(connection: DbConnection) -> Health:
    """Tell that API and database answer."""
    await connection.execute("select 1")
    return Health()


@router.get("/clock")
async def get_clock(clock: TheClock) -> ClockNow:
    """Return the hub's time."""
    return ClockNow(now_ms=now_ms(clock), speed=speed_of(clock))
