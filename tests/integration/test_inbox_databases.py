"""Behaviour that needs several connections, threads or processes, or many rows."""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, Engine, make_url

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore, Received, Waiter
from airflow_vod.inbox.tables import vod_event
from tests.databases import PostgreSQLServer, Server
from tests.samples import Clock, concat_event

Q = "1500012345"
OpenInbox = Callable[..., InboxStore]


# Writers


def test_reader_skips_nothing_while_writers_overlap(open_inbox: OpenInbox) -> None:
    """A reader that keeps asking for what is behind its last position sees every event, however commits overlap."""
    stores = [open_inbox() for _ in range(4)]
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        reader, last, ending = open_inbox(), 0, False
        while not ending:
            ending = done.is_set()  # one more look after the last writer has gone
            while headers := reader.headers_after(Q, last, 7):
                seen.extend(header.position for header in headers)
                last = headers[-1].position

    def write(number: int) -> list[Received]:
        batches = [[concat_event(f"Concat-{number}-{batch}-{n}") for n in range(5)] for batch in range(25)]
        return [each for batch in batches for each in stores[number].receive(Q, batch, "pull")]

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(4) as pool:
        written = [each.position for received in pool.map(write, range(4)) for each in received]
    done.set()
    reader.join()
    assert len(set(written)) == 4 * 25 * 5
    assert seen == sorted(written)


def test_positions_wait_for_the_transaction_before(open_inbox: OpenInbox) -> None:
    """While a transaction that has taken positions is open, no other can commit later positions before it."""
    slow, quick, reader = open_inbox(), open_inbox(), open_inbox()
    slow.receive(Q, [concat_event("Concat-0")], "pull")
    inserted, commit = threading.Event(), threading.Event()

    @event.listens_for(slow._database.engine, "commit")
    def wait(_: Connection) -> None:
        inserted.set()
        assert commit.wait(10)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow.receive, Q, [concat_event("Concat-slow")], "pull")
        assert inserted.wait(10)
        second = pool.submit(quick.receive, Q, [concat_event("Concat-quick")], "pull")
        time.sleep(0.3)
        assert not second.done()
        assert [header.vod_task_id for header in reader.headers_after(Q, 0, 10)] == ["Concat-0"]
        commit.set()
        assert first.result(10)[0].position < second.result(10)[0].position
    assert [header.vod_task_id for header in reader.headers_after(Q, 1, 10)] == ["Concat-slow", "Concat-quick"]


def test_overlapping_batches_store_each_key_once(open_inbox: OpenInbox) -> None:
    """Of eight threads that receive the same events in different batches, one stores each; the others get duplicates."""
    shared = open_inbox()
    events = [concat_event(f"Concat-{n}") for n in range(120)]

    def receive(seed: int) -> list[Received]:
        store = shared if seed % 2 else open_inbox()
        mine = random.Random(seed).sample(events, len(events))
        return [each for n in range(0, len(mine), 10) for each in store.receive(Q, mine[n : n + 10], "pull")]

    with ThreadPoolExecutor(8) as pool:
        received = [each for batch in pool.map(receive, range(8)) for each in batch]
    stored = Counter(each.key for each in received if not each.duplicate)
    assert stored == Counter({each.key: 1 for each in events})
    assert len({(each.key, each.position) for each in received}) == len(events)
    assert shared.counts(Q).events == len(events)


