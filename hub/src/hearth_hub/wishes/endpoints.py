"""POST override and grid-limit of a home."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from hearth_core.clock import now_ms
from hearth_hub.doors import DbConnection, TheClock, known_caller
from hearth_hub.wishes import service
from hearth_hub.wishes.schemas import GridLimitRequest, OverrideRequest, Sent

# what steers a home asks for the token where there is one, unlike what only looks
router = APIRouter(prefix="/api/homes/{home}", tags=["wishes"], dependencies=[Depends(known_caller)])


@router.post("/override")
async def post_override(home: str, asked: OverrideRequest, connection: DbConnection, clock: TheClock) -> Sent:
    """Override the plan for one device, for a while; a body that asks for nothing takes that back."""
    return await service.override(connection, home, asked, now_ms(clock))


@router.post("/grid-limit")
async def post_grid_limit(home: str, asked: GridLimitRequest, connection: DbConnection, clock: TheClock) -> Sent:
    """Limit what the home draws from the grid or feeds into it, for a while or until it is lifted."""
    return await service.grid_limit(connection, home, asked, now_ms(clock))
