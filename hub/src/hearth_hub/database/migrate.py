"""Bring a database to the newest schema."""

from __future__ import annotations

import importlib
from pathlib import Path

import psycopg
from psycopg import sql

import hearth_hub
from hearth_core.errors import ConfigError

# One number for everybody who migrates this database: two hubs that start together must not both create the tables.
_LOCK = 0x4865_6172_7468
_CONNECT_TIMEOUT_S = 10
# a promise that ingest acknowledges is a promise about the disk
_DURABLE = ("synchronous_commit", "fsync", "full_page_writes")
_MIGRATIONS = Path(hearth_hub.__file__).parent / "migrations"


def migrate(database_url: str) -> None:
    """Run the migrations that are missing; may be called at every start, and by several processes at once.

    Args:
        database_url: ``postgresql://...``

    Raises:
        ConfigError: The database does not answer, or may lose what it has committed.
    """
    check_durable(database_url)
    if not is_up_to_date(database_url):
        _upgrade(database_url)


def is_up_to_date(database_url: str) -> bool:
    """Tell whether no migration is missing; Alembic itself would take two seconds to load only to say so."""
    with psycopg.connect(database_url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        try:
            row = connection.execute("select version_num from alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            return False
    return row is not None and row[0] == newest_revision()


def newest_revision() -> str:
    """Return the last migration's revision; each file's name begins with its own."""
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def load_tools() -> None:
    """Load what migrating needs beforehand, while the server that will be migrated is still starting."""
    for name in ("alembic.command", "sqlalchemy.dialects.postgresql.psycopg", "hearth_hub.database.tables"):
        importlib.import_module(name)


def _upgrade(database_url: str) -> None:
    # imported here: they take longer to load than everything else a command such as `reconcile` needs
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, pool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database_url), poolclass=pool.NullPool
    )
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.connect() as connection:
        connection.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def check_durable(database_url: str) -> None:
    """Refuse a server that answers "committed" before the data is on its disk.

    Raises:
        ConfigError: It does not answer, or one of the settings that make a commit durable is off.
    """
    try:
        with psycopg.connect(database_url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
            for name in _DURABLE:
                row = connection.execute(sql.SQL("show {}").format(sql.Identifier(name))).fetchone()
                value = row[0] if row else None
                if value in ("off", "local"):
                    raise ConfigError("database", name, value, "Set it to on in postgresql.conf.")
    except psycopg.OperationalError as error:
        shown = _without_password(database_url)
        remedy = f"Start PostgreSQL or correct the address ({str(error).strip()})."
        raise ConfigError("environment", "HEARTH_HUB_DATABASE_URL", shown, remedy) from error


def _without_password(database_url: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(database_url)
    parts.pop("password", None)
    return " ".join(f"{name}={value}" for name, value in parts.items())
