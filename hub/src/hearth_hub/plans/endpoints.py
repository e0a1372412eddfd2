"""GET plan and plan/past of a home."""

from __future__ import annotations

from fastapi import APIRouter, Response

from hearth_core.clock import now_ms
from hearth_hub.doors import DbConnection, TheClock, TheSpan, answer
from hearth_hub.errors import NotFoundError
from hearth_hub.homes.service import get_home
from hearth_hub.plans import repository, service
from hearth_hub.plans.schemas import PastPlans

router = APIRouter(prefix="/api/homes/{home}", tags=["plans"])


@router.get("/plan")
async def get_plan(home: str, connection: DbConnection) -> Response:
    """Return the newest plan, as it was sent to the agent (see the wire's schema ``plan``)."""
    message = await repository.latest_message(connection, (await get_home(connection, home)).id)
    if message is None:
        raise NotFoundError("plan", home, f"{home} has no plan yet", "The first one follows prices and a birth.")
    return Response(message, media_type="application/json")


@router.get("/plan/past", responses={200: {"model": PastPlans}})
async def get_past(home: str, connection: DbConnection, clock: TheClock, span: TheSpan) -> Response:
    """Return what the plan in force in each quarter-hour said of it."""
    found = await get_home(connection, home)
    return answer(await service.past(connection, found.id, span.start_ms, span.end_ms, now_ms(clock)))
