"""GET /api/homes/{home}/savings."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from hearth_hub.doors import DbConnection
from hearth_hub.homes.service import get_home
from hearth_hub.savings import repository
from hearth_hub.savings.repository import DayRow

router = APIRouter(prefix="/api/homes/{home}", tags=["savings"])


class Costs(BaseModel):
    """What was paid, and what would have been paid otherwise [EUR]; negative = earned."""

    realised_eur: float
    no_battery_eur: float
    self_consumption_eur: float
    night_timer_eur: float
    perfect_foresight_eur: float
    regret_eur: float
    complete: bool


class Day(Costs):
    """One local day."""

    day: dt.date


class Total(Costs):
    """All days of the answer; ``saved_eur`` is against having no battery and no control."""

    saved_eur: float


class Savings(BaseModel):
    """The ledger."""

    days: list[Day]
    total: Total


@router.get("/savings")
async def get_savings(home: str, connection: DbConnection, days: Annotated[int, Query(ge=1, le=400)] = 30) -> Savings:
    """Return what the last days cost, against four other ways to live them."""
    rows = await repository.last_days(connection, (await get_home(connection, home)).id, days)
    listed = [Day(day=row.day, **_costs([row]).model_dump()) for row in rows]
    total = _costs(rows)
    saved = round(total.no_battery_eur - total.realised_eur, 4)
    return Savings(days=listed, total=Total(saved_eur=saved, **total.model_dump()))


def _costs(rows: list[DayRow]) -> Costs:
    realised = sum(row.realised_eur for row in rows)
    perfect = sum(row.perfect_foresight_eur for row in rows)
    return Costs(
        realised_eur=round(realised, 4),
        no_battery_eur=round(sum(row.no_battery_eur for row in rows), 4),
        self_consumption_eur=round(sum(row.self_consumption_eur for row in rows), 4),
        night_timer_eur=round(sum(row.night_timer_eur for row in rows), 4),
        perfect_foresight_eur=round(perfect, 4),
        regret_eur=round(realised - perfect, 4),
        complete=all(row.complete for row in rows),
    )
