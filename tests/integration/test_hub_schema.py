"""The tables as they are declared and the tables as the migrations make them, in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, pool

import hearth_hub
from hearth_hub.database import migrate as migrations
from hearth_hub.database.migrate import migrate
from hearth_hub.database.tables import METADATA


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    """SQLAlchemy's connection to a migrated database."""
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_url), poolclass=pool.NullPool
    )
    with engine.connect() as connection:
        yield connection


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
    return found


def test_the_migrated_database_is_what_the_tables_declare(connection: Connection) -> None:
    assert differences(connection) == []


def test_the_primary_keys_are_what_the_tables_declare(connection: Connection) -> None:
    """Alembic does not compare them, and their order decides how fast readings are written."""
    found = inspect(connection)
    for table in METADATA.sorted_tables:
        declared = [column.name for column in table.primary_key.columns]
        assert found.get_pk_constraint(table.name)["constrained_columns"] == declared, table.name


@pytest.mark.parametrize(
    "change",
    [
        "alter table reading drop column soc_percent",
        "alter table latest add column surprise real",
        "alter table account alter column told_at type date",
        "alter table home alter column state set default 'well'",
        "alter table price alter column step_s drop not null",
        "alter table device drop constraint device_home_id_device_key",
        "comment on column device.kind is 'something else'",
        "drop table plan_step",
    ],
)
def test_a_database_that_differs_is_noticed(connection: Connection, change: str) -> None:
    connection.exec_driver_sql(change)
    assert len(differences(connection)) >= 1


def test_a_database_that_is_up_to_date_is_recognised_without_alembic(postgres_url: str) -> None:
    script = ScriptDirectory(str(Path(hearth_hub.__file__).parent / "migrations"))
    assert migrations.newest_revision() == script.get_current_head()
    assert migrations.is_up_to_date(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("update alembic_version set version_num = '0003'")
        connection.execute("drop table reading_1min, reading_15min, reading_1day, stale_day, wish")
    assert not migrations.is_up_to_date(postgres_url)
    migrate(postgres_url)
    assert migrations.is_up_to_date(postgres_url)
