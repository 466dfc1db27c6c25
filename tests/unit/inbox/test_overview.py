"""Outcomes, statistics over time, and replay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, event

from airflow_vod.events.parse import parse_event
from airflow_vod.inbox import InboxStore, Waiter
from airflow_vod.inbox.leases import lease_beside, new_holder
from tests.samples import Clock, concat_event, procedure_event, unparsed_event

Open = Callable[..., InboxStore]


def splice(vod_task_id: str, *codes: int) -> dict:
    """A finished splice with one file per error code."""
    files = [{"ErrCode": code, "Message": "", "FileId": str(n), "FileUrl": ""} for n, code in enumerate(codes)]
    return {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": vod_task_id, "FileInfoSet": files}}


def test_the_outcome_is_stored_and_found(inbox: InboxStore) -> None:
    """An event that ended a VOD task is stored with its outcome, others without; and events can be listed by outcome."""
    good, partly, bad = (parse_event(splice(*each)) for each in (("a", 0), ("b", 0, 4), ("c", 4, 4)))
    events = [good, partly, bad, procedure_event("d", "PROCESSING"), unparsed_event()]
    inbox.receive("q", events, "pull")
    stored = {each.vod_task_id: each.outcome for each in inbox.newest("q")}
    assert stored == {"a": "succeeded", "b": "partly_failed", "c": "failed", "d": None, None: None}
    for outcome, task in (("succeeded", "a"), ("partly_failed", "b"), ("failed", "c")):
        assert [each.vod_task_id for each in inbox.newest(outcome=outcome)] == [task]
    assert inbox.newest(outcome="no such word") == []


def test_failures_are_found_by_their_index(open_inbox: Open, inbox_url: str) -> None:
    """Listing a few failures among many successes does not read the successes."""
    engine = create_engine(inbox_url)
    statements: list[str] = []
    store = open_inbox()
    event.listen(store._database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    assert store.newest(outcome="failed") == []
    store.close()
    assert "outcome <> 'succeeded' ORDER BY" in statements[-1]
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statements[-1]}", ("failed", 100, 0)).all()
        assert "ix_vod_event_outcome" in str(plan)
    engine.dispose()


def test_history_adds_up(open_inbox: Open) -> None:
    """Each slice counts its events and failures, and how long events waited for their reader."""
    clock = Clock()
    store = open_inbox(clock=clock)
    store.receive("q", [concat_event("old")], "pull")
    clock.now += 1000
    store.receive("q", [concat_event("a"), concat_event("b"), parse_event(splice("c", 4))], "pull")
    store.receive("other", [concat_event("x")], "callback")
    clock.now += 10
    store.mark_read("q", [2], "me")
    clock.now += 20
    store.mark_read("q", [3], "me")
    clock.now += 59
    store.receive("q", [concat_event("late")], "pull")
    clock.now += 1
    first, second = store.overview.history("q", seconds=100.0, slices=2)
    assert (first.events, first.failed, first.mean_wait, first.longest_wait) == (3, 1, 20.0, 30.0)
    assert (second.events, second.failed, second.mean_wait) == (1, 0, None)
    assert second.start - first.start == pytest.approx(50.0)
    assert sum(each.events for each in store.overview.history(seconds=100.0, slices=4)) == 5


def test_queues_are_named(inbox: InboxStore) -> None:
    """Every queue that ever received an event is listed, and no other."""
    assert inbox.overview.queues() == []
    inbox.receive("b", [concat_event("1")], "pull")
    inbox.receive("a", [concat_event("1")], "pull")
    assert inbox.overview.queues() == ["a", "b"]


def test_work_beside_a_queue_is_no_queue(inbox: InboxStore) -> None:
    """A lease of work that is done for a queue is not listed as a queue; the names for two applications differ."""
    long = f"{'host.' * 48}example"
    for queue in ("b", f"{long}/1", f"{long}/2"):
        assert inbox.leases.acquire(lease_beside(queue, "look"), new_holder(), 60)
    assert inbox.overview.queues() == []


def test_a_replayed_event_comes_again(open_inbox: Open) -> None:
    """A replayed event moves to the end of its queue, unread, where followers find it; it stays one event."""
    clock = Clock()
    store = open_inbox(clock=clock)
    store.receive("q", [concat_event("a"), concat_event("b")], "pull")
    store.mark_read("q", [1], "me")
    clock.now += 100
    assert store.replay("q", 1) == 3
    [header] = store.headers_after("q", 2)
    assert (header.position, header.vod_task_id) == (3, "a")
    again = store.get("q", 3)
    assert again is not None
    assert (again.read_at, again.read_by, again.received_at) == (None, None, clock.now)
    assert store.get("q", 1) is None
    assert store.position("q") == 3
    assert store.receive("q", [concat_event("a")], "pull")[0].duplicate


def test_there_is_nothing_to_replay(inbox: InboxStore) -> None:
    """Replaying an event that does not exist returns None and creates no queue."""
    inbox.receive("q", [concat_event("a")], "pull")
    assert inbox.replay("q", 7) is None
    assert inbox.replay("other", 1) is None
    assert inbox.overview.queues() == ["q"]


def test_a_replay_wakes_those_who_wait(inbox: InboxStore) -> None:
    """A replayed event is news."""
    inbox.receive("q", [concat_event("a")], "pull")
    inbox.wait_for_news("q", timeout=0)
    while inbox.wait_for_news("q", timeout=0.1):
        pass
    inbox.replay("q", 1)
    assert inbox.wait_for_news("q", timeout=10)


def test_the_hosts_that_use_an_inbox(open_inbox: Open) -> None:
    """Those that hold a lease or wait, of all queues; what has expired and who has given up do not count."""
    clock = Clock(1_800_000_000.0)
    store = open_inbox(clock=clock)
    assert store.overview.hosts() == set()
    store.leases.acquire("q", "holder:1:x", 60)
    store.leases.acquire("watcher w", "watcher.example.com:1:x", 60)
    store.leases.acquire("p", "gone:1:x", 0.0)
    store.waiters.add("q", [Waiter.of("a", "Concat-1"), Waiter.of("b", "Concat-2")], "waiter:2:y")
    store.waiters.add("q", [Waiter.of("c", "Concat-1", deadline=clock.now - 1)], "late:2:y")
    assert store.overview.hosts() == {"holder", "watcher.example.com", "waiter"}
