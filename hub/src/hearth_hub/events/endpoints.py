"""GET /api/homes/{home}/events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from hearth_hub.doors import DbConnection
from hearth_hub.events import repository
from hearth_hub.homes.service import get_home
from hearth_hub.timing import milliseconds

router = APIRouter(prefix="/api/homes/{home}", tags=["events"])


class EventDetails(BaseModel):
    """Something that happened."""

    at_ms: int
    level: str
    kind: str
    device: str | None
    text: str


@router.get("/events")
async def get_events(
    home: str, connection: DbConnection, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> list[EventDetails]:
    """Return the newest events, newest first."""
    rows = await repository.newest(connection, (await get_home(connection, home)).id, limit)
    return [
        EventDetails(at_ms=milliseconds(at), level=level, kind=kind, device=device, text=text)
        for at, level, kind, device, text in rows
    ]
