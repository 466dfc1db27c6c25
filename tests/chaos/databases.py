"""What can happen to the database of an inbox, done to a real one.

Invariant: each trouble ends by itself, and the inbox is as good as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from airflow_vod.inbox import InboxStore
from tests.databases import PostgreSQLServer

LOCK_PATIENCE = 0.5  # seconds for which players wait for a lock

# A full disk cannot be had without a disk to fill; this raises the very error of one, in the very transaction.
_FULL = """
CREATE TABLE disk (is_full boolean);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM disk) THEN
        RAISE EXCEPTION 'could not extend file: no space left on device' USING ERRCODE = 'disk_full';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON vod_event FOR EACH ROW EXECUTE FUNCTION refuse();
"""


class Saboteur:
    """Troubles one inbox.

    :param database: ``sqlite`` or ``postgresql``.
    :param url: of an empty database.
    :param server: where that is, if it is PostgreSQL; for nobody else, because it will be restarted.
    """

    KINDS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "sqlite": ("database locked", "database full", "pool exhausted"),
        "postgresql": (
            "database locked",
            "database full",
            "pool exhausted",
            "database restarted",
            "database connections cut",
        ),
    }

    def __init__(self, database: str, url: str, server: PostgreSQLServer | None = None) -> None:
        self.database = database
        self._server = server
        self._engine = create_engine(url, poolclass=NullPool)
        InboxStore.open(url).close()
        if server is None:
            self.url = f"{url}?timeout={LOCK_PATIENCE}"
        else:
            self.url = f"{url}&options=-c%20lock_timeout%3D{round(LOCK_PATIENCE * 1000)}"
            self._execute(_FULL)

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
                self._execute("INSERT INTO disk VALUES (true)")
                time.sleep(1.0)
                self._execute("DELETE FROM disk")
            case "pool exhausted":
                tell("exhaust", 1.0)
                time.sleep(1.0)
            case "database restarted":
                assert self._server
                self._server.crash()
            case "database connections cut":
                self._execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def _lock(self, seconds: float) -> None:
        """Hold what every writer needs."""
        lock = "BEGIN IMMEDIATE" if self._server is None else "LOCK TABLE vod_queue, vod_lease IN EXCLUSIVE MODE"
        until = time.monotonic() + 20
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.execute(text(lock))
                    time.sleep(seconds)
                return
            except SQLAlchemyError:  # the server has just been restarted
                if time.monotonic() > until:
                    raise

    def _execute(self, statement: str) -> None:
        """Execute on PostgreSQL, also when that is being restarted meanwhile."""
        until = time.monotonic() + 20
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql(statement)
                    connection.commit()
                return
            except SQLAlchemyError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
