"""GET now, series, energy and live of a home."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from hearth_hub.doors import DbConnection, TheClock, TheSpan, answer, clock_of, pool_of
from hearth_hub.homes.service import get_home
from hearth_hub.readings import service
from hearth_hub.readings.days import daily_energies
from hearth_hub.readings.live import live
from hearth_hub.readings.schemas import Energies, Now, Series

_LATEST_MS = 253_000_000_000_000  # in the year 9987: the calendar ends soon after

router = APIRouter(prefix="/api/homes/{home}", tags=["readings"])


@router.get("/now", responses={200: {"model": Now}})
async def get_now(home: str, connection: DbConnection, clock: TheClock) -> Response:
    """Return what the home does now; null is missing."""
    return answer(await service.now_of(connection, await get_home(connection, home), clock))


@router.get("/series", responses={200: {"model": Series}})
async def get_series(
    home: str, connection: DbConnection, span: TheSpan, step_s: Annotated[int, Query()] = 300
) -> Response:
    """Return flows over time, columnar."""
    found = await get_home(connection, home)
    return answer(await service.series(connection, found, span.start_ms, span.end_ms, step_s))


@router.get("/energy", responses={200: {"model": Energies}})
async def get_energy(
    home: str,
    connection: DbConnection,
    from_ms: Annotated[int, Query(ge=0, le=_LATEST_MS)],
    to_ms: Annotated[int, Query(ge=0, le=_LATEST_MS)],
) -> Response:
    """Return the energies of each local day that touches a span, columnar; null is missing."""
    return answer(await daily_energies(connection, await get_home(connection, home), from_ms, to_ms))


@router.get("/live", response_class=StreamingResponse)
async def get_live(home: str, request: Request) -> StreamingResponse:
    """Stream server-sent events: ``now`` each second, ``plan`` when there is a new one."""
    pool = pool_of(request)
    async with pool.connection() as connection:
        await get_home(connection, home)
    stream = live(pool, clock_of(request), home, request.app.state.closing)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
