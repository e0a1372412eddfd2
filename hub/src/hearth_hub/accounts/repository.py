"""SQL of the accounts."""

from __future__ import annotations

from dataclasses import dataclass

from hearth_hub.database.pool import Connection


@dataclass(frozen=True)
class AccountRow:
    """What the hub knows of one device's readings in one epoch, and what the agent told last."""

    home: str
    device: str
    epoch: str
    produced: int
    stored: int
    gaps: int
    dead_lettered: int
    told_produced: int
    told_spooled: int


async def accounts(connection: Connection, home: str | None) -> list[AccountRow]:
    """Return every account, of one home or of all."""
    cursor = await connection.execute(
        "select h.agent, d.device, a.epoch, a.produced, a.stored, a.gaps, a.dead_lettered, a.told_produced,"
        " a.told_spooled from account a join home h on h.id = a.home_id join device d on d.id = a.device_id"
        " where %(home)s::text is null or h.agent = %(home)s order by h.agent, d.device, a.epoch",
        {"home": home},
    )
    return [AccountRow(*row) for row in await cursor.fetchall()]


async def count_rows(connection: Connection, home: str | None) -> dict[tuple[str, str], tuple[int, int]]:
    """Count the readings that really are in the table, and those that have outlived their retention.

    Returns:
        (rows, expired) by home and device.
    """
    cursor = await connection.execute(
        "select h.agent, d.device, coalesce(r.rows, 0), d.expired from device d join home h on h.id = d.home_id"
        " left join (select device_id, count(*) as rows from reading group by device_id) r on r.device_id = d.id"
        " where %(home)s::text is null or h.agent = %(home)s",
        {"home": home},
    )
    return {(agent, device): (rows, expired) for agent, device, rows, expired in await cursor.fetchall()}
