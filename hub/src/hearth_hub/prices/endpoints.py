"""GET /api/homes/{home}/prices."""

from __future__ import annotations

from fastapi import APIRouter, Response

from hearth_hub.doors import DbConnection, TheClock, TheSpan, answer
from hearth_hub.homes.service import get_home
from hearth_hub.prices.schemas import Prices
from hearth_hub.prices.service import price_series

router = APIRouter(prefix="/api/homes/{home}", tags=["prices"])


@router.get("/prices", responses={200: {"model": Prices}})
async def get_prices(home: str, connection: DbConnection, span: TheSpan, clock: TheClock) -> Response:
    """Return what the home pays and earns per kWh, as far as it is published."""
    found = await get_home(connection, home)
    return answer(await price_series(connection, found, span.start_ms, span.end_ms, clock))
