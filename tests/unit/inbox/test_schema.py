from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import Engine

from airflow_vod.exceptions import InboxError, InboxSchemaError
from airflow_vod.inbox import InboxStore, Waiter
from airflow_vod.inbox.migrations import config, upgrade
from airflow_vod.inbox.schema import existing_version
from airflow_vod.inbox.tables import SCHEMA_VERSION, VERSION_TABLE, metadata
from tests.samples import concat_event


def test_migrations_end_at_the_version_of_the_tables() -> None:
    """The version that a store expects is the newest migration."""
    assert ScriptDirectory.from_config(config()).get_heads() == [SCHEMA_VERSION]


def _described(url: str) -> dict[str, Any]:
    """Everything the database reports about the tables."""
    engine = create_engine(url)
    look = inspect(engine)
    found = {
        name: {
            "columns": [{**column, "type": repr(column["type"])} for column in look.get_columns(name)],
            "primary key": look.get_pk_constraint(name),
            "unique": look.get_unique_constraints(name),
            "check": sorted(look.get_check_constraints(name), key=lambda each: str(each["name"])),
            "indexes": [
                {
                    **index,
                    "dialect_options": {key: str(value) for key, value in index.get("dialect_options", {}).items()},
                }
                for index in sorted(look.get_indexes(name), key=lambda each: str(each["name"]))
            ],
        }
        for name in metadata.tables
    }
    engine.dispose()
    return found


