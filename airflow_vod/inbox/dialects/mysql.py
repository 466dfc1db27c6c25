"""The inbox in MySQL or MariaDB.

Invariant: every statement of the inbox compiles for MySQL; the tests do not run them against a server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import func, literal_column
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import select

from airflow_vod.inbox.dialects.base import LOCK_TIMEOUT, Dialect
from airflow_vod.inbox.tables import Seconds

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql import Executable
    from sqlalchemy.sql.schema import Table


class MySQL(Dialect):
    """MySQL 8.0.16 or MariaDB 10.6 and newer, because of CHECK and SKIP LOCKED.

    :param url: where the database is.
    """

    driver = ("mysql", "mysql+pymysql")

    # From UTC, because UNIX_TIMESTAMP(NOW()) is ambiguous for an hour each autumn; 1e6 makes it a DOUBLE.
    own_clock = literal_column("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6", Seconds)

    # Too many connections, shutdown, disk or table full, lock timeout, deadlock, read-only, query timeout, idle timeout;
    # from 2000 on, errors of the client: cannot connect, or connection lost.
    transient_codes: ClassVar[frozenset[int]] = frozenset(
        (1021, 1040, 1053, 1114, 1180, 1203, 1205, 1213, 1290, 1836, 3024, 4031, 2002, 2003, 2006, 2013, 2055)
    )

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """Use ``ON DUPLICATE KEY UPDATE``; with nothing to update, set a key to itself."""
        statement = mysql.insert(table)
        names = list(update) or [next(iter(table.primary_key.columns)).name]
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in names})

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Take a lock of the session, because DDL commits the transaction."""
        connection.execute(select(func.get_lock("vod_inbox_schema", 2 * LOCK_TIMEOUT)))
        try:
            yield
        finally:
            connection.execute(select(func.release_lock("vod_inbox_schema")))

    def is_transient(self, error: BaseException) -> bool:
        """Read the error number."""
        code = error.args[0] if error.args else None
        return code in self.transient_codes
