"""GET /api/homes/{home}/plan."""

from __future__ import annotations

from fastapi import APIRouter, Response

from hearth_hub.doors import DbConnection
from hearth_hub.errors import NotFoundError
from hearth_hub.homes.service import get_home
from hearth_hub.plans import repository

router = APIRouter(prefix="/api/homes/{home}", tags=["plans"])


@router.get("/plan")
async def get_plan(home: str, connection: DbConnection) -> Response:
    """Return the newest plan, as it was sent to the agent (see the wire's schema ``plan``)."""
    message = await repository.latest_message(connection, (await get_home(connection, home)).id)
    if message is None:
        raise NotFoundError("plan", home, f"{home} has no plan yet", "The first one follows prices and a birth.")
    return Response(message, media_type="application/json")
