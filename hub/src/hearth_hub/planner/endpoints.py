"""POST /api/plan, and what evcc asks of its optimiser: POST /optimize/charge-schedule, GET /optimize/health."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from hearth_hub.doors import known_caller, read_body
from hearth_hub.errors import RequestError
from hearth_hub.planner.protocol import Question
from hearth_hub.planner.schemas import REF, takes
from hearth_hub.planner.service import Planner

MOST_BYTES = 2 * 1024 * 1024
"""A home of every kind of part over a thousand steps takes half of it."""


def planner_of(request: Request) -> Planner:
    """Return the process's planner."""
    planner: Planner = request.app.state.planner
    return planner


class _EvccRoute(APIRoute):
    """Says what is wrong as evcc reads it: ``message`` beside the rest, 400 for nonsense."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def handle_for_evcc(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestError as error:
                status = 400 if error.status == RequestError.status else error.status
                body = {"message": f"{error.field}: {error}"} | error.as_json()
                return JSONResponse(body, status, headers=error.headers)

        return handle_for_evcc


ThePlanner = Annotated[Planner, Depends(planner_of)]
router = APIRouter(tags=["planner"], dependencies=[Depends(known_caller)])
evcc = APIRouter(prefix="/optimize", tags=["evcc"], route_class=_EvccRoute, dependencies=[Depends(known_caller)])


class EvccHealth(BaseModel):
    """What evcc's own optimiser says when it is well."""

    status: str = "healthy"
    message: str = "Hearth's planner answers"


@router.post(
    "/api/plan",
    openapi_extra=takes("Problem"),
    responses={200: {"content": {"application/json": {"schema": {"$ref": REF.format(name="Answer")}}}}},
)
async def post_plan(request: Request, planner: ThePlanner) -> Response:
    """Plan a whole home from nothing but what is sent; nothing is stored."""
    plan = await planner.plan(Question.HOME, await read_body(request, MOST_BYTES))
    return Response(plan, media_type="application/json")


@evcc.post("/charge-schedule", openapi_extra=takes("EvccRequest"))
async def post_charge_schedule(request: Request, planner: ThePlanner) -> Response:
    """Answer a request of evcc to its optimiser, in its shape."""
    schedule = await planner.plan(Question.EVCC, await read_body(request, MOST_BYTES))
    return Response(schedule, media_type="application/json")


@evcc.get("/health")
async def get_health() -> EvccHealth:
    """Tell that schedules can be asked for, and that the token is right."""
    return EvccHealth()
