from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_vod.events.parse import parse_event
from airflow_vod.exceptions import InboxError
from airflow_vod.inbox import InboxStore, Waiter
from tests.samples import Clock, concat_event

Q = "1500012345"
OpenInbox = Callable[..., InboxStore]


def test_waiters_come_and_go(open_inbox: OpenInbox) -> None:
    """Who waits is listed, the longest wait first, until removed; both may be said twice."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    one = Waiter("1", "Concat-1", ("ConcatComplete", "EditMediaComplete"), "dag/run/task", clock.now + 60)
    two = Waiter("2", None, ("NewFileUpload",), "other/run/task")
    inbox.waiters.add(Q, [one])
    began = clock.now
    clock.now += 5
    inbox.waiters.add(Q, [two, one])
    first, second = inbox.waiters.longest(Q)
    assert first == Waiter(
        "1", "Concat-1", ("ConcatComplete", "EditMediaComplete"), "dag/run/task", one.deadline, began
    )
    assert (second.id, second.since, second.vod_task_id) == ("2", clock.now, None)
    assert inbox.waiters.longest(Q, 1) == [first]
    assert inbox.counts(Q).waiters == 2
    assert inbox.waiters.remove(Q, ["1", "3"]) == 1
    assert inbox.waiters.remove(Q, ["1", "3"]) == 0
    assert inbox.waiters.longest(Q) == [second]


def test_waiter_is_brought_up_to_date(inbox: InboxStore) -> None:
    """Adding a waiter again changes what it waits for and how long."""
    inbox.waiters.add(Q, [Waiter("1", "Concat-1", deadline=1.0)])
    assert inbox.waiters.longest(Q) == []  # its time is over
    inbox.waiters.add(Q, [Waiter("1", "Concat-2", ("ConcatComplete",), "new", 2.0**32)])
    (waiter,) = inbox.waiters.longest(Q)
    assert (waiter.vod_task_id, waiter.event_types, waiter.waiter, waiter.deadline) == (
        "Concat-2",
        ("ConcatComplete",),
        "new",
        2.0**32,
    )


def test_awaited_tasks(open_inbox: OpenInbox) -> None:
    """A task is awaited while somebody in this queue waits for it whose time is not over."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    inbox.waiters.add(Q, [Waiter("1", "a", deadline=clock.now + 10), Waiter("2", "b"), Waiter("3", "b"), Waiter("4")])
    inbox.waiters.add("other", [Waiter("1", "c")])
    events = {"key a": "a", "key b": "b", "another b": "b", "key c": "c", "key d": "d", "no task": None}
    assert inbox.waiters.awaited(Q, events) == {"key a", "key b", "another b"}
    clock.now += 10
    assert inbox.waiters.awaited(Q, events) == {"key b", "another b"}
    assert inbox.waiters.awaited(Q, {}) == set()


def test_a_task_whose_event_was_read_stays_awaited(inbox: InboxStore) -> None:
    """Who has read an event has waited for it; it counts still when the event is delivered again."""
    received = inbox.receive(Q, [concat_event("a"), concat_event("b")], "pull")
    inbox.mark_read(Q, [received[0].position], "dag/run/task")
    assert inbox.waiters.awaited(Q, {"key a": "a", "key b": "b"}) == {"key a"}
    assert inbox.waiters.awaited("other", {"key a": "a", "key b": "b"}) == set()


def test_an_event_that_was_read_is_awaited(inbox: InboxStore) -> None:
    """Who reads events without a task, by what they say, has waited for them."""
    upload = parse_event({"EventType": "NewFileUpload", "FileUploadEvent": {"FileId": "1"}})
    [received] = inbox.receive(Q, [upload], "pull")
    assert inbox.waiters.awaited(Q, {upload.key: None}) == set()
    inbox.mark_read(Q, [received.position], "asset watcher uploads")
    assert inbox.waiters.awaited(Q, {upload.key: None, "another": None}) == {upload.key}
    assert inbox.waiters.awaited("other", {upload.key: None}) == set()


def test_prune_forgets_waits_long_given_up(open_inbox: OpenInbox) -> None:
    """A waiter whose process died is removed once its deadline is old; one without a deadline stays."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    inbox.waiters.add(
        Q, [Waiter("1", "a", deadline=clock.now + 10), Waiter("2", "b", deadline=clock.now + 9), Waiter("3")]
    )
    clock.now += 100
    inbox.prune(90.5)
    assert inbox.waiters.remove(Q, ["2"]) == 0
    assert inbox.waiters.remove(Q, ["1", "3"]) == 2


def test_ten_thousand_waiters(inbox: InboxStore) -> None:
    """A triggerer that starts with 10,000 waits writes and removes them in few statements."""
    waiters = [Waiter(f"{n:05}", f"Concat-{n}", ("ConcatComplete",), "dag/run/task") for n in range(10_000)]
    inbox.waiters.add(Q, waiters)
    assert len(inbox.waiters.awaited(Q, {waiter.id: waiter.vod_task_id for waiter in waiters})) == 10_000
    assert inbox.waiters.remove(Q, [waiter.id for waiter in waiters]) == 10_000


def test_strange_waiters(inbox: InboxStore) -> None:
    """Text for people is made fit; ids that cannot be ids are refused by name, and nothing is written."""
    inbox.waiters.add(Q, [Waiter("1", None, ("\0",), "dag\0\ud800" + "x" * 5000)])
    assert inbox.waiters.longest(Q)[0].waiter.startswith("dag")
    for bad in (Waiter("", "a"), Waiter("2", "\0")):
        with pytest.raises(InboxError, match="waiter"):
            inbox.waiters.add(Q, [Waiter("0", "a"), bad])
    assert [waiter.id for waiter in inbox.waiters.longest(Q)] == ["1"]