def test_one_of_many_gets_the_lease(open_inbox: OpenInbox) -> None:
    """Of eight holders that ask at the same time one gets the lease, the first time and after each expiry."""
    clock = Clock()
    stores = [open_inbox(clock=clock) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            asked = pool.map(lambda number: stores[number].leases.acquire(Q, f"holder-{number}", 10), range(8))
            assert sum(asked) == 1
            clock.now += 10


def test_one_store_serves_many_threads(inbox: InboxStore) -> None:
    """Threads that do different things with one store do not disturb each other."""

    def work(number: int) -> None:
        for n in range(10):
            task = f"Concat-{number}-{n}"
            inbox.waiters.add(Q, [Waiter(f"{number}-{n}", task)], "owner")
            (received,) = inbox.receive(Q, [concat_event(task)], "pull")
            assert inbox.find(Q, [task])[task].position == received.position
            assert inbox.waiters.awaited(Q, {"key": task}) == {"key"}
            assert inbox.mark_read(Q, [received.position], task) == 1
            assert inbox.waiters.remove(Q, [f"{number}-{n}"], "owner") == 1
            inbox.leases.acquire(Q, str(number), 0.01)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert inbox.counts(Q).events == 80


# Processes


def _open_and_receive(url: str, start: Any, answers: Any) -> None:
    import airflow_vod.inbox.migrations  # noqa: F401 - so that all are as quick to begin

    start.wait(30)
    store = InboxStore.open(url)
    received = store.receive(Q, [concat_event(f"Concat-{n}") for n in range(20)], "pull")
    answers.put([each.key for each in received if not each.duplicate])
    store.close()


def test_eight_processes_open_a_new_inbox(empty_url: str) -> None:
    """Eight processes that open the same new database at once all succeed, and what they receive is stored once."""
    processes = multiprocessing.get_context("fork")
    start, answers = processes.Barrier(8), processes.Queue()
    started = [processes.Process(target=_open_and_receive, args=(empty_url, start, answers)) for _ in range(8)]
    for each in started:
        each.start()
    stored = Counter(key for _ in started for key in answers.get(timeout=30))
    for each in started:
        each.join(30)
        assert each.exitcode == 0
    assert stored == Counter({concat_event(f"Concat-{n}").key: 1 for n in range(20)})


def _use_after_fork(store: InboxStore, answers: Any) -> None:
    heard = store.wait_for_news(Q, timeout=1)
    answers.put((store.receive(Q, [concat_event("Concat-child")], "pull")[0].duplicate, heard, _session(store)))


def _session(store: InboxStore) -> object:
    """Identify the session of a connection."""
    with store._database.read() as connection:
        number = {"postgresql": "pg_backend_pid()", "mysql": "connection_id()"}.get(connection.dialect.name)
        if number is None:
            return id(connection.connection.driver_connection)
        return connection.execute(text(f"SELECT {number}")).scalar()


def test_store_survives_a_fork(inbox: InboxStore, database: str) -> None:
    """A child forked with an open store uses connections of its own; the parent's sessions with a server continue."""
    inbox.receive(Q, [concat_event("Concat-parent")], "pull")
    inbox.wait_for_news(Q, timeout=1)
    inbox.wait_for_news(Q, timeout=0.1)
    session = _session(inbox)
    processes = multiprocessing.get_context("fork")
    answers = processes.Queue()
    child = processes.Process(target=_use_after_fork, args=(inbox, answers))
    child.start()
    duplicate, heard, other_session = answers.get(timeout=30)
    child.join(30)
    assert child.exitcode == 0
    assert (duplicate, heard) == (False, True)
    assert other_session != session
    assert _session(inbox) == session or database == "sqlite"
    assert inbox.find(Q, ["Concat-child"])
    assert inbox.wait_for_news(Q, timeout=30)


def _write_late(store: InboxStore, may: Any, answers: Any) -> None:
    store.receive(Q, [concat_event("Concat-1")], "pull")
    answers.put("open")
    may.wait(60)
    answers.put(store.receive(Q, [concat_event("Concat-2")], "pull")[0].duplicate)


def test_a_child_whose_parent_has_gone_writes_into_the_file(tmp_path: Path) -> None:
    """A child's commits to a SQLite file last, even if others opened and closed it after the parent had closed its store."""
    url = f"sqlite:///{tmp_path / 'inbox.db'}"
    store = InboxStore.open(url)
    store.receive(Q, [concat_event("Concat-0")], "pull")
    processes = multiprocessing.get_context("fork")
    may, answers = processes.Event(), processes.Queue()
    child = processes.Process(target=_write_late, args=(store, may, answers))
    child.start()
    assert answers.get(timeout=60) == "open"
    store.close()
    look = (
        "import sqlite3, sys; other = sqlite3.connect(sys.argv[1]); "
        "other.execute('SELECT 1 FROM vod_queue').fetchall(); other.close()"
    )  # the last to close the file removes its journal
    subprocess.run([sys.executable, "-c", look, str(tmp_path / "inbox.db")], check=True)
    may.set()
    assert answers.get(timeout=60) is False
    child.join(60)
    again = InboxStore.open(url)
    assert len(again.find(Q, [f"Concat-{number}" for number in range(3)])) == 3
    again.close()


def test_a_writer_that_freezes_does_not_hold_up_others(server: Server) -> None:
    """The server ends the transaction of a client that has fallen silent, and another gets the lease."""
    url = server.inbox()
    soon = {
        "postgresql": {"options": "-c idle_in_transaction_session_timeout=2s"},
        "mysql": {"init_command": "SET idle_transaction_timeout = 2"},
    }
    impatient = make_url(url)
    impatient = impatient.update_query_dict(soon[impatient.get_backend_name()])
    frozen, other = InboxStore.open(impatient.render_as_string(hide_password=False)), InboxStore.open(url)
    frozen.leases.acquire(Q, "frozen", 0.1)

    def freeze() -> None:
        with frozen._database.write() as connection:
            connection.execute(text("UPDATE vod_lease SET expires_at = expires_at"))
            assert other.leases.acquire(Q, "other", 60)
            connection.execute(text("UPDATE vod_lease SET expires_at = 0"))

    time.sleep(0.2)
    with pytest.raises(InboxUnavailableError):
        freeze()
    lease = other.leases.read(Q)
    assert lease is not None
    assert lease.holder == "other"
    frozen.close()
    other.close()
    server.give_back(url)


# News


def test_a_database_that_refuses_to_announce_is_polled(
    postgresql: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If LISTEN is refused, commits of others are still noticed, by polling."""
    execute = psycopg.Connection.execute

    def refuse(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if "LISTEN" in str(query):
            raise psycopg.errors.FeatureNotSupported("LISTEN is not supported")
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Connection, "execute", refuse)
    url = postgresql.inbox()
    listener, writer = InboxStore.open(url), InboxStore.open(url)
    for _ in range(2):
        assert listener.wait_for_news(Q, timeout=1)
    assert not listener.wait_for_news(Q, timeout=0.6)
    writer.receive(Q, [concat_event("Concat-1")], "pull")
    assert listener.wait_for_news(Q, timeout=30)
    listener.close()
    writer.close()
    postgresql.give_back(url)


def test_commits_of_others_are_heard(open_inbox: OpenInbox, database: str) -> None:
    """A commit by another store ends a wait for news of its queue."""
    listener, writer = open_inbox(), open_inbox()
    listener.wait_for_news(Q, timeout=0)
    assert listener.wait_for_news(Q, timeout=1) is (database == "postgresql")  # it has connected just now
    assert not listener.wait_for_news(Q, timeout=0.1)
    for number in range(3):
        threading.Timer(0.1, writer.receive, (Q, [concat_event(f"Concat-{number}")], "pull")).start()
        assert listener.wait_for_news(Q, timeout=20)
        assert listener.find(Q, [f"Concat-{number}"])
    writer.receive("another queue", [concat_event("Concat-1")], "pull")
    assert not listener.wait_for_news(Q, timeout=0.6)
    writer.receive(Q, [concat_event("Concat-1")], "pull")
    assert not listener.wait_for_news(Q, timeout=0.6), "a duplicate is no news"


def test_news_survive_a_dropped_connection(postgresql: PostgreSQLServer, caplog: pytest.LogCaptureFixture) -> None:
    """After the listening connection was cut, the next wait reports news, and later commits are heard again."""
    url = postgresql.inbox()
    listener, writer = InboxStore.open(url), InboxStore.open(url)
    for _ in range(2):
        assert listener.wait_for_news(Q, timeout=30)
    assert postgresql.cut_connections(url)
    assert listener.wait_for_news(Q, timeout=30)
    writer.receive(Q, [concat_event("Concat-1")], "pull")
    assert listener.wait_for_news(Q, timeout=30)
    listener.close()
    writer.close()
    assert all(each.levelno < logging.WARNING for each in caplog.records), "a restart is no reason for a traceback"
    postgresql.give_back(url)


# Trouble


def test_server_that_restarts_is_met_again(server: Server) -> None:
    """Connections that were cut while idle are replaced without an error."""
    url = server.inbox()
    store = InboxStore.open(url)
    store.receive(Q, [concat_event("Concat-1")], "pull")
    assert server.cut_connections(url)
    assert not store.receive(Q, [concat_event("Concat-2")], "pull")[0].duplicate
    assert len(store.find(Q, ["Concat-1", "Concat-2"])) == 2
    store.close()
    server.give_back(url)


def test_connection_cut_inside_a_transaction(server: Server) -> None:
    """Nothing is stored, the error is transient, and the same call can be repeated."""
    url = server.inbox()
    store = InboxStore.open(url)
    cut: list[bool] = []

    @event.listens_for(store._database.engine, "before_cursor_execute")
    def cut_once(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO vod_event" in statement and not cut:
            cut.append(True)
            assert server.cut_connections(url)

    with pytest.raises(InboxUnavailableError, match="may pass"):
        store.receive(Q, [concat_event("Concat-1")], "pull")
    assert cut
    assert store.counts(Q).events == 0
    assert not store.receive(Q, [concat_event("Concat-1")], "pull")[0].duplicate
    store.close()
    server.give_back(url)


def test_deadlock_is_unavailable(server: Server) -> None:
    """A deadlock is a transient error."""
    url = server.inbox()
    store, other = InboxStore.open(url), create_engine(url)
    store.receive("a", [concat_event("Concat-1")], "pull")
    store.receive("b", [concat_event("Concat-1")], "pull")

    def cross() -> None:
        # In this order, so that their statement has ended before their session is used again.
        with other.begin() as theirs, ThreadPoolExecutor(1) as pool, store._database.write() as ours:
            if theirs.dialect.name == "postgresql":  # so that this side does not look for deadlocks
                theirs.execute(text("SET deadlock_timeout = '60s'"))
                ours.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            theirs.execute(text("UPDATE vod_queue SET position = position WHERE name = 'b'"))
            store._lock_queue(ours, "a")
            pool.submit(theirs.execute, text("UPDATE vod_queue SET position = position WHERE name = 'a'"))
            time.sleep(0.1)
            store._lock_queue(ours, "b")

    with pytest.raises(InboxUnavailableError, match=r"[Dd]eadlock"):
        cross()
    other.dispose()
    store.close()
    server.give_back(url)


# Many rows

ROWS = 20_000


def _fill(inbox: InboxStore) -> None:
    """Store many events of one queue, as after some days: all read, except for a few unread or unparsed ones."""
    rows = [
        {
            "queue": Q,
            "position": n,
            "key": f"{n:064x}",
            "event_type": "NewFileUpload" if n % 1000 else "FileDeleted",
            "vod_task_id": f"Concat-{n}",
            "file_id": f"{n}",
            "status": None,
            "finished": True,
            "source": "pull",
            "body": json.dumps({"x": "y" * 200}),
            "error": None if n % 1001 else "odd",
            "received_at": 1_800_000_000.0 + n,
            "read_at": 1.0 if n % 999 else None,
            "read_by": "x" if n % 999 else None,
        }
        for n in range(1, ROWS + 1)
    ]
    with inbox._database.write() as connection:
        connection.execute(vod_event.insert(), rows)
        connection.execute(text("INSERT INTO vod_queue VALUES (:queue, :rows)"), {"queue": Q, "rows": ROWS})


def _analyze(inbox: InboxStore) -> None:
    with inbox._database.engine.begin() as connection:
        connection.execute(text("ANALYZE TABLE vod_event" if connection.dialect.name == "mysql" else "ANALYZE"))


@contextmanager
def _plans(engine: Engine) -> Iterator[list[str]]:
    """Collect the plan of each statement that reads or changes events."""
    plans: list[str] = []
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "

    def note(connection: Connection, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "vod_event" in statement and not statement.startswith("INSERT"):
            own = cursor.connection.cursor()
            own.execute(explain + statement, values)
            columns, rows = [each[0] for each in own.description], own.fetchall()
            plans.append("\n".join(_in_words(dict(zip(columns, row, strict=True))) for row in rows))

    event.listen(engine, "before_cursor_execute", note)
    yield plans
    event.remove(engine, "before_cursor_execute", note)


def _in_words(row: dict[str, Any]) -> str:
    """Describe one row of a plan: SQLite and PostgreSQL do it in the last column, MariaDB in several."""
    if "select_type" not in row:
        return str(list(row.values())[-1])
    return " ".join(f"{name}={row[name]}" for name in ("table", "type", "key", "key_len", "ref", "rows", "Extra"))


@pytest.mark.parametrize("statistics", ["none", "of another queue", "good"])
def test_every_lookup_goes_by_an_index(open_inbox: OpenInbox, database: str, statistics: str) -> None:
    """No question reads the whole table, nor a whole queue, also before the database has statistics of that queue.

    PostgreSQL and MariaDB make them by themselves within a minute or two, if the queue is not small beside others. Until then
    lists for people may take longer, and there is nothing to prune.
    """
    clock = Clock(1_800_000_000.0 + ROWS + 1)
    inbox = open_inbox(clock=clock)
    if statistics == "of another queue":
        inbox.receive("another", [concat_event(f"Other-{n}") for n in range(300)], "pull")
        _analyze(inbox)
    _fill(inbox)
    if statistics == "good":
        _analyze(inbox)
    cursor = (1_800_000_000.0 + ROWS / 2, Q, ROWS // 2)
    questions: dict[str, Callable[[], Any]] = {
        "find": lambda: inbox.find(Q, [f"Concat-{n}" for n in range(0, ROWS, 50)]),
        "receive": lambda: inbox.receive(Q, [concat_event(f"New-{n}") for n in range(50)], "pull"),
        "headers_after": lambda: inbox.headers_after(Q, ROWS - 100, 1000),
        "get": lambda: inbox.get(Q, 7),
        "list": lambda: inbox.newest(limit=50),
        "list of a queue": lambda: inbox.newest(Q, limit=50),
        "list before": lambda: inbox.newest(before=cursor, limit=50),
        "list of a task": lambda: inbox.newest(vod_task_id="Concat-77"),
        "list of a file": lambda: inbox.newest(file_id="77"),
        "list of a type": lambda: inbox.newest(event_type="FileDeleted", before=cursor, limit=50),
        "list unread": lambda: inbox.newest(unread=True, limit=50),
        "list unparsed": lambda: inbox.newest(unparsed=True, limit=50),
        "mark_read": lambda: inbox.mark_read(Q, range(990, 1010), "reader"),
        "came": lambda: inbox.arrivals.came(Q, [f"Concat-{n}" for n in range(0, ROWS, 50)]),
        "asked": lambda: [*inbox.arrivals.asked(Q, ROWS - 100, ROWS, 9), "none is enough"],
        "list of neighbours": lambda: inbox.arrivals.neighbours(Q, "NewFileUpload", cursor[0]),
        "prune": lambda: inbox.prune(ROWS - 100, batch=60),
    }
    for name, ask in questions.items():
        with _plans(inbox._database.engine) as plans:
            assert ask(), name
        assert plans, name
        if name.startswith(("list", "prune")) and database != "sqlite" and statistics != "good":
            continue
        for plan in plans:
            assert not _reads_too_much(plan), f"{name}\n{plan}"


_WHOLE_TABLE = re.compile(
    r"Seq Scan on vod_event|^SCAN vod_event(?!.* INDEX)|^table=vod_event type=(ALL|index) .* rows=\d{4,}", re.MULTILINE
)
_WHOLE_QUEUE = re.compile(
    r"(pk|uq)_vod_event.*\n *Index Cond: \(\(queue\)::text = '[^']*'::text\)$|INDEX \S+ \(queue=\?\)"
    r"|^table=vod_event type=ref key=(PRIMARY|uq_\w+) .* rows=\d{4,}|^table=vod_event .* rows=\d{4,} .*filesort",
    re.MULTILINE,
)


def _reads_too_much(plan: str) -> bool:
    """Say whether a plan reads the whole table, or filters a whole queue."""
    return bool(_WHOLE_TABLE.search(plan) or _WHOLE_QUEUE.search(plan))


def test_prune_works_in_short_transactions(open_inbox: OpenInbox) -> None:
    """Each batch is a transaction of its own, so that no writer waits for longer than one batch."""
    clock = Clock(1_800_000_000.0 + ROWS + 1)
    inbox = open_inbox(clock=clock)
    _fill(inbox)
    commits: list[Connection] = []
    event.listen(inbox._database.engine, "commit", commits.append)
    assert inbox.prune(0, batch=1500) == ROWS
    assert len(commits) >= ROWS // 1500
    assert inbox.newest() == []
