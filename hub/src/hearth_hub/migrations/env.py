"""How Alembic reaches the database: over the connection `hearth_hub.database.migrate` hands it."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Run the migrations in one transaction each, giving up instead of queueing behind a long query for ever."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        connection.exec_driver_sql("set lock_timeout = '10s'")
        context.run_migrations()


run()
