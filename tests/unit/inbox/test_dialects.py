from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.dialects import dialect_of
from airflow_vod.inbox.dialects.mysql import MySQL
from airflow_vod.inbox.migrations import config
from airflow_vod.inbox.tables import metadata
from tests.databases import PostgreSQLServer


def _mysql_statements() -> dict[str, str]:
    """Compile every statement of the inbox for MySQL."""
    database: Any = SimpleNamespace(now=MySQL.own_clock, dialect=MySQL(make_url("mysql+pymysql://host/x")))
    found: dict[str, Any] = {}
    store = InboxStore(database)
    for part in (store, store.leases, store.waiters, store.cursors, store.submissions, store.overview, store._pruning):
        for name, value in vars(part).items():
            values = value if isinstance(value, tuple) else (value,)
            name = f"{type(part).__name__}.{name.lstrip('_')}"
            found |= {f"{name}{n or ''}": each for n, each in enumerate(values) if isinstance(each, ClauseElement)}
    dialect: Any = mysql.dialect()
    insert = {"insert": database.dialect.insert_statement(dialect.identifier_preparer.quote)}
    return insert | {name: " ".join(str(each.compile(dialect=dialect)).split()) for name, each in found.items()}


def test_statements_compile_for_mysql() -> None:
    """All statements compile, with the locks, the upsert and the order of assignments that MySQL needs."""
    statements = _mysql_statements()
    assert len(statements) > 30
    assert statements["insert"].startswith("INSERT INTO vod_event (position, `key`, ")
    assert statements["InboxStore.lock"].endswith("FOR UPDATE")
    assert statements["Pruning.oldest"].endswith("FOR UPDATE SKIP LOCKED")
    assert "FORCE INDEX (ix_vod_event_task)" in statements["InboxStore.find"]
    assert "FORCE INDEX (uq_vod_event_key_queue)" in statements["InboxStore.known_keys"]
    assert "ON DUPLICATE KEY UPDATE" in statements["Waiters.add"]
    assert "since = " not in statements["Waiters.add"]
    assert "UTC_TIMESTAMP(6)" in statements["InboxStore.lock"]
    # MySQL sees what it has set already, so the holder is set after all that compares it.
    acquired, expires, holder = (
        statements["Leases.acquire"].index(f"{n}=") for n in ("acquired_at", "expires_at", "holder")
    )
    assert acquired < expires < holder


def test_tables_compile_for_mysql() -> None:
    """Ids compare byte by byte; bodies have room; no index is longer than InnoDB takes."""
    dialect: Any = mysql.dialect()
    ddl = "\n".join(str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables)
    assert "vod_task_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin" in ddl
    assert "body MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin" in ddl
    assert len(re.findall("VARCHAR|TEXT", ddl)) == ddl.count("COLLATE utf8mb4_0900_bin"), (
        "left to the server's defaults"
    )
    assert re.search(r"position BIGINT NOT NULL", ddl)
    assert "AUTO_INCREMENT" not in ddl
    assert "received_at DOUBLE" in ddl
    for table in metadata.sorted_tables:
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
            assert (
                sum(
                    4 * getattr(column.type, "length", 2) if "VARCHAR" in str(column.type) else 8
                    for column in index.columns
                )
                <= 3072
            )


def test_migrations_compile_for_mysql() -> None:
    """Each migration compiles for MySQL."""
    lines: list[str] = []
    context = MigrationContext.configure(
        dialect_name="mysql",
        opts={"as_sql": True, "output_buffer": SimpleNamespace(write=lines.append, flush=lambda: None)},
    )
    with Operations.context(context):
        for script in ScriptDirectory.from_config(config()).walk_revisions():
            script.module.upgrade()
    ddl = "".join(lines)
    assert "CREATE TABLE vod_event" in ddl
    assert "ALTER TABLE vod_waiter ADD COLUMN owner VARCHAR(255)" in ddl
    assert "CREATE TABLE vod_submission" in ddl
    assert "utf8mb4_0900_bin" in ddl


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:////x.db", "SQLite"),
        ("postgresql+psycopg2://host/x", "PostgreSQL"),
        ("mysql+pymysql://host/x", "MySQL"),
        ("mariadb+pymysql://host/x", "MySQL"),
    ],
)
def test_dialect_of_a_url(url: str, kind: str) -> None:
    """The URL's kind decides, not its driver."""
    assert type(dialect_of(make_url(url))).__name__ == kind


def test_sqlite_survives_a_loss_of_power(tmp_path: Path) -> None:
    """Every connection uses WAL, syncs at each commit and waits for locks."""
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}")
    engine = store._database.engine
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    store.close()


def test_a_dead_postgresql_server_is_noticed(postgresql: PostgreSQLServer) -> None:
    """Connections have timeouts that libpq accepts, and those given in the URL take precedence."""
    asked = make_url(postgresql.empty()).update_query_dict({"keepalives_idle": "7"})
    engine = create_engine(asked, **dialect_of(asked).engine_options())
    with engine.connect() as connection:
        taken = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()
    assert (taken["keepalives_idle"], taken["keepalives_count"], taken["connect_timeout"]) == ("7", "3", "10")


def test_limits_of_the_server_s_own_are_kept(postgresql: PostgreSQLServer) -> None:
    """A write waits for locks for at most our timeout, or the one that the URL or the server sets."""
    own = make_url(postgresql.inbox())
    for url, wanted in ((own, "30s"), (own.update_query_dict({"options": "-c lock_timeout=7s"}), "7s")):
        store = InboxStore.open(url.render_as_string(hide_password=False))
        with store._database.write() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == wanted
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "20s"
        store.close()
    postgresql.give_back(own.render_as_string(hide_password=False))


def test_only_dialects_know_the_databases() -> None:
    """No other module of the inbox, nor the base of the dialects, names a database outside of text."""
    inbox = Path(inspect.getfile(InboxStore)).parent
    may = {
        inbox / "tables.py",
        inbox / "columns.py",
        *(inbox / "migrations").rglob("*.py"),
        *(inbox / "dialects").glob("*.py"),
    }
    others = {*inbox.rglob("*.py")} - may | {inbox / "dialects/base.py"}
    assert len(others) > 14
    for path in sorted(others):
        code = re.sub(r'"""(?s:.*?)"""|"[^"\n]*"|#.*', "", path.read_text())
        assert not re.search(r"(?i)sqlite|postgres|mysql|psycopg", code), path.name
