from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

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
                for index in look.get_indexes(name)
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
    other = empty_url.replace("inbox.db", "made.db")
    engine = create_engine(other)
    metadata.create_all(engine)
    engine.dispose()
    assert _described(inbox_url) == _described(other)


def test_an_inbox_of_the_first_version_keeps_its_rows(empty_url: str) -> None:
    """Opening an inbox made by 0001 upgrades it; a waiter in it is intact, has no owner, and can be taken over."""
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        upgrade(connection, "0001")
        connection.execute(
            text(
                "INSERT INTO vod_waiter (queue, id, vod_task_id, event_types, waiter, since, deadline)"
                " VALUES ('queue', '1', 'Concat-1', '[\"ConcatComplete\"]', 'dag/run/task', 1.5, NULL)"
            )
        )
        assert "owner" not in {column["name"] for column in inspect(connection).get_columns("vod_waiter")}
    engine.dispose()
    old = Waiter("1", "Concat-1", ("ConcatComplete",), "dag/run/task", None, 1.5, None)
    store = InboxStore.open(empty_url)
    assert store.waiters.longest("queue") == [old]
    assert store.waiters.remove("queue", ["1"], "new") == 0
    store.waiters.add("queue", [old], "new")
    assert store.waiters.longest("queue") == [old]
    assert store.waiters.remove("queue", ["1"], "new") == 1
    store.close()


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


def test_failed_migration_leaves_nothing(empty_url: str) -> None:
    """A migration that fails half-way is rolled back completely, and can be run again."""
    engine = create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE vod_waiter (in_the_way INTEGER)"))
    with pytest.raises(InboxError, match="vod_waiter"):
        InboxStore.open(empty_url)
    assert inspect(engine).get_table_names() == ["vod_waiter"]
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE vod_waiter"))
    InboxStore.open(empty_url).close()
    engine.dispose()


def test_looking_at_an_inbox_makes_none(inbox_url: str, tmp_path: Path) -> None:
    """The version of tables is told without making any; where there is no file, there is none afterwards."""
    assert existing_version(f"sqlite:///{tmp_path}/no/such.db") is None
    assert existing_version("sqlite://") is None
    assert not (tmp_path / "no").exists()
    assert existing_version(inbox_url) == SCHEMA_VERSION
