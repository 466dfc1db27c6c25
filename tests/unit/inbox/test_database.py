from __future__ import annotations

import sqlite3
import traceback
from pathlib import Path

import pytest

from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox import database as databases
from airflow_vod.inbox.database import Database
from tests.databases import PostgreSQLServer
from tests.samples import concat_event

PASSWORD = "s3cret/pass word@"
QUOTED = "s3cret%2Fpass%20word%40"


def _raised(url: str, kind: type[InboxError]) -> str:
    """Open, and return everything that a log could show of the error."""
    with pytest.raises(InboxError) as raised:
        InboxStore.open(url)
    assert type(raised.value) is kind
    shown = "".join(traceback.format_exception(raised.value))
    for secret in (PASSWORD, QUOTED, "s3cret"):
        assert secret not in shown
    return str(raised.value)


def test_server_that_cannot_be_reached() -> None:
    """A refused connection is transient; the message shows the URL and what to check."""
    message = _raised(f"postgresql+psycopg://user:{QUOTED}@127.0.0.1:1/airflow", InboxUnavailableError)
    assert "user:***@127.0.0.1:1/airflow" in message
    assert "[tencent_vod] inbox_sql_alchemy_conn" in message


def test_password_that_the_driver_quotes() -> None:
    """Secrets that a driver quotes from its arguments are masked, and the original error is not chained."""
    message = _raised(f"postgresql+psycopg://user:{QUOTED}@127.0.0.1:1/x?connect_timeout={QUOTED}", InboxError)
    assert "***" in message


@pytest.mark.parametrize("url", [f"no url but {PASSWORD}", f"postgresql+psycopg://user:{QUOTED}@host:port/x", ""])
def test_text_that_is_no_url(url: str) -> None:
    """A malformed URL is not quoted, because it may hold a password; an example is given."""
    assert "postgresql+psycopg://user:password@host/database" in _raised(url, InboxError)


@pytest.mark.parametrize("rest", ["ss", "s/s", "s?s", "s#s", ":s", "ss:1/s"])
def test_a_raw_at_sign_in_a_password(rest: str) -> None:
    """What stands between a raw @ of a password and the host is not shown: the URL is refused, and how to write it is told."""
    message = _raised(f"postgresql+psycopg://user:p@{rest}x3cret@host/inbox", InboxError)
    assert "as %40" in message
    assert "x3cret" not in message


def test_an_at_sign_that_is_none_of_a_password(tmp_path: Path) -> None:
    """The path of a SQLite file may hold one."""
    InboxStore.open(f"sqlite:///{tmp_path / 'a@b.db'}").close()


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        (f"oracle+oracledb://user:{QUOTED}@host/x", "SQLite, PostgreSQL or MySQL"),
        (f"nothing://user:{QUOTED}@host/x", "SQLite, PostgreSQL or MySQL"),
        (f"postgresql+nodriver://user:{QUOTED}@host/x", "driver"),
        (f"mysql+mysqldb://user:{QUOTED}@host/x", "pip install 'airflow-provider-tencent-vod[mysql]'`, and begin"),
        (f"mysql://user:{QUOTED}@host/x", "with mysql+pymysql://"),
        (
            f"postgresql+pg8000://user:{QUOTED}@host/x",
            "pip install 'airflow-provider-tencent-vod[postgres]'`, and begin",
        ),
    ],
)
def test_database_that_cannot_be_used(url: str, remedy: str) -> None:
    """An unsupported kind of database, or one whose driver is missing, is refused with the remedy."""
    assert remedy in _raised(url, InboxError)


