"""What the hub's database says of a home."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from tests.faults.spoolfile import WH_PER_NUMBER

from hearth_hub.accounts.service import Reconciliation, reconcile
from hearth_hub.database.pool import new_pool

Gap = tuple[str, datetime | None, datetime | None, int]
"""Device, nothing missing before, nothing missing from, count."""


@dataclass
class Stored:
    """What is stored of one home."""

    numbers: dict[str, Counter[int]] = field(default_factory=dict)
    rows: int = 0
    unreadable: int = 0
    """Rows without a number."""
    dead: int = 0
    gaps: list[Gap] = field(default_factory=list)


def read_stored(connection: psycopg.Connection, home: str) -> Stored:
    """Read the rows, gaps and dead letters of a home."""
    stored = Stored()
    rows = connection.execute(
        "select d.device, round(r.import_energy_wh / %s)::bigint, count(*) from reading r"
        " join device d on d.id = r.device_id join home h on h.id = d.home_id where h.agent = %s group by 1, 2",
        (WH_PER_NUMBER, home),
    )
    for device, number, count in rows:
        stored.rows += count
        if number is None:
            stored.unreadable += count
        else:
            stored.numbers.setdefault(device, Counter())[number] += count
    query = "select coalesce(sum(greatest(readings, 1)), 0) from dead_letter where agent = %s"
    letters = connection.execute(query, (home,))
    stored.dead = int((letters.fetchone() or (0,))[0])
    stored.gaps = connection.execute(
        "select d.device, g.from_at, g.until_at, g.readings from gap g join device d on d.id = g.device_id"
        " join home h on h.id = g.home_id where h.agent = %s",
        (home,),
    ).fetchall()
    return stored


def newest_s(connection: psycopg.Connection, home: str) -> float:
    """Return the instant of the newest stored reading of a home [s since 1970]; 0 = none."""
    row = connection.execute(
        "select extract(epoch from max(l.at))::float8 from latest l join device d on d.id = l.device_id"
        " join home h on h.id = d.home_id where h.agent = %s",
        (home,),
    ).fetchone()
    return float(row[0] or 0.0) if row else 0.0


def watermark(connection: psycopg.Connection, home: str, epoch: str) -> int:
    """Return up to which record the hub has an epoch of a home; 0 = nothing of it."""
    row = connection.execute(
        "select upto from watermark where epoch = %s and home_id = (select id from home where agent = %s)",
        (epoch, home),
    ).fetchone()
    return int(row[0]) if row else 0


def control_lag_s(connection: psycopg.Connection, home: str) -> float:
    """Return how late control and polls ran by the agent's own last word, which is at most a minute old [s]."""
    row = connection.execute("select lag_s from home where agent = %s", (home,)).fetchone()
    return float(row[0] or 0.0) if row else 0.0


def ask_accounts(url: str, home: str | None) -> Reconciliation:
    """Let the hub reconcile one home, or all."""

    async def ask() -> Reconciliation:
        async with new_pool(url, largest=1) as pool, pool.connection() as connection:
            return await reconcile(connection, home)

    return asyncio.run(ask())


def mismatches(accounts: Reconciliation) -> str:
    """Name the first accounts that do not hold."""
    wrong = [f"{line.device} {line.epoch[:6]} missing {line.missing}" for line in accounts.lines if not line.holds]
    wrong += [f"{one.device} accounts {one.stored} rows {one.rows}" for one in accounts.tables if not one.holds]
    return "; ".join(wrong[:4])