def test_migrations_make_the_tables_of_the_code(inbox_url: str, empty_url: str) -> None:
    """Alembic and the database see no difference between the migrated tables and those of `tables.py`."""
    engine = create_engine(inbox_url)
    with engine.connect() as connection:
        options = {"compare_type": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()
    engine = create_engine(empty_url)
    metadata.create_all(engine)
    engine.dispose()
    assert _described(inbox_url) == _described(empty_url)


_OLD = Waiter("1", "Concat-1", ("ConcatComplete",), "dag/run/task", None, 1.5, None)
_ROWS: dict[str, dict[str, Any]] = {
    "vod_queue": {"name": "queue", "position": 7},
    "vod_event": {
        "queue": "queue",
        "position": 7,
        "key": "k" * 64,
        "event_type": "ConcatComplete",
        "vod_task_id": "Concat-1",
        "finished": True,
        "source": "pull",
        "body": '{"EventType": "ConcatComplete", "text": "\u62fc\u63a5 \U0001f3ac"}',
        "received_at": 1_800_000_000.123456,
    },
    "vod_lease": {"queue": "queue", "holder": "old", "acquired_at": 1.0, "expires_at": 2.0, "info": "{}"},
    "vod_waiter": {
        "queue": "queue",
        "id": "1",
        "vod_task_id": "Concat-1",
        "event_types": '["ConcatComplete"]',
        "waiter": "dag/run/task",
        "since": 1.5,
    },
    "vod_cursor": {"watcher": "watcher", "queue": "queue", "position": 3, "updated_at": 1.0},
    "vod_submission": {  # since 0003
        "queue": "queue",
        "key": "s" * 64,
        "generation": 1,
        "session_id": "session",
        "action": "EditMedia",
        "parameters": "{}",
        "submitter": "dag/run/task",
        "owner": "old",
        "life": 1,
        "attempt": 1,
        "state": "started",
        "vod_task_id": "Concat-1",
        "other_task_ids": "[]",
        "intended_at": 1.0,
        "called_at": 1.0,
        "updated_at": 1.0,
    },
}


def _make_old(url: str, version: str) -> dict[str, list[Any]]:
    """Make an inbox of an earlier version, with a row in each of its tables; return the rows."""
    engine = create_engine(url)
    with engine.begin() as connection:
        upgrade(connection, version)
    tables = MetaData()
    tables.reflect(engine, only=lambda name, _: name in _ROWS)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            connection.execute(table.insert(), _ROWS[table.name])
        rows = {
            table.name: list(map(dict, connection.execute(table.select()).mappings())) for table in tables.sorted_tables
        }
    engine.dispose()
    return rows


def _assert_kept(url: str, rows: dict[str, list[Any]]) -> None:
    """All tables are those of the newest version, what was in them is as it was, and what is new is NULL."""
    engine = create_engine(url)
    tables = MetaData()
    tables.reflect(engine, only=lambda name, _: name in metadata.tables)
    assert set(tables.tables) == set(metadata.tables)
    with engine.connect() as connection:
        for name, before in rows.items():
            now = list(map(dict, connection.execute(tables.tables[name].select()).mappings()))
            assert now == [dict.fromkeys(now[0]) | row for row in before], name
    engine.dispose()


@pytest.mark.parametrize("version", ["0001", "0002", "0003"])
def test_an_older_inbox_keeps_its_rows(empty_url: str, version: str) -> None:
    """Opening an inbox of an earlier version upgrades it; every row is intact, and a waiter without owner can be taken over."""
    rows = _make_old(empty_url, version)
    store = InboxStore.open(empty_url)
    _assert_kept(empty_url, rows)
    assert existing_version(empty_url) == SCHEMA_VERSION
    assert store.find("queue", ["Concat-1"])["Concat-1"].received_at == 1_800_000_000.123456
    assert store.waiters.longest("queue") == [_OLD]
    assert store.waiters.remove("queue", ["1"], "new") == 0
    store.waiters.add("queue", [_OLD], "new")
    assert store.waiters.longest("queue") == [_OLD]
    assert store.waiters.remove("queue", ["1"], "new") == 1
    store.close()


class _CutOffError(Exception):
    """The process, so to speak, dies here."""


@contextmanager
def _cut_off_after(steps: int) -> Iterator[None]:
    """Let so many statements that change tables or the version be executed, and no further one."""
    done = 0

    def count(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        nonlocal done
        if statement.lstrip().startswith(
            ("CREATE", "ALTER", f"INSERT INTO {VERSION_TABLE}", f"UPDATE {VERSION_TABLE}")
        ):
            if done == steps:
                raise _CutOffError
            done += 1

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", count)


@pytest.mark.parametrize(("version", "steps"), [(None, 26), ("0001", 10)])
def test_a_migration_that_is_cut_off_at_any_step_is_completed(
    new_database: Callable[[], str], inbox_url: str, database: str, version: str | None, steps: int
) -> None:
    """Whatever step an upgrade breaks off at, from whatever version, the next one completes it, and no row is lost."""
    # Where all is rolled back, one step is as good as another.
    for done in range(steps) if database == "mariadb" else [steps - 1]:
        url, rows = _new(new_database, version)
        with pytest.raises(_CutOffError), _cut_off_after(done):
            InboxStore.open(url)
        InboxStore.open(url).close()
        _assert_kept(url, rows)
        assert existing_version(url) == SCHEMA_VERSION
        assert _described(url) == _described(inbox_url)
    url, _ = _new(new_database, version)
    with _cut_off_after(steps):
        InboxStore.open(url).close()


def _new(new_database: Callable[[], str], version: str | None) -> tuple[str, dict[str, list[Any]]]:
    url = new_database()
    return url, _make_old(url, version) if version else {}


def test_open_makes_the_tables_once(empty_url: str) -> None:
    """Opening creates the tables the first time, and keeps what is in them the next."""
    store = InboxStore.open(empty_url)
    store.receive("queue", [concat_event("Concat-1")], "pull")
    store.close()
    store = InboxStore.open(empty_url)
    assert store.find("queue", ["Concat-1"])
    store.close()


def test_open_at_the_newest_version_imports_no_alembic(inbox_url: str) -> None:
    """Opening an inbox that is up to date does not import Alembic."""
    code = (
        "import sys; from airflow_vod.inbox import InboxStore; InboxStore.open(sys.argv[1]).close(); "
        "print([name for name in sys.modules if name.partition('.')[0] == 'alembic'])"
    )
    run = subprocess.run([sys.executable, "-c", code, inbox_url], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_other_tables_are_left_alone(empty_url: str) -> None:
    """An inbox can share a database with other tables, such as Airflow's, that have a version table of their own."""
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    InboxStore.open(empty_url).close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["theirs"]
    engine.dispose()


def test_newer_schema_is_refused(inbox_url: str) -> None:
    """Tables of a newer version are not touched; the message names both versions and the remedy."""
    engine = create_engine(inbox_url)

    def set_version(version: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :version"), {"version": version})

    set_version("0999")
    try:
        with pytest.raises(
            InboxSchemaError, match=rf"(?s)0999.*{SCHEMA_VERSION}.*Upgrade airflow-provider-tencent-vod"
        ) as raised:
            InboxStore.open(inbox_url)
    finally:
        set_version(SCHEMA_VERSION)
        engine.dispose()
    assert "inbox_sql_alchemy_conn" in str(raised.value)


def test_a_table_of_somebody_else_is_not_taken(empty_url: str) -> None:
    """A table in the way fails the migration and is named; it is left as it is, and when it has gone, all is made."""
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE vod_waiter (in_the_way INTEGER)"))
    with pytest.raises(InboxError, match="vod_waiter"):
        InboxStore.open(empty_url)
    assert [column["name"] for column in inspect(engine).get_columns("vod_waiter")] == ["in_the_way"]
    if engine.dialect.name != "mysql":  # there each change of a table is a transaction of its own
        assert inspect(engine).get_table_names() == ["vod_waiter"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE vod_waiter"))
    InboxStore.open(empty_url).close()
    assert existing_version(empty_url) == SCHEMA_VERSION
    engine.dispose()


def test_looking_at_an_inbox_makes_none(inbox_url: str, tmp_path: Path) -> None:
    """The version of tables is told without making any; where there is no file, there is none afterwards."""
    assert existing_version(f"sqlite:///{tmp_path}/no/such.db") is None
    assert existing_version("sqlite://") is None
    assert not (tmp_path / "no").exists()
    assert existing_version(inbox_url) == SCHEMA_VERSION
