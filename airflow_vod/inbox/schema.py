"""Brings the tables of an inbox to the version that this package knows, and refuses newer ones.

Invariants: opening an inbox that is up to date takes two short queries and does not import Alembic; if several processes open a
new inbox at the same time, one creates the tables and the others wait for it.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from sqlalchemy import column, inspect, select, table

from airflow_vod.exceptions import InboxSchemaError
from airflow_vod.inbox.tables import SCHEMA_VERSION, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import Connection

    from airflow_vod.inbox.database import Database

_VERSION: Select[Any] = select(column("version_num")).select_from(table(VERSION_TABLE))
_migrating = threading.Lock()  # Alembic's `op` and `context` are global in a process


def ensure_schema(database: Database) -> None:
    """Create or upgrade the tables if necessary.

    :param database: the database of the inbox.
    :raises InboxSchemaError: the tables belong to a newer version of this package.
    :raises InboxUnavailableError: the database does not answer now.
    :raises InboxError: the database refuses.
    """
    with database.read() as connection:
        if _version(connection) == SCHEMA_VERSION:
            return
    from airflow_vod.inbox.migrations import knows, upgrade

    with _migrating, database.write() as connection, database.dialect.schema_lock(connection):
        version = _version(connection)  # again: another process may have upgraded meanwhile
        if version == SCHEMA_VERSION:
            return
        if version is not None and not knows(version):
            raise InboxSchemaError(
                f"The inbox {database.url} has schema version {version}; the provider that is installed here knows versions up "
                f"to {SCHEMA_VERSION}. Upgrade airflow-provider-tencent-vod to the version that runs elsewhere, or point "
                "[tencent_vod] inbox_sql_alchemy_conn to another database."
            )
        upgrade(connection)


def existing_version(url: str) -> str | None:
    """Read the version of an inbox without making or changing anything.

    :param url: SQLAlchemy URL.
    :return: None where there are no tables, or no database file.
    :raises InboxUnavailableError: the database does not answer now.
    :raises InboxError: the URL or the database cannot be used.
    """
    from airflow_vod.inbox.database import Database, parse
    from airflow_vod.inbox.dialects import dialect_of

    untouched = dialect_of(parse(url)).untouched()
    if untouched is None:
        return None
    database = Database(untouched.render_as_string(hide_password=False))
    try:
        with database.read() as connection:
            return _version(connection)
    finally:
        database.close()


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(_VERSION).scalar()


def _after_fork() -> None:
    """Replace the lock in a child: if another thread of the parent held it, nobody would ever release the copy."""
    global _migrating
    _migrating = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
