"""GET /api/homes and /api/homes/{home}."""

from __future__ import annotations

from fastapi import APIRouter

from hearth_hub.doors import DbConnection
from hearth_hub.homes import service
from hearth_hub.homes.schemas import HomeDetails, HomeSummary

router = APIRouter(prefix="/api/homes", tags=["homes"])


@router.get("")
async def list_homes(connection: DbConnection) -> list[HomeSummary]:
    """List every home."""
    return await service.list_homes(connection)


@router.get("/{home}")
async def get_home(home: str, connection: DbConnection) -> HomeDetails:
    """Return one home with its devices."""
    return await service.describe(connection, home)
