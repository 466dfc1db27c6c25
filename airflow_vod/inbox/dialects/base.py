"""What the inbox needs from a database, as most databases provide it.

Invariant: no method here depends on one kind of database; what differs is overridden in the module of that database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import bindparam, func
from sqlalchemy.sql import select

from airflow_vod.inbox.listeners import Listener, PollingListener
from airflow_vod.inbox.values import PER_CALL, PER_EVENT

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.sql import Executable
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.schema import Table

LOCK_TIMEOUT = 30  # seconds to wait for another writer

_COLUMNS = PER_EVENT + PER_CALL


class Dialect:
    """One kind of database.

    :param url: where the database is.
    """

    own_clock: ClassVar[ColumnElement[float] | None] = None
    """Unix seconds by the server's clock; None where the clock of this machine does as well."""

    read_options: ClassVar[Mapping[str, Any]] = {"isolation_level": "AUTOCOMMIT"}
    """Execution options for reads; AUTOCOMMIT saves the round trips of BEGIN and ROLLBACK."""

    placeholder: ClassVar[str] = "%s"
    """How the driver marks the place of a value in a statement."""

    driver: ClassVar[tuple[str, str] | None] = None
    """This package's extra that installs a driver, and the scheme of URLs that uses it; None where Python brings one."""

    driver_of_1_4: ClassVar[tuple[str, str] | None] = None
    """What to install, and the scheme that uses it, where SQLAlchemy 1.4 (Airflow 3.0) does not know `driver`."""

    closes_at_fork = False
    """Whether the child of a fork must not even inherit idle connections."""

    def __init__(self, url: URL) -> None:
        self.url = url

    def engine_options(self) -> dict[str, Any]:
        """:return: arguments for ``create_engine``."""
        return {"isolation_level": "READ COMMITTED", "pool_pre_ping": True}

    def prepare(self, engine: Engine) -> None:
        """Set up a new engine before its first connection.

        :param engine: the engine.
        :raises OSError: the database cannot be created.
        """

    def begin(self, connection: Connection) -> None:
        """Prepare a transaction that is going to write.

        :param connection: with a transaction begun by SQLAlchemy.
        """

    def untouched(self) -> URL | None:
        """:return: the URL by which the database can be read and is neither made nor changed; None where there is none."""
        return self.url

    def insert_events(
        self, connection: Connection, per_call: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Insert events.

        :param per_call: values of the `PER_CALL` columns, the same for all events.
        :param rows: one for each event, values of the `PER_EVENT` columns.
        """
        common = tuple(per_call[name] for name in PER_CALL)
        # To the driver directly: no value needs SQLAlchemy's conversions, which would take longer.
        statement = self.insert_statement(connection.dialect.identifier_preparer.quote)
        connection.exec_driver_sql(statement, [row + common for row in rows])

    def insert_statement(self, quote: Callable[[str], str]) -> str:
        """Write the INSERT of one event.

        :param quote: quotes a name where the database needs it.
        """
        columns, values = ", ".join(map(quote, _COLUMNS)), ", ".join([self.placeholder] * len(_COLUMNS))
        return f"INSERT INTO vod_event ({columns}) VALUES ({values})"  # noqa: S608 - names of columns, no values

    def select_each(self, columns: Sequence[Any], of: Any, name: str, *conditions: Any) -> Select[Any]:
        """Select rows by a list of values of one column, in a way that looks up each value in an index on that column.

        :param columns: what to select, from one table.
        :param of: the column of that table.
        :param name: name of the parameter that takes the list of values.
        :param conditions: further conditions.
        """
        return select(*columns).where(of.in_(bindparam(name, expanding=True, type_=of.type)), *conditions)

    def hide_from_index(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Wrap a column so that a condition on it does not make the planner choose an index on that column."""
        return column

    def truncate(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        """Drop the fraction of a number that is not negative."""
        return func.floor(number)

    def announce(self, connection: Connection, queue: str) -> None:
        """Notify all listeners when this transaction commits, where the database can do that.

        :param queue: in which events were stored.
        """

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """Make an INSERT that updates the row if its primary key exists.

        :param update: the columns to update; if there are none, an existing row stays as it is.
        """
        raise NotImplementedError

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Hold, within the transaction, a lock that lets only one process change the tables."""
        yield

    def is_transient(self, error: BaseException) -> bool:
        """Say whether this error of the driver may go away by itself."""
        raise NotImplementedError

    def listener(self, engine: Engine, positions: Callable[[], Mapping[str, int] | None]) -> Listener:
        """Make a listener for commits.

        :param engine: the engine of the inbox.
        :param positions: as `PollingListener` takes it.
        """
        return PollingListener(positions)


def on_conflict(insert: Any, table: Table, update: Sequence[str]) -> Executable:
    """Implement `Dialect.upsert` for databases with ``ON CONFLICT``.

    :param insert: the dialect's own INSERT into `table`.
    """
    keys = list(table.primary_key.columns)
    if not update:
        return insert.on_conflict_do_nothing(index_elements=keys)
    return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in update})
