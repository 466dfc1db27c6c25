"""The inbox in MySQL or MariaDB, for any number of machines.

Invariant: nothing depends on how the server or the database is configured: engine, character set, strictness and isolation are
said here or in the tables. The tests run against MariaDB; for MySQL they compile the statements.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import UniqueConstraint, event, func, literal_column
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import select

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox.columns import Seconds
from airflow_vod.inbox.dialects.base import LOCK_TIMEOUT, Dialect

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.sql import Executable
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.schema import Table

IDLE_TIMEOUT = 20  # seconds after which MariaDB ends a transaction whose client has fallen silent
SILENT_TIMEOUT = 60  # seconds after which MySQL, which cannot do that, ends any session whose client has fallen silent
SCHEMA_LOCK = "vod_inbox_schema"

# Timeouts that the server's administrator or the URL has set are kept where they are shorter. A text that is too long is an
# error, not cut. What stands in /*M! */ is read by MariaDB alone, what stands in /*!80000 */ by MySQL alone.
_SET_UP = (
    "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES'), default_storage_engine = InnoDB,"
    " innodb_lock_wait_timeout = LEAST(@@innodb_lock_wait_timeout, {lock}),"  # for rows
    " lock_wait_timeout = LEAST(@@lock_wait_timeout, {lock})"  # for tables that are being changed
    " /*M! , idle_transaction_timeout = COALESCE(NULLIF(@@idle_transaction_timeout, 0), {idle}) */"
    " /*!80000 , wait_timeout = LEAST(@@wait_timeout, {silent}) */"
)

# A server or a network that has gone without a word would be waited for without end. No lock is waited for as long as that.
_DRIVER_TIMEOUTS = {
    "connect_timeout": 10,
    "read_timeout": 4 * LOCK_TIMEOUT,
    "write_timeout": 4 * LOCK_TIMEOUT,
}  # seconds


class MySQL(Dialect):
    """MySQL 8.0.17 or MariaDB 10.6 and newer, because of CHECK, SKIP LOCKED, and collations for which blanks count.

    :param url: where the database is.
    """

    driver = ("mysql", "mysql+pymysql")

    # To change the isolation of a session and to change it back would take more round trips than a ROLLBACK.
    read_options: ClassVar[Mapping[str, Any]] = {}

    # From UTC, because UNIX_TIMESTAMP(NOW()) is ambiguous for an hour each autumn; 1e6 makes it a DOUBLE.
    own_clock = literal_column("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6", Seconds)

    # Too many connections, shutdown, disk or table full, lock timeout, deadlock, read-only, query killed, connection killed,
    # timeouts of a query and of an idle client; from 2000 to 2999, errors of the client: cannot connect, or connection lost.
    transient_codes: ClassVar[frozenset[int]] = frozenset(
        (
            1021,
            1040,
            1053,
            1114,
            1180,
            1203,
            1205,
            1213,
            1290,
            1317,
            1836,
            1927,
            1969,
            3024,
            4031,
            2002,
            2003,
            2006,
            2013,
            2055,
        )
    )

    def engine_options(self) -> dict[str, Any]:
        """Set timeouts for connecting, and for a server that has fallen silent."""
        options = super().engine_options()
        if self.url.get_driver_name() in ("pymysql", "mysqldb"):
            timeouts = {name: value for name, value in _DRIVER_TIMEOUTS.items() if name not in self.url.query}
            options["connect_args"] = {"charset": "utf8mb4", **timeouts}
        return options

    def prepare(self, engine: Engine) -> None:
        """Set up each connection."""
        event.listen(engine, "connect", _set_up)

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """Use ``ON DUPLICATE KEY UPDATE``; with nothing to update, set a key to itself."""
        statement = mysql.insert(table)
        names = list(update) or [next(iter(table.primary_key.columns)).name]
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in names})

    def select_each(self, columns: Sequence[Any], of: Any, name: str, *conditions: Any) -> Select[Any]:
        """Name the index: with statistics that know nothing of a queue, all of it would be read through the primary key."""
        return (
            super()
            .select_each(columns, of, name, *conditions)
            .with_hint(of.table, f"FORCE INDEX ({_index_on(of)})", "*")
        )

    def hide_from_index(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Make an expression of it: otherwise the index on the column would be chosen, and a whole queue be sorted."""
        return func.concat(column, "")

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Take a lock of the session, because DDL commits the transaction."""
        if connection.execute(select(func.get_lock(SCHEMA_LOCK, 2 * LOCK_TIMEOUT))).scalar() != 1:
            raise InboxUnavailableError(
                f"Another process has been changing the tables of the inbox for {2 * LOCK_TIMEOUT} s. This may pass; if it does "
                f"not, look for the session that holds the lock {SCHEMA_LOCK!r}, and whether it still works."
            )
        try:
            yield
        finally:
            if not connection.invalidated:  # a lost session has lost its lock
                connection.execute(select(func.release_lock(SCHEMA_LOCK)))

    def is_transient(self, error: BaseException) -> bool:
        """Read the error number."""
        code = error.args[0] if error.args else None
        return code in self.transient_codes


def _index_on(column: Any) -> str:
    """:return: the name of the index, or unique constraint, that begins with a column."""
    constraints = (each for each in column.table.constraints if isinstance(each, UniqueConstraint))
    return next(str(each.name) for each in (*column.table.indexes, *constraints) if next(iter(each.columns)) is column)


def _set_up(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(_SET_UP.format(lock=LOCK_TIMEOUT, idle=IDLE_TIMEOUT, silent=SILENT_TIMEOUT))
    finally:
        cursor.close()
