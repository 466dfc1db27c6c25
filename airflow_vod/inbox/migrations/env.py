"""Alembic runs this file. The connection comes from `airflow_vod.inbox.migrations.config`."""

from __future__ import annotations

from alembic import context

from airflow_vod.inbox.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # The caller's transaction holds everything together, on SQLite too.
    transactional_ddl=True,
    # Other tables of the same database are none of our business.
    include_name=lambda name, kind, _: kind != "table" or name in metadata.tables,
)
with context.begin_transaction():
    context.run_migrations()
