"""GET forecast, forecast/past and accuracy of a home."""

from __future__ import annotations

from fastapi import APIRouter, Response

from hearth_core.clock import now
from hearth_hub.doors import DbConnection, TheClock, TheSpan, answer
from hearth_hub.errors import NotFoundError
from hearth_hub.forecasts import repository, service
from hearth_hub.forecasts.schemas import RecentAccuracy
from hearth_hub.homes.service import get_home

router = APIRouter(prefix="/api/homes/{home}", tags=["forecasts"])


@router.get("/forecast")
async def get_forecast(home: str, connection: DbConnection) -> Response:
    """Return the newest forecast, as the agent sent it (see the wire's schema ``forecast``)."""
    message = await repository.latest_message(connection, (await get_home(connection, home)).id)
    if message is None:
        raise NotFoundError("forecast", home, f"{home} has sent no forecast yet", "The agent sends one with its model.")
    return Response(message, media_type="application/json")


@router.get("/forecast/past")
async def get_past(home: str, connection: DbConnection, span: TheSpan) -> Response:
    """Return what was expected a day ahead."""
    return answer(await service.past(connection, await get_home(connection, home), span.start_ms, span.end_ms))


@router.get("/accuracy")
async def get_accuracy(home: str, connection: DbConnection, clock: TheClock) -> RecentAccuracy:
    """Return how right the forecasts of the last two weeks were."""
    found = await service.recent_accuracy(connection, await get_home(connection, home), now(clock))
    return RecentAccuracy.model_validate(found)
