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
    """Waiters are listed, the longest wait first, until removed; adding and removing can be repeated."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    one = Waiter("1", "Concat-1", ("ConcatComplete", "EditMediaComplete"), "dag/run/task", clock.now + 60)
    two = Waiter("2", None, ("NewFileUpload",), "other/run/task")
    inbox.waiters.add(Q, [one], "owner")
    began = clock.now
    clock.now += 5
    inbox.waiters.add(Q, [two, one], "owner")
    first, second = inbox.waiters.longest(Q)
    assert first == Waiter(
        "1", "Concat-1", ("ConcatComplete", "EditMediaComplete"), "dag/run/task", one.deadline, began
    )
    assert (second.id, second.since, second.vod_task_id) == ("2", clock.now, None)
    assert inbox.waiters.longest(Q, 1) == [first]
    assert inbox.counts(Q).waiters == 2
    assert inbox.waiters.remove(Q, ["1", "3"], "owner") == 1
    assert inbox.waiters.remove(Q, ["1", "3"], "owner") == 0
    assert inbox.waiters.longest(Q) == [second]


def test_waiter_is_brought_up_to_date(inbox: InboxStore) -> None:
    """Adding a waiter again changes what it waits for and how long."""
    inbox.waiters.add(Q, [Waiter("1", "Concat-1", deadline=1.0)], "owner")
    assert inbox.waiters.longest(Q) == []  # its time is over
    inbox.waiters.add(Q, [Waiter("1", "Concat-2", ("ConcatComplete",), "new", 2.0**32)], "owner")
    (waiter,) = inbox.waiters.longest(Q)
    assert (waiter.vod_task_id, waiter.event_types, waiter.waiter, waiter.deadline) == (
        "Concat-2",
        ("ConcatComplete",),
        "new",
        2.0**32,
    )


def test_only_the_owner_removes_a_waiter(open_inbox: OpenInbox) -> None:
    """A stalled process does not remove a waiter that another one has taken over; the new owner does."""
    stalled, other = open_inbox(), open_inbox()
    stalled.waiters.add(Q, [Waiter("1", "Concat-1"), Waiter("2", "Concat-2")], "stalled")
    other.waiters.add(Q, [Waiter("1", "Concat-1")], "other")
    assert stalled.waiters.remove(Q, ["1", "2"], "stalled") == 1
    assert [waiter.id for waiter in other.waiters.longest(Q)] == ["1"]
    assert other.waiters.remove(Q, ["1", "2"], "other") == 1


def test_when_vod_was_asked_is_found_by_the_next_process(open_inbox: OpenInbox) -> None:
    """Another process reads when VOD was last asked, by the database's clock; adding the waiter again keeps that."""
    clock = Clock()
    one, other = open_inbox(clock=clock), open_inbox(clock=clock)
    waiters = [Waiter(f"{n:03}", f"Concat-{n}") for n in range(600)]
    one.waiters.add(Q, waiters, "one")
    one.waiters.add("other queue", waiters[:1], "one")
    one.waiters.mark_asked(Q, [waiter.id for waiter in waiters[1:]] + ["unknown", "\0"])
    asked_at, clock.now = clock.now, clock.now + 60
    other.waiters.add(Q, waiters, "other")
    ids = [*(waiter.id for waiter in waiters), "unknown", "\0"]
    read = {waiter.id: waiter.asked_at for waiter in other.waiters.read(Q, ids)}
    assert read == {"000": None} | {waiter.id: asked_at for waiter in waiters[1:]}
    assert [waiter.asked_at for waiter in other.waiters.read("other queue", ids)] == [None]
    assert [waiter.asked_at for waiter in other.waiters.longest(Q, 2)] == [None, asked_at]


def test_who_knows_that_a_wait_is_over_need_not_own_it(inbox: InboxStore) -> None:
    """Without an owner a waiter is removed whoever wrote it."""
    inbox.waiters.add(Q, [Waiter("1", "a"), Waiter("2", "b")], "one")
    assert inbox.waiters.remove(Q, ["1", "2"], "other") == 0
    assert inbox.waiters.remove(Q, ["1"], None) == 1
    assert [waiter.id for waiter in inbox.waiters.longest(Q)] == ["2"]


def test_awaited_tasks(open_inbox: OpenInbox) -> None:
    """A task is awaited while it has a waiter in this queue whose deadline has not passed."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    inbox.waiters.add(
        Q, [Waiter("1", "a", deadline=clock.now + 10), Waiter("2", "b"), Waiter("3", "b"), Waiter("4")], "owner"
    )
    inbox.waiters.add("other", [Waiter("1", "c")], "owner")
    events = {"key a": "a", "key b": "b", "another b": "b", "key c": "c", "key d": "d", "no task": None}
    assert inbox.waiters.awaited(Q, events) == {"key a", "key b", "another b"}
    clock.now += 10
    assert inbox.waiters.awaited(Q, events) == {"key b", "another b"}
    assert inbox.waiters.awaited(Q, {}) == set()


def test_a_task_whose_event_was_read_stays_awaited(inbox: InboxStore) -> None:
    """A task whose event was read stays awaited, so a redelivery counts too."""
    received = inbox.receive(Q, [concat_event("a"), concat_event("b")], "pull")
    inbox.mark_read(Q, [received[0].position], "dag/run/task")
    assert inbox.waiters.awaited(Q, {"key a": "a", "key b": "b"}) == {"key a"}
    assert inbox.waiters.awaited("other", {"key a": "a", "key b": "b"}) == set()


def test_an_event_that_was_read_is_awaited(inbox: InboxStore) -> None:
    """An event without a task counts as awaited once it was read."""
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
        Q, [Waiter("1", "a", deadline=clock.now + 10), Waiter("2", "b", deadline=clock.now + 9), Waiter("3")], "owner"
    )
    clock.now += 100
    inbox.prune(90.5)
    assert inbox.waiters.remove(Q, ["2"], "owner") == 0
    assert inbox.waiters.remove(Q, ["1", "3"], "owner") == 2


def test_ten_thousand_waiters(inbox: InboxStore) -> None:
    """10,000 waiters can be added, looked up and removed."""
    waiters = [Waiter(f"{n:05}", f"Concat-{n}", ("ConcatComplete",), "dag/run/task") for n in range(10_000)]
    inbox.waiters.add(Q, waiters, "owner")
    assert len(inbox.waiters.awaited(Q, {waiter.id: waiter.vod_task_id for waiter in waiters})) == 10_000
    assert inbox.waiters.remove(Q, [waiter.id for waiter in waiters], "owner") == 10_000


def test_strange_waiters(inbox: InboxStore) -> None:
    """Odd names and owners are made fit; invalid ids are refused, and nothing is written."""
    inbox.waiters.add(Q, [Waiter("1", None, ("\0",), "dag\0\ud800" + "x" * 5000)], "owner")
    assert inbox.waiters.longest(Q)[0].waiter.startswith("dag")
    odd = "owner\0\ud800" + "x" * 300
    inbox.waiters.add(Q, [Waiter("3")], odd)
    assert inbox.waiters.remove(Q, ["3"], odd) == 1
    for bad in (Waiter("", "a"), Waiter("2", "\0")):
        with pytest.raises(InboxError, match="waiter"):
            inbox.waiters.add(Q, [Waiter("0", "a"), bad], "owner")
    assert [waiter.id for waiter in inbox.waiters.longest(Q)] == ["1"]
