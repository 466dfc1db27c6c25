"""The inbox in a SQLite file.

Invariant: a commit survives a loss of power, and readers never wait for writers (WAL).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, cast, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import QueuePool

from airflow_vod.inbox.dialects.base import LOCK_TIMEOUT, Dialect, on_conflict

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.sql import Executable
    from sqlalchemy.sql.elements import ColumnElement
    from sqlalchemy.sql.schema import Table


class SQLite(Dialect):
    """One file on the machine that runs Airflow. Writers take turns; readers never wait.

    :param url: where the file is.
    """

    read_options = {}
    placeholder = "?"

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        name = url.database
        # None for a database in memory, and for a ``file:`` URI, which only SQLite itself can interpret.
        self._path = Path(name) if name and name != ":memory:" and not name.startswith("file:") else None
        # A child of a fork would rely on the parent's file locks, which it does not inherit, and write without any.
        self.closes_at_fork = self._path is not None
        self._has_connected = False

    def engine_options(self) -> dict[str, Any]:
        """Use a pool of connections to a file; a database in memory has one connection, which threads use in turn."""
        timeout = {} if "timeout" in self.url.query else {"timeout": LOCK_TIMEOUT}
        options: dict[str, Any] = {"poolclass": QueuePool, "connect_args": {"check_same_thread": False, **timeout}}
        if self._path is None and not (self.url.database or "").startswith("file:"):
            options |= {"pool_size": 1, "max_overflow": 0}
        return options

    def prepare(self, engine: Engine) -> None:
        """Create the file, readable by its owner only (its journals inherit the mode), and set up each connection."""
        event.listen(engine, "connect", self._set_up)
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        except PermissionError:
            if not self._path.exists():
                raise
            # The file may still be readable; SQLite raises an error when something is written.

    def _set_up(self, connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver starts no transaction by itself; `begin` does
        cursor = connection.cursor()
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "delete":
                _switch_to_wal(cursor)
            cursor.execute("PRAGMA synchronous=FULL")  # a commit survives a loss of power
            # Keys of events are random, so inserts touch pages all over their index: a larger cache and fewer
            # checkpoints avoid writing the same pages again and again.
            cursor.execute("PRAGMA cache_size=-16000")  # KiB
            cursor.execute("PRAGMA wal_autocheckpoint=4000")  # pages of 4 KiB
            cursor.execute("PRAGMA journal_size_limit=67108864")
        finally:
            cursor.close()
        self._has_connected = True

    def begin(self, connection: Connection) -> None:
        """Take the write lock at once: SQLite refuses, without waiting, to upgrade a read transaction to a write."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def hide_from_index(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """Make an expression of it: without statistics SQLite would choose the index on the column and sort a queue."""
        return column.concat("")

    def truncate(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        """Use CAST, which truncates in SQLite (elsewhere it rounds); some builds of SQLite have no FLOOR."""
        return cast(number, BigInteger)

    def upsert(self, table: Table, update: Sequence[str]) -> Executable:
        """Use ``ON CONFLICT``."""
        return on_conflict(sqlite.insert(table), table, update)

    def is_transient(self, error: BaseException) -> bool:
        """Read SQLite's result code; locks, full disks and I/O errors may go away."""
        name = str(getattr(error, "sqlite_errorname", None) or "")
        return name.startswith(
            ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_PROTOCOL", "SQLITE_NOMEM")
        ) or (self._has_connected and name == "SQLITE_CANTOPEN")  # no file descriptor left, or the folder is unmounted


def _switch_to_wal(cursor: Any) -> None:
    """Switch, retrying while the file is locked: SQLite's own timeout does not apply here.

    A file system without shared memory keeps its journal mode.
    """
    give_up_monotonic = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL").fetchone()
        except Exception as error:
            name = str(getattr(error, "sqlite_errorname", ""))
            if name.startswith("SQLITE_READONLY"):
                return
            if not name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or time.monotonic() > give_up_monotonic:
                raise
            time.sleep(0.02)
        else:
            return
