"""The inbox in PostgreSQL, for any number of machines.

Invariant: no client that freezes or loses its network inside a transaction holds up other writers for longer than the timeouts
below, and nothing is set for longer than a transaction, so that poolers which share sessions can be used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import ARRAY, Text, bindparam, cast, func, literal_column, true
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import select
from sqlalchemy.sql.util import ClauseAdapter

from airflow_vod.inbox.columns import Seconds
from airflow_vod.inbox.dialects.base import LOCK_TIMEOUT, Dialect, on_conflict
from airflow_vod.inbox.listeners import CHANNEL, Listener, NotifyListener, PollingListener

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.sql import Executable
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.schema import Table

IDLE_TIMEOUT = 20  # seconds after which the server ends a transaction whose client has fallen silent
SCHEMA_LOCK = 0x766F64_696E626F78 & 0x7FFFFFFF_FFFFFFFF  # of pg_advisory_xact_lock: "vodinbox"

# A listening connection is silent for hours; these notice within a minute that the server or a firewall has dropped it.
_LIBPQ_TIMEOUTS = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 30,  # seconds
    "keepalives_interval": 10,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}


def _set_timeout(name: str, seconds: int) -> ColumnElement[str]:
    """Set a timeout for one transaction, unless the server's administrator or the URL has set one."""
    configured = func.nullif(func.current_setting(name), "0")
    return func.set_config(name, func.coalesce(configured, f"{seconds}s"), True)


_SET_TIMEOUTS = select(
    _set_timeout("lock_timeout", LOCK_TIMEOUT), _set_timeout("idle_in_transaction_session_timeout", IDLE_TIMEOUT)
)
_NOTIFY = select(func.pg_notify(CHANNEL, bindparam("payload", type_=Text())))


class PostgreSQL(Dialect):
    """A server that notifies its listeners of commits.

    :param url: where the database is.
    """

    driver = ("postgres", "postgresql+psycopg")
    driver_of_1_4 = ("psycopg2-binary", "postgresql+psycopg2")

    # Unlike now(), clock_timestamp() advances within a transaction, so it includes the time spent waiting for a lock.
    own_clock = cast(func.extract("epoch", func.clock_timestamp()), Seconds)

    # Classes of SQLSTATE: connection, rollback (deadlock), out of resources, lock not available, operator, system;
    # a server that is read-only because it is not, or not yet, the primary; and a transaction that was idle too long.
    transient_states: ClassVar[tuple[str, ...]] = ("08", "40", "53", "55P03", "57", "58", "25006", "25P03")

    def engine_options(self) -> dict[str, Any]:
        """Set timeouts for connecting and for noticing a dead server, and use UTF-8 whatever the server's default."""
        options = super().engine_options()
        if self.url.get_driver_name() in ("psycopg", "psycopg2"):
            timeouts = {name: value for name, value in _LIBPQ_TIMEOUTS.items() if name not in self.url.query}
            options["connect_args"] = {"client_encoding": "utf8", **timeouts}
        if self.url.get_driver_name() == "psycopg":
            # Behind a pooler that shares sessions, a statement prepared in one session may be run in another.
            options["connect_args"]["prepare_threshold"] = None
        return options

    def begin(self, connection: Connection) -> None:
        """Limit how long this transaction waits for a lock, and how long it may sit idle while holding one."""
        connection.execute(_SET_TIMEOUTS)

    def select_each(self, columns: Sequence[Any], of: Any, name: str, *conditions: Any) -> Select[Any]:
        """Use a lateral join, which leaves the planner no choice.

        With IN it may believe that a queue unknown to the last ANALYZE has few events, and read all of it through the
        primary key. OFFSET 0 keeps the inner query from being merged, and there only `of` can lead to an index.
        """
        value = func.unnest(cast(bindparam(name), ARRAY(Text()))).table_valued("one", name="wanted").render_derived()
        all_columns = select(*of.table.c).where(of == value.c.one).offset(literal_column("0")).lateral("found")
        found = ClauseAdapter(all_columns)
        return (
            select(*(found.traverse(column) for column in columns))
            .select_from(value.join(all_columns, true()))
            .where(*(found.traverse(condition) for condition in conditions))
        )

    def announce(self, connection: Connection, queue: str) -> None:
        """Use NOTIFY, which takes effect when the transaction commits."""
        connection.execute(_NOTIFY, {"payload": queue})

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """Use ``ON CONFLICT``."""
        return on_conflict(postgresql.insert(table), table, update)

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Take an advisory lock, which is released when the transaction ends."""
        connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        yield

    def is_transient(self, error: BaseException) -> bool:
        """Read the SQLSTATE; an error while connecting has none."""
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if state is None:
            return type(error).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")
        return str(state).startswith(self.transient_states)

    def listener(self, engine: Engine, positions: Callable[[], Mapping[str, int] | None]) -> Listener:
        """Use LISTEN with psycopg, and poll with other drivers, whose interfaces all differ."""
        if engine.dialect.driver == "psycopg":
            return NotifyListener(engine, lambda: PollingListener(positions))
        return PollingListener(positions)
