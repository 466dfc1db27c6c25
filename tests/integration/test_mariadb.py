"""What MariaDB's server has of its own: defaults that an inbox must not depend on, locks, rights and ends of sessions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, make_url

from airflow_vod.events.parse import parse_event
from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.dialects import mysql as dialect
from airflow_vod.inbox.schema import existing_version
from tests.databases import Server
from tests.samples import concat_event

Q = "1500012345"
_SETTINGS = (
    "sql_mode",
    "default_storage_engine",
    "innodb_lock_wait_timeout",
    "lock_wait_timeout",
    "idle_transaction_timeout",
    "tx_isolation",
)


def _session(url: str) -> dict[str, Any]:
    """What a session of an inbox goes by."""
    store = InboxStore.open(url)
    with store._database.write() as connection:
        values = connection.exec_driver_sql("SELECT " + ", ".join(f"@@{name}" for name in _SETTINGS)).one()
    store.close()
    return dict(zip(_SETTINGS, values, strict=True))


def test_a_session_is_set_up(mariadb: Server) -> None:
    """Engine, strictness, isolation and timeouts are the inbox's own, whatever the server's; shorter timeouts are kept."""
    url = mariadb.inbox()
    given = "SET innodb_lock_wait_timeout = 7, idle_transaction_timeout = 8"
    shorter = make_url(url).update_query_dict({"init_command": given}).render_as_string(hide_password=False)
    globally = ("sql_mode = {}", "default_storage_engine = {}", "innodb_lock_wait_timeout = {}")
    try:
        for setting, value in zip(globally, ("''", "MyISAM", "100"), strict=True):
            mariadb.execute(f"SET GLOBAL {setting.format(value)}")
        assert _session(url) == dict(
            zip(_SETTINGS, ("STRICT_TRANS_TABLES", "InnoDB", 30, 30, 20, "READ-COMMITTED"), strict=True)
        )
        kept = _session(shorter)
    finally:
        for setting in globally:
            mariadb.execute(f"SET GLOBAL {setting.format('DEFAULT')}")
    assert (kept["innodb_lock_wait_timeout"], kept["idle_transaction_timeout"]) == (7, 8)
    mariadb.give_back(url)


def test_text_of_any_alphabet_is_kept(mariadb: Server) -> None:
    """In a database whose character set is latin1, an event keeps every character, also in its short columns."""
    url = mariadb.inbox()
    name = make_url(url).database
    assert mariadb.execute("SELECT @@character_set_database", str(name)) == [("latin1",)]
    store = InboxStore.open(url)
    task, word = "\u4efb\u52a1-\U0001f3ac", "\u5b8c\u6210\U0001f3ac"
    payload = {"TaskId": task, "Status": word, "FileName": word}
    published = {"EventType": "ProcedureStateChanged", "ProcedureStateChangeEvent": payload}
    store.receive(Q, [parse_event(published)], "pull")
    (stored,) = store.newest(Q)
    assert (stored.vod_task_id, stored.status, stored.event().payload["FileName"]) == (task, word, word)
    store.close()
    mariadb.give_back(url)


def test_one_process_changes_the_tables(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens while another changes the tables waits; after too long it is told so, and makes nothing beside the other."""
    url = mariadb.empty()
    monkeypatch.setattr(dialect, "LOCK_TIMEOUT", 1)
    other = create_engine(url)
    with other.connect() as connection:
        assert connection.exec_driver_sql(f"SELECT GET_LOCK('{dialect.SCHEMA_LOCK}', 0)").scalar() == 1
        with pytest.raises(InboxUnavailableError, match=dialect.SCHEMA_LOCK):
            InboxStore.open(url)
        assert existing_version(url) is None
    other.dispose()
    InboxStore.open(url).close()


def test_the_server_dies_while_tables_are_made(mariadb: Server) -> None:
    """That is a transient error, and the tables are complete when the server is back."""
    url, died = mariadb.empty(), list[bool]()

    def die(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        if "CREATE TABLE vod_lease" in statement and not died:
            died.append(True)
            mariadb.crash()

    event.listen(Engine, "before_cursor_execute", die)
    try:
        with pytest.raises(InboxUnavailableError, match="may pass"):
            InboxStore.open(url)
    finally:
        event.remove(Engine, "before_cursor_execute", die)
    assert died
    store = InboxStore.open(url)
    assert store.leases.acquire(Q, "holder", 60)
    store.close()


def test_a_user_without_rights(mariadb: Server) -> None:
    """The error says what the user must be allowed to do, and is not taken for one that passes."""
    url = make_url(mariadb.empty())
    mariadb.execute(f"CREATE USER nobody@localhost; GRANT SELECT ON {url.database}.* TO nobody@localhost")
    with pytest.raises(InboxError, match="may create, read and write tables") as raised:
        InboxStore.open(url.set(username="nobody").render_as_string(hide_password=False))
    assert not isinstance(raised.value, InboxUnavailableError)


def test_a_server_that_only_reads(mariadb: Server) -> None:
    """A replica that is not, or not yet, the primary is a transient error."""
    url = mariadb.inbox()
    name = make_url(url).database
    mariadb.execute(f"CREATE USER somebody@localhost; GRANT ALL ON {name}.* TO somebody@localhost")
    store = InboxStore.open(make_url(url).set(username="somebody").render_as_string(hide_password=False))
    mariadb.execute("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(InboxUnavailableError, match="read-only"):
            store.receive(Q, [concat_event("Concat-1")], "pull")
    finally:
        mariadb.execute("SET GLOBAL read_only = 0")
    assert not store.receive(Q, [concat_event("Concat-1")], "pull")[0].duplicate
    store.close()
    mariadb.give_back(url)
