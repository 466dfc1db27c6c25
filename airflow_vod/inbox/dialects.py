"""Where SQLite, PostgreSQL and MySQL differ. No other file of the inbox asks which database it talks to.

Invariant: whatever the database, a write sees all that was committed before it got its lock, and ids compare exactly.

SQLite and PostgreSQL are tested against the real thing. For MySQL and MariaDB the statements are compiled by the tests and
go no further: they have not been run against a server.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Text,
    bindparam,
    cast,
    column,
    event,
    func,
    insert,
    literal_column,
    true,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import Executable, select
from sqlalchemy.sql.util import ClauseAdapter

from airflow_vod.exceptions import InboxError
from airflow_vod.inbox.tables import Seconds, vod_event

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.schema import Table

LOCK_TIMEOUT = 30  # seconds to wait for another writer
IDLE_TIMEOUT = 20  # seconds after which PostgreSQL ends a transaction whose client says nothing more
CONNECT_TIMEOUT = 10  # seconds
CHANNEL = "vod_inbox"  # of NOTIFY; the payload is the queue's name, at most 1020 of the 8000 bytes allowed
SCHEMA_LOCK = 0x766F64_696E626F78 & 0x7FFFFFFF_FFFFFFFF  # of pg_advisory_xact_lock: "vodinbox"

# What differs from event to event within one call of `receive`; the other columns are the same for all of them.
PER_EVENT = (
    *("position", "key", "event_type", "vod_task_id", "file_id", "status", "finished", "outcome", "body", "error"),
)
PER_CALL = ("queue", "source", "received_at")


class Listener(Protocol):
    """Hears that somebody, in whatever process, has committed events."""

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Block until there is news, `timeout` seconds are over or `stop` is set; one thread at a time.

        :return: names of the queues in which something may have been committed since they were named last; None among
            them means any queue.
        """

    def close(self) -> None:
        """Give back what it holds."""


