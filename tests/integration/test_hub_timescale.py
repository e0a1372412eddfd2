"""What only TimescaleDB does: the migration uses it, and a dump of either engine goes on where it was taken."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine, pool

from hearth_hub.database.migrate import is_up_to_date, migrate
from hearth_hub.database.pool import new_pool
from hearth_hub.database.tables import METADATA
from hearth_hub.readings.aggregates import WIDTHS
from hearth_hub.readings.roll_up import RollUp

START = datetime(2026, 3, 1, tzinfo=UTC)


def has_timescale(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from pg_extension where extname = 'timescaledb'").fetchone()
    return row == (1,)


def fill(url: str, start: datetime, hours: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("insert into home (agent) values ('anna') on conflict do nothing")
        connection.execute(
            "insert into device (home_id, device, kind) select id, 'grid', 'grid_meter' from home"
            " on conflict do nothing"
        )
        end = start + timedelta(hours=hours)
        connection.execute(
            "insert into reading (at, device_id, power_w) select at, d.id, extract(hour from at) from device d,"
            " generate_series(%s::timestamptz, %s, interval '1 minute') at where at < %s",
            [start, end, end],
        )
        connection.execute("insert into stale (home_id, from_at, until_at) select id, %s, %s from home", [start, end])


async def roll_up(url: str) -> None:
    async with new_pool(url) as connections, connections.connection() as connection:
        await RollUp().everything(connection)


def sums(url: str) -> list[tuple[int, int, Decimal]]:
    """Return (buckets, readings, mean power) of every width."""
    with psycopg.connect(url) as connection:
        question = "select count(*), sum(readings), round(avg(power_w)::numeric, 3) from {}"
        return [
            row
            for width in WIDTHS
            for row in connection.execute(sql.SQL(question).format(sql.Identifier(width.table))).fetchall()
        ]


def test_the_schema_is_what_the_tables_declare_but_for_the_continuous_aggregates(engine_url: str) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(engine_url), poolclass=pool.NullPool
    )
    continuous = {width.table for width in WIDTHS} if has_timescale(engine_url) else set()
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA)
    assert [one for one in found if not (one[0] == "add_table" and one[1].name in continuous)] == []
    assert len(found) == len(continuous)


def test_timescale_is_used_where_it_is(engine_url: str) -> None:
    if not has_timescale(engine_url):
        return
    with psycopg.connect(engine_url) as connection:
        jobs = connection.execute(
            "select count(*) filter (where proc_name = 'policy_refresh_continuous_aggregate'),"
            " count(*) filter (where proc_name = 'policy_compression') from timescaledb_information.jobs"
        ).fetchone()
        chunk = connection.execute(
            "select time_interval from timescaledb_information.dimensions where hypertable_name = 'reading'"
        ).fetchone()
        views = connection.execute(
            "select view_name::text, materialized_only from timescaledb_information.continuous_aggregates"
            " order by view_name"
        ).fetchall()
    assert jobs == (3, 4)
    assert chunk == (timedelta(days=1),)
    assert views == [("reading_15min", False), ("reading_1day", False), ("reading_1min", False)]


def test_a_reading_stored_in_the_columnstore_is_found_again(engine_url: str) -> None:
    """What comes late for a day that is packed already is stored like any other, and once."""
    if not has_timescale(engine_url):
        return
    fill(engine_url, START, 24)
    with psycopg.connect(engine_url, autocommit=True) as connection:
        for (chunk,) in connection.execute("select chunk::text from show_chunks('reading') chunk").fetchall():
            connection.execute(sql.SQL("call convert_to_columnstore({})").format(sql.Literal(chunk)))
        late = "insert into reading (at, device_id, power_w) values (%s, 1, 7) on conflict do nothing"
        for _ in range(2):
            connection.execute(late, [START + timedelta(seconds=30)])
        found = connection.execute("select count(*), sum(power_w) filter (where power_w = 7) from reading").fetchone()
    assert found is not None
    assert found[0] == 24 * 60 + 1


@pytest.mark.timeout(90)
async def test_a_dump_goes_on_where_it_was_taken(engine_url: str, tmp_path: Path) -> None:
    fill(engine_url, START, 30)
    await roll_up(engine_url)
    fill(engine_url, START + timedelta(hours=30), 2)  # stored, and not yet taken in
    name = f"test_{uuid.uuid4().hex[:12]}"
    copy = psycopg.conninfo.make_conninfo(engine_url, dbname=name)
    with psycopg.connect(engine_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        dump = tmp_path / "hub.dump"
        run("pg_dump", engine_url, "-Fc", "-f", str(dump), engine_url)
        if has_timescale(engine_url):
            surround(copy, "create extension timescaledb", "select timescaledb_pre_restore()")
        run("pg_restore", engine_url, "--no-owner", "-d", copy, str(dump))
        if has_timescale(engine_url):
            surround(copy, "select timescaledb_post_restore()")
        assert is_up_to_date(copy)
        migrate(copy)
        await roll_up(copy)
        await roll_up(engine_url)
        assert sums(copy) == sums(engine_url)
        assert sums(copy)[0] == (32 * 60, 32 * 60, sums(engine_url)[0][2])
        fill(copy, START + timedelta(hours=32), 1)
        await roll_up(copy)
        assert sums(copy)[0][1] == 33 * 60
    finally:
        with psycopg.connect(engine_url, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def surround(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def run(program: str, url: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs, of the server's own version."""
    done = subprocess.run([program_of(program, url), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def program_of(program: str, url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("select setting from pg_config where name = 'BINDIR'").fetchone()
    found = shutil.which(program, path=row[0] if row else None) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found
