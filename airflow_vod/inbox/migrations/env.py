"""Alembic runs this file. The connection comes from `airflow_vod.inbox.migrations.config`."""

from __future__ import annotations

from alembic import context

from airflow_vod.inbox.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # All of it is part of the caller's transaction, on SQLite too.
    transactional_ddl=True,
    # Ignore other tables in the same database.
    include_name=lambda name, kind, _: kind != "table" or name in metadata.tables,
)
with context.begin_transaction():
    context.run_migrations()
