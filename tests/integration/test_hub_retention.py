"""What has outlived its retention is gone, and accounted for; nothing goes that the aggregates do not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from hearth_core.errors import ConfigError
from hearth_hub.database.pool import Connection, new_pool
from hearth_hub.readings.roll_up import RollUp
from hearth_hub.settings import load_settings
from hearth_hub.worker.pace import Budget
from hearth_hub.worker.retention import Retention

NOW = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
DAYS = 6


def fill(url: str) -> None:
    """Store a reading of two devices each ten minutes for six days, with their accounts."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into home (agent) values ('anna'), ('ben')")
        connection.execute("insert into device (home_id, device) select id, 'grid' from home")
        connection.execute(
            "insert into reading (at, device_id, power_w) select at, d.id, 100 from device d,"
            " generate_series(%s::timestamptz, %s, interval '10 minutes') at",
            [NOW - timedelta(days=DAYS), NOW],
        )
        connection.execute(
            "insert into account (home_id, epoch, device_id, stored) select d.home_id, 'e', d.id, count(*)"
            " from device d join reading r on r.device_id = d.id group by d.id"
        )
        connection.execute(
            "insert into stale (home_id, from_at, until_at) select id, %s, %s from home",
            [NOW - timedelta(days=DAYS), NOW],
        )


def balance(url: str) -> list[tuple[int, int, int]]:
    """Return (stored, rows, expired) of each device, as another connection sees them."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select a.stored, (select count(*) from reading r where r.device_id = d.id), d.expired"
            " from device d join account a on a.device_id = d.id order by d.id"
        ).fetchall()


async def minutes_of(connection: Connection) -> tuple[int, datetime]:
    cursor = await connection.execute("select count(*), min(at) from reading_1min")
    row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.timeout(120)
async def test_every_commit_of_retention_keeps_the_account(engine_url: str) -> None:
    fill(engine_url)
    stored = DAYS * 144 + 1
    retention = Retention(raw_days=2, minute_days=4)
    async with new_pool(engine_url) as pool, pool.connection() as connection:
        assert await retention.expire(connection, NOW, Budget(60))
        assert balance(engine_url) == [(stored, stored, 0)] * 2, "the aggregates do not know them yet"
        await RollUp().everything(connection)
        before, _ = await minutes_of(connection)
        assert before == 2 * stored
        assert await Retention(0, 0).expire(connection, NOW + timedelta(days=9000), Budget(60))
        assert balance(engine_url) == [(stored, stored, 0)] * 2, "0 is for ever"
        assert (await minutes_of(connection))[0] == before
        slices = 0
        while not await retention.expire(connection, NOW, Budget(0)) and slices < 200:
            slices += 1
            rows = balance(engine_url)
            assert all(total == left + expired for total, left, expired in rows)
            if rows[0][1] <= 3 * 144:
                break
        assert slices > 2
        assert await retention.expire(connection, NOW, Budget(60))
        ((_, left, expired), other) = balance(engine_url)
        assert other == (stored, left, expired)
        assert left + expired == stored
        # TimescaleDB drops whole days only
        assert 2 * 144 <= left <= 3 * 144 + 4
        _, oldest = await minutes_of(connection)
        assert oldest >= NOW - timedelta(days=5)
        cursor = await connection.execute("select count(*), sum(readings) from reading_1day")
        assert await cursor.fetchone() == (2 * (DAYS + 1), 2 * stored), "days are kept for ever"
        assert await retention.expire(connection, NOW, Budget(60))
        assert balance(engine_url)[0] == (stored, left, expired)


@pytest.mark.parametrize(("name", "value"), [("RAW_DAYS", "15"), ("RAW_DAYS", "-1"), ("MINUTE_DAYS", "7")])
def test_readings_cannot_be_forgotten_before_the_last_ones_are_there(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"HEARTH_HUB_{name}", value)
    with pytest.raises(ConfigError, match=f"HEARTH_HUB_{name}"):
        load_settings()