class PollingListener:
    """Asks for the positions of all queues, which grow with every event.

    :param positions: reads them; None where the database does not answer now.
    """

    def __init__(self, positions: Callable[[], Mapping[str, int] | None]) -> None:
        self._positions = positions
        self._heard = positions() or {}

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Pause, then ask."""
        _pause(timeout, stop)
        now = self._positions()
        if now is None:
            return ()
        before, self._heard = self._heard, now
        return [queue for queue, position in now.items() if position != before.get(queue)]

    def close(self) -> None:
        """Nothing is held."""


class NotifyListener:
    """Holds one PostgreSQL connection that is told of each commit (psycopg 3.2 or newer).

    Where the connection breaks off, it is made again, and the first answer after that is news: what happened meanwhile was
    not heard. Where LISTEN is accepted but nothing is ever heard, as behind a pooler that shares sessions, it polls.

    :param engine: where to get connections from.
    :param polling: what to do instead.
    """

    def __init__(self, engine: Engine, polling: Callable[[], PollingListener]) -> None:
        driver: Any = engine.dialect.dbapi
        self._errors = (SQLAlchemyError, driver.Error)
        self._engine = engine
        self._polling = polling
        self._held: Any = None  # SQLAlchemy's handle: it closes the connection when it is garbage
        self._connection: Any = None
        self._instead: PollingListener | None = None

    def listen(self, timeout: float, stop: threading.Event | None) -> Collection[str | None]:
        """Wait on the socket."""
        if self._instead is not None:
            return self._instead.listen(timeout, stop)
        try:
            if self._connection is None:
                return self._connect()
            heard = list(self._connection.notifies(timeout=timeout, stop_after=1))
            if heard:
                heard += self._connection.notifies(timeout=0)  # a burst of commits is one piece of news
            return {one.payload for one in heard if one.payload}
        except self._errors:  # the next read of the inbox says what is wrong
            self.close()
            _pause(timeout, stop)
            return ()

    def _connect(self) -> Collection[str | None]:
        self._held = self._engine.raw_connection()
        connection: Any = self._held.driver_connection
        self._held.detach()
        connection.rollback()
        connection.autocommit = True
        self._connection = connection
        if not self._hears():
            self.close()
            self._instead = self._polling()
        return (None,)

    def _hears(self) -> bool:
        """Try whether what is announced comes back."""
        try:
            self._connection.execute(f"LISTEN {CHANNEL}")
            self._connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
        except self._errors:
            if self._connection.closed:
                raise
            return False
        return bool(list(self._connection.notifies(timeout=2.0, stop_after=1)))

    def close(self) -> None:
        """Close the connection."""
        held, self._held, self._connection = self._held, None, None
        if held is not None:
            with contextlib.suppress(Exception):
                held.driver_connection.close()
                held.invalidate()  # else SQLAlchemy would reset it, and log that a lost connection cannot be


def _pause(seconds: float, stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


class Dialect:
    """What the inbox asks of a database, as most of them answer it.

    :param url: where the database is.
    """

    own_clock: ClassVar[ColumnElement[float] | None] = None  # Unix seconds; None where the machine's clock is as good
    reads: ClassVar[Mapping[str, Any]] = {"isolation_level": "AUTOCOMMIT"}  # spares BEGIN and ROLLBACK round trips

    def __init__(self, url: URL) -> None:
        self.url = url

    def engine_options(self) -> dict[str, Any]:
        """Arguments for ``create_engine``."""
        return {"isolation_level": "READ COMMITTED", "pool_pre_ping": True}

    def prepare(self, engine: Engine) -> None:
        """Attach what every new connection needs."""

    @property
    def closes_at_fork(self) -> bool:
        """Whether a child of a fork must not inherit idle connections, even if it leaves them alone."""
        return False

    def begin(self, connection: Connection) -> None:
        """Start a transaction that is going to write."""

    def insert_events(
        self, connection: Connection, per_call: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Insert rows of `PER_EVENT` columns."""
        connection.execute(_INSERT_EVENTS, [{**dict(zip(PER_EVENT, row, strict=True)), **per_call} for row in rows])

    def select_each(self, columns: Sequence[Any], of: Any, name: str, *conditions: Any) -> Select[Any]:
        """Select rows by many values of one column, so that an index on that column is entered once for each.

        :param columns: what to select, from one table.
        :param of: the column of that table.
        :param name: of the parameter that takes the list of values.
        :param conditions: what else must hold.
        """
        return select(*columns).where(of.in_(bindparam(name, expanding=True, type_=of.type)), *conditions)

    def aside(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Use a column in a condition that is not to choose the index."""
        return column

    def whole(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        """Cut the fraction off a number that is not negative."""
        return func.floor(number)

    def announce(self, connection: Connection, queue: str) -> None:
        """Tell all listeners, once this transaction is committed."""

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """Make an INSERT that, where the primary key exists, updates the columns named instead."""
        raise NotImplementedError

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Hold, inside the transaction, what lets only one process change the tables."""
        yield

    def is_transient(self, error: BaseException) -> bool:
        """Say whether this error of the driver may go away by itself."""
        raise NotImplementedError

    def listener(self, engine: Engine, positions: Callable[[], Mapping[str, int] | None]) -> Listener:
        """Make what hears of commits."""
        return PollingListener(positions)


_INSERT_EVENTS = insert(vod_event)


class SQLite(Dialect):
    """One file beside Airflow. Writers take turns; readers never wait (WAL)."""

    reads = {}

    @property
    def path(self) -> Path | None:
        """The file, unless it is in memory or a ``file:`` URI, which SQLite reads itself."""
        name = self.url.database
        return Path(name) if name and name != ":memory:" and not name.startswith("file:") else None

    def engine_options(self) -> dict[str, Any]:
        """A pool of connections to the file; a database in memory has one connection, which the threads share in turn."""
        timeout = {} if "timeout" in self.url.query else {"timeout": LOCK_TIMEOUT}
        options: dict[str, Any] = {"poolclass": QueuePool, "connect_args": {"check_same_thread": False, **timeout}}
        if self.path is None and not (self.url.database or "").startswith("file:"):
            options |= {"pool_size": 1, "max_overflow": 0}
        return options

    def prepare(self, engine: Engine) -> None:
        """Create the file for its owner only (the journals inherit that), and set up each connection."""
        event.listen(engine, "connect", self._connected)
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        except PermissionError:
            if not self.path.exists():
                raise
            # It may still be readable; SQLite will say so when something is written.

    _opened = False

    def _connected(self, connection: Any, record: Any) -> None:
        _set_up_sqlite(connection, record)
        self._opened = True

    @property
    def closes_at_fork(self) -> bool:
        """A child would take the parent's locks on the file for its own, and write without any."""
        return self.path is not None

    def begin(self, connection: Connection) -> None:
        """Lock at once: a transaction that reads first and then writes cannot wait for its turn."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def insert_events(
        self, connection: Connection, per_call: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Hand the rows to the driver as they are: SQLAlchemy would work on every value, to no end."""
        common = tuple(per_call[name] for name in PER_CALL)
        connection.exec_driver_sql(_SQLITE_INSERT, [row + common for row in rows])

    def aside(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Make an expression of it: SQLite knows nothing of how values are spread, and would sort a whole queue."""
        return column.concat("")

    def whole(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        """Cast, which cuts here and rounds elsewhere; FLOOR is missing in some builds of SQLite."""
        return cast(number, BigInteger)

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """``ON CONFLICT``."""
        return _on_conflict(sqlite.insert(table), table, update)

    def is_transient(self, error: BaseException) -> bool:
        """Read SQLite's result code; a lock, a full disk or a failing one may get better."""
        name = str(getattr(error, "sqlite_errorname", None) or "")
        return name.startswith(
            ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_PROTOCOL", "SQLITE_NOMEM")
        ) or (self._opened and name == "SQLITE_CANTOPEN")  # no file descriptor left, or the folder is away


_SQLITE_COLUMNS = PER_EVENT + PER_CALL
_SQLITE_INSERT = (
    f"INSERT INTO vod_event ({', '.join(_SQLITE_COLUMNS)}) "  # noqa: S608 - names of columns, no values
    f"VALUES ({', '.join('?' * len(_SQLITE_COLUMNS))})"
)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver starts no transaction by itself; `begin` does
    cursor = connection.cursor()
    try:
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
            _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")  # a commit survives a loss of power
        # The keys of events are spread over their whole index: these two save writing its pages again and again.
        cursor.execute("PRAGMA cache_size=-16000")  # KiB
        cursor.execute("PRAGMA wal_autocheckpoint=4000")  # pages of 4 KiB
        cursor.execute("PRAGMA journal_size_limit=67108864")
    finally:
        cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    """SQLite does not wait for its turn here, so this does. A file system without shared memory keeps its journal."""
    give_up = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL").fetchone()
        except Exception as error:
            name = str(getattr(error, "sqlite_errorname", ""))
            if name.startswith("SQLITE_READONLY"):
                return
            if not name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


class PostgreSQL(Dialect):
    """A server for any number of machines, which tells its listeners of commits."""

    # clock_timestamp goes on during a transaction, now() does not: it would forget the time spent waiting for a lock.
    own_clock = cast(func.extract("epoch", func.clock_timestamp()), Seconds)
    # Classes of SQLSTATE: connection, rolled back (deadlock), out of resources, lock not available, operator, system;
    # a server that is read-only because it is not, or not yet, the primary; and a transaction that idled for too long.
    transient_states: ClassVar[tuple[str, ...]] = ("08", "40", "53", "55P03", "57", "58", "25006", "25P03")

    def begin(self, connection: Connection) -> None:
        """Bound what a writer that froze in the middle, or lost its network there, makes the others wait.

        For this transaction only: behind a pooler that shares sessions, others would get what is set for longer.
        """
        connection.execute(_BOUNDS)

    def engine_options(self) -> dict[str, Any]:
        """Bound the time to connect and to notice a dead server, and speak UTF-8 whatever the server's default."""
        options = super().engine_options()
        if self.url.get_driver_name() in ("psycopg", "psycopg2"):
            bounds = {name: value for name, value in _LIBPQ_BOUNDS.items() if name not in self.url.query}
            options["connect_args"] = {"client_encoding": "utf8", **bounds}
        if self.url.get_driver_name() == "psycopg":
            # Behind a pooler that shares sessions a statement is prepared in one and looked for in another.
            options["connect_args"]["prepare_threshold"] = None
        return options

    def insert_events(
        self, connection: Connection, per_call: Mapping[str, Any], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Send one statement whatever the number of rows, as one array per column."""
        columns: dict[str, Any] = dict(zip(PER_EVENT, map(list, zip(*rows, strict=True)), strict=True))
        # Drivers escape texts in an array one by one, which costs more than all the rest.
        columns |= {name: "\n".join([value or "" for value in columns[name]]) for name in _LINES}
        connection.execute(_UNNEST_EVENTS, {**columns, **per_call})

    def select_each(self, columns: Sequence[Any], of: Any, name: str, *conditions: Any) -> Select[Any]:
        """Join in a way that leaves no choice to the planner.

        It takes a queue that the last ANALYZE did not see to be rare, and would read all of it in the order of its
        primary key. OFFSET 0 keeps the inner query apart, where nothing but `of` can lead to an index.
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
        """NOTIFY is part of the transaction."""
        connection.execute(_NOTIFY, {"payload": queue})

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """``ON CONFLICT``."""
        return _on_conflict(postgresql.insert(table), table, update)

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Hold an advisory lock until the transaction ends."""
        connection.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        yield

    def is_transient(self, error: BaseException) -> bool:
        """Read the SQLSTATE; a connection that was never made has none."""
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if state is None:
            return type(error).__name__ in ("OperationalError", "InterfaceError", "ConnectionTimeout")
        return str(state).startswith(self.transient_states)

    def listener(self, engine: Engine, positions: Callable[[], Mapping[str, int] | None]) -> Listener:
        """Listen with psycopg; other drivers differ too much to be worth it."""
        if engine.dialect.driver == "psycopg":
            return NotifyListener(engine, lambda: PollingListener(positions))
        return PollingListener(positions)


# What waits for news is silent for hours; a server or firewall that went away meanwhile is noticed within a minute.
_LIBPQ_BOUNDS = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 30,  # seconds
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}

# Columns whose texts have no line break and are not empty, so that one text holds them all: ids have no control
# characters, and compact JSON breaks no lines. (If one did, the columns would differ in length, and PostgreSQL refuse.)
_LINES = ("key", "event_type", "vod_task_id", "file_id", "status", "outcome", "body")


def _unnest_events() -> Executable:
    kinds: dict[str, Any] = {"position": BigInteger(), "finished": Boolean()}
    line_break, nothing = literal_column("E'\\n'", Text()), literal_column("''", Text())
    arrays: list[Any] = [
        func.string_to_array(bindparam(name, type_=Text()), line_break, nothing)
        if name in _LINES
        else cast(bindparam(name), ARRAY(kinds.get(name, Text())))
        for name in PER_EVENT
    ]
    rows = func.unnest(*arrays).table_valued(*map(column, PER_EVENT), name="event").render_derived()
    per_call = [bindparam(name, type_=vod_event.c[name].type) for name in PER_CALL]
    return insert(vod_event).from_select(
        [*PER_EVENT, *PER_CALL], select(*(rows.c[name] for name in PER_EVENT), *per_call)
    )


_UNNEST_EVENTS = _unnest_events()


def _bound(name: str, seconds: int) -> ColumnElement[str]:
    """Set a limit of PostgreSQL for one transaction, unless whoever runs the server has set one."""
    set_already = func.nullif(func.current_setting(name), "0")
    return func.set_config(name, func.coalesce(set_already, f"{seconds}s"), True)


_BOUNDS = select(_bound("lock_timeout", LOCK_TIMEOUT), _bound("idle_in_transaction_session_timeout", IDLE_TIMEOUT))
_NOTIFY = select(func.pg_notify(CHANNEL, bindparam("payload", type_=Text())))


def _on_conflict(statement: Any, table: Table, update: Sequence[str]) -> Executable:
    keys = list(table.primary_key.columns)
    if not update:
        return statement.on_conflict_do_nothing(index_elements=keys)
    return statement.on_conflict_do_update(
        index_elements=keys, set_={name: statement.excluded[name] for name in update}
    )


class MySQL(Dialect):
    """MySQL 8.0.16 or MariaDB 10.6 and newer (CHECK and SKIP LOCKED). Compiled by the tests, not run."""

    # From UTC, because UNIX_TIMESTAMP(NOW()) is ambiguous for an hour each autumn; 1e6 makes it a DOUBLE.
    own_clock = literal_column("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6", Seconds)
    # Too many connections, shutdown, disk or table full, lock timeout, deadlock, read-only, query timeout, idle timeout;
    # from 2000 on, the client's own: no connection, or lost.
    transient_codes: ClassVar[frozenset[int]] = frozenset(
        (1021, 1040, 1053, 1114, 1180, 1203, 1205, 1213, 1290, 1836, 3024, 4031, 2002, 2003, 2006, 2013, 2055)
    )

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """``ON DUPLICATE KEY``; setting a key to itself does nothing."""
        statement = mysql.insert(table)
        names = list(update) or [next(iter(table.primary_key.columns)).name]
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in names})

    @contextlib.contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        """Hold a lock of the session: DDL commits, so a transaction holds nothing together."""
        connection.execute(select(func.get_lock("vod_inbox_schema", 2 * LOCK_TIMEOUT)))
        try:
            yield
        finally:
            connection.execute(select(func.release_lock("vod_inbox_schema")))

    def is_transient(self, error: BaseException) -> bool:
        """Read the error number."""
        code = error.args[0] if error.args else None
        return code in self.transient_codes


_DIALECTS: Mapping[str, type[Dialect]] = {
    "sqlite": SQLite,
    "postgresql": PostgreSQL,
    "mysql": MySQL,
    "mariadb": MySQL,
}


def dialect_of(url: URL) -> Dialect:
    """Choose by the URL.

    :raises InboxError: the inbox does not know this kind of database.
    """
    try:
        return _DIALECTS[url.get_backend_name()](url)
    except KeyError:
        raise InboxError(
            f"The inbox cannot be kept in {url.get_backend_name()!r}: "
            "point [tencent_vod] inbox_sql_alchemy_conn to SQLite, PostgreSQL or MySQL."
        ) from None