def test_a_driver_that_sqlalchemy_1_4_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Airflow 3.0 the error names the driver for PostgreSQL that works there."""
    monkeypatch.setattr(databases, "_IS_1_4", True)
    message = _raised(f"postgresql+psycopg9://user:{QUOTED}@host/x", InboxError)
    assert "pip install psycopg2-binary`, and begin" in message
    assert "with postgresql+psycopg2://" in message


def test_secrets_in_the_query_are_masked() -> None:
    """Passwords in the query of a URL are masked too."""
    database = Database(f"postgresql+psycopg://user@host/x?password={QUOTED}&sslpassword=other&application_name=a")
    assert "s3cret" not in database.url
    assert "other" not in database.url
    assert "application_name=a" in database.url
    database.close()


def test_folder_is_made(tmp_path: Path) -> None:
    """Missing folders are created; nobody but the owner can read the file or its journals."""
    path = tmp_path / "new" / "folder" / "inbox.db"
    store = InboxStore.open(f"sqlite:///{path}")
    store.receive("queue", [concat_event("Concat-1")], "pull")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"inbox.db": 0o600, "inbox.db-wal": 0o600, "inbox.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o077 == 0
    store.close()


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """If a file stands where the folder should be, the message says which option to change."""
    (tmp_path / "file").touch()
    message = _raised(f"sqlite:///{tmp_path / 'file' / 'inbox.db'}", InboxError)
    assert "[tencent_vod] inbox_sql_alchemy_conn" in message


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A file that is not a SQLite database is not overwritten."""
    path = tmp_path / "inbox.db"
    path.write_bytes(b"something else\n" * 1000)
    assert "not a database" in _raised(f"sqlite:///{path}", InboxError)
    assert path.read_bytes() == b"something else\n" * 1000


def test_read_only_file(tmp_path: Path) -> None:
    """A read-only file can be read; writing is refused permanently, with the remedy."""
    path = tmp_path / "inbox.db"
    writer = InboxStore.open(f"sqlite:///{path}")
    writer.receive("queue", [concat_event("Concat-1")], "pull")
    store = InboxStore.open(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert store.find("queue", ["Concat-1"])
    with pytest.raises(InboxError, match="readonly") as raised:
        store.receive("queue", [concat_event("Concat-2")], "pull")
    assert not isinstance(raised.value, InboxUnavailableError)
    assert "write" in str(raised.value)
    store.close()
    writer.close()


def test_locked_file_is_unavailable(tmp_path: Path) -> None:
    """A lock held for longer than the timeout is a transient error; afterwards everything works again."""
    path = tmp_path / "inbox.db"
    store = InboxStore.open(f"sqlite:///{path}?timeout=0.1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InboxUnavailableError, match="locked"):
        store.receive("queue", [concat_event("Concat-1")], "pull")
    with pytest.raises(InboxUnavailableError, match="locked"):
        store.leases.acquire("queue", "holder", 10)
    assert store.find("queue", ["Concat-1"]) == {}
    other.execute("ROLLBACK")
    assert not store.receive("queue", [concat_event("Concat-1")], "pull")[0].duplicate
    other.close()
    store.close()


def test_full_disk_is_unavailable(tmp_path: Path) -> None:
    """A full disk is a transient error; what was committed before is intact."""
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}")
    store.receive("queue", [concat_event("Concat-1")], "pull")
    with store._database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(InboxUnavailableError, match="full"):
        store.receive("queue", [concat_event(f"Concat-{n}") for n in range(1000)], "pull")
    assert store.find("queue", ["Concat-1", "Concat-2"]).keys() == {"Concat-1"}
    store.close()


def test_inbox_in_memory() -> None:
    """An inbox can live in memory, without any file."""
    store = InboxStore.open("sqlite://")
    store.receive("queue", [concat_event("Concat-1")], "pull")
    assert store.find("queue", ["Concat-1"])
    store.close()


def test_an_error_that_sqlalchemy_does_not_translate(inbox: InboxStore) -> None:
    """What the driver raises beside SQLAlchemy, as when a session is cut while its isolation is changed, is an InboxError too."""
    for connect in (inbox._database.read, inbox._database.write):
        with pytest.raises(InboxError, match="refused"), connect() as connection:
            connection.connection.cursor().execute("nonsense")


def test_user_without_rights(postgresql: PostgreSQLServer) -> None:
    """A user without the right to create tables gets an error that says so."""
    url = postgresql.empty()
    postgresql.execute("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN")
    message = _raised(url.replace("postgres@", f"nobody:{QUOTED}@"), InboxError)
    assert "may create, read and write tables" in message


def test_server_that_only_reads(postgresql: PostgreSQLServer) -> None:
    """A read-only standby is a transient error, because it may be promoted."""
    url = postgresql.empty()
    message = _raised(f"{url}&options=-cdefault_transaction_read_only%3Don", InboxUnavailableError)
    assert "read-only" in message
