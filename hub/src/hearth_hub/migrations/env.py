"""How Alembic reaches the database (the connection `hearth_hub.database.migrate` hands it) and what it should hold."""

from __future__ import annotations

from alembic import context

from hearth_hub.database.tables import METADATA


def run() -> None:
    """Run the migrations in one transaction each, giving up instead of queueing behind a long query for ever."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=METADATA, transaction_per_migration=True)
    with context.begin_transaction():
        connection.exec_driver_sql("set lock_timeout = '10s'")
        context.run_migrations()


run()
