"""What can happen to the database of an inbox, done to a real one.

Invariant: each trouble ends by itself, and the inbox is as good as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar
from urllib.parse import quote_plus

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from airflow_vod.inbox import InboxStore
from tests.databases import Server

LOCK_PATIENCE = 0.5  # seconds for which players wait for a lock

# A full disk cannot be had without a disk to fill; this raises the very error of one, in the very transaction.
_FULL = {
    "postgresql": """
CREATE TABLE disk (is_full boolean);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM disk) THEN
        RAISE EXCEPTION 'could not extend file: no space left on device' USING ERRCODE = 'disk_full';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON vod_event FOR EACH ROW EXECUTE FUNCTION refuse();
""",
    "mariadb": """
CREATE TABLE disk (is_full boolean);
CREATE TRIGGER refuse BEFORE INSERT ON vod_event FOR EACH ROW
    IF EXISTS (SELECT 1 FROM disk) THEN
        SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full';
    END IF;
""",
}
_LOCK = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "LOCK TABLE vod_queue, vod_lease IN EXCLUSIVE MODE",
    "mariadb": "LOCK TABLES vod_queue WRITE, vod_lease WRITE",
}


class Saboteur:
    """Troubles one inbox.

    :param database: the kind, one of `KINDS`.
    :param url: of an empty database.
    :param server: where that is, if it is on one; for nobody else, because it will be restarted.
    """

    KINDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "sqlite": ("database locked", "database full", "pool exhausted"),
        **dict.fromkeys(
            ("postgresql", "mariadb"),
            (
                "database locked",
                "database full",
                "pool exhausted",
                "database restarted",
                "database connections cut",
            ),
        ),
    }

    def __init__(self, database: str, url: str, server: Server | None = None) -> None:
        self.database = database
        self._server, self._own_url = server, url
        self._engine = create_engine(url, poolclass=NullPool)
        InboxStore.open(url).close()
        if server is None:
            self.url = f"{url}?timeout={LOCK_PATIENCE}"
            return
        if database == "postgresql":
            self.url = f"{url}&options=-c%20lock_timeout%3D{round(LOCK_PATIENCE * 1000)}"
        else:  # which counts in whole seconds
            self.url = f"{url}&init_command={quote_plus('SET innodb_lock_wait_timeout = 1, lock_wait_timeout = 1')}"
        self._again_and_again(lambda: server.execute(_FULL[database], str(make_url(url).database)))

    def strike(self, kind: str, tell: Callable[[str, float], object]) -> None:
        """Let something happen, and return when it is over.

        :param kind: one of `KINDS`.
        :param tell: gives the players a command.
        """
        match kind:
            case "database locked":
                self._lock(2 * LOCK_PATIENCE)
            case "database full" if self._server is None:
                tell("fill", 1.0)
                time.sleep(1.0)
            case "database full":
                self._again_and_again(lambda: self._execute("INSERT INTO disk VALUES (true)"))
                time.sleep(1.0)
                self._again_and_again(lambda: self._execute("DELETE FROM disk"))
            case "pool exhausted":
                tell("exhaust", 1.0)
                time.sleep(1.0)
            case "database restarted":
                assert self._server
                self._server.crash()
            case "database connections cut":
                assert self._server
                self._again_and_again(lambda: self._server.cut_connections(self._own_url))

    def _lock(self, seconds: float) -> None:
        """Hold what every writer needs."""

        def lock() -> None:
            with self._engine.connect() as connection:
                connection.execute(text(_LOCK[self.database]))
                time.sleep(seconds)
                connection.invalidate()  # MariaDB's lock outlives a transaction

        self._again_and_again(lock)

    def _execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)
            connection.commit()

    def _again_and_again(self, do: Callable[[], object]) -> None:
        """Do something that fails where the server is being restarted meanwhile."""
        until = time.monotonic() + 20
        while True:
            try:
                do()
            except Exception:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return
