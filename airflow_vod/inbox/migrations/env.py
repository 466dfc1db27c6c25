"""Alembic runs this file. The connection comes from `airflow_vod.inbox.migrations.config`."""

from __future__ import annotations

from alembic import context

from airflow_vod.inbox.tables import VERSION_TABLE, metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # All of it is part of the caller's transaction; Alembic does not know that this can be had from SQLite.
    transactional_ddl=True if connection.dialect.name == "sqlite" else None,
    # Ignore other tables in the same database.
    include_name=lambda name, kind, _: kind != "table" or name in metadata.tables,
)
with context.begin_transaction():
    context.run_migrations()
