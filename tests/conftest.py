"""Fixtures that several folders of tests use: databases. The emulator's come from the package's own pytest plugin."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from airflow_vod.inbox import InboxStore
from tests.airflow_fixtures import airflow_db, unsteady, vod, vod_options
from tests.databases import KINDS, SERVERS, PostgreSQLServer, Server, server_of

__all__ = ["airflow_db", "unsteady", "vod", "vod_options"]

# They exist where MariaDB is asked for, and nowhere else: nothing is skipped.
collect_ignore = [] if "mariadb" in KINDS else ["integration/test_mariadb.py"]

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile(
    "untimed", deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """A PostgreSQL server for this session."""
    with server_of("postgresql") as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server for this session."""
    with server_of("mariadb") as server:
        yield server


@pytest.fixture(scope="session")
def new_inbox(request: pytest.FixtureRequest, sqlite_inbox: Path) -> Callable[[str, Path], str]:
    """Make the empty tables of an inbox that nobody else uses in a database of a kind; SQLite's is to be in that file."""

    def make(kind: str, file: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{shutil.copy(sqlite_inbox, file)}"
        return request.getfixturevalue(kind).inbox()

    return make


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    """A database server; a test that uses it runs once on each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> str:
    """The kind of database; a test that uses it, or a fixture below, runs once on each."""
    return str(request.param)


@pytest.fixture
def new_database(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Make databases that are new and empty; returns the SQLAlchemy URL."""
    if database == "sqlite":
        numbers = itertools.count()
        return lambda: f"sqlite:///{tmp_path / f'empty{next(numbers)}.db'}"
    return request.getfixturevalue(database).empty


@pytest.fixture
def empty_url(new_database: Callable[[], str]) -> str:
    """SQLAlchemy URL of a database that is new and empty."""
    return new_database()


@pytest.fixture(scope="session")
def sqlite_inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the tables of an inbox, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "inbox.db"
    InboxStore.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def inbox_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy URL of a database with the empty tables of an inbox in it, for this test alone."""
    if database == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_inbox'), tmp_path / 'inbox.db')}"
        return
    server: Server = request.getfixturevalue(database)
    url = server.inbox()
    yield url
    server.give_back(url)


@pytest.fixture
def open_inbox(inbox_url: str) -> Iterator[Callable[..., InboxStore]]:
    """Open stores on the one inbox of this test; they are closed after it."""
    opened: list[InboxStore] = []

    def open_one(**options: Callable[[], float]) -> InboxStore:
        opened.append(InboxStore.open(inbox_url, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def inbox(open_inbox: Callable[..., InboxStore]) -> InboxStore:
    """An empty inbox that goes by the database's clock."""
    return open_inbox()
