from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from airflow_vod.events.parse import UnparsedEvent, VodEvent
from airflow_vod.exceptions import EventParseError, InboxError
from airflow_vod.inbox import Counts, EventHeader, InboxStore, StoredEvent
from airflow_vod.inbox.values import MAX_BODY
from tests.samples import Clock, concat_event, procedure_event, unparsed_event

Q = "1500012345"
OpenInbox = Callable[..., InboxStore]


def test_received_event_is_found_by_its_task(inbox: InboxStore) -> None:
    """A received event is found by its VOD task id, and parses to the same event."""
    event = concat_event("Concat-1")
    (received,) = inbox.receive(Q, [event], "pull")
    assert (received.key, received.duplicate) == (event.key, False)
    found = inbox.find(Q, ["Concat-1", "Concat-2"])
    assert list(found) == ["Concat-1"]
    stored = found["Concat-1"]
    assert stored.event() == event
    assert stored.body == event.raw
    assert (stored.queue, stored.position, stored.source, stored.error) == (Q, received.position, "pull", None)
    assert (stored.event_type, stored.file_id, stored.status, stored.finished) == (
        event.event_type,
        event.file_id,
        event.status,
        True,
    )


def test_second_copy_changes_nothing(inbox: InboxStore) -> None:
    """A redelivery, also from another source, is a duplicate and changes nothing; see below for one word that it may."""
    event = concat_event("Concat-1")
    (first,) = inbox.receive(Q, [event], "pull")
    before = inbox.newest(Q)
    (second,) = inbox.receive(Q, [event], "callback")
    assert (second.duplicate, second.position) == (True, first.position)
    assert inbox.newest(Q) == before
    assert inbox.position(Q) == first.position


@pytest.mark.parametrize("source", ["pull", "callback"])
def test_an_event_that_comes_after_vod_was_asked(inbox: InboxStore, source: Any) -> None:
    """The end of a task that was learnt by asking VOD has the source of its event once that has come, and stays the rest."""
    event = concat_event("Concat-1")
    inbox.receive(Q, [event], "reconcile")
    (asked,) = inbox.newest(Q)
    inbox.receive(Q, [event, concat_event("Concat-2")], source)
    inbox.receive(Q, [event], "reconcile")
    assert inbox.find(Q, ["Concat-1"])["Concat-1"] == replace(asked, source=source)


def test_batch_answers_in_its_order(inbox: InboxStore) -> None:
    """Each event of a batch gets its own result, in the order given; a copy within the batch is a duplicate."""
    one, two, three = (concat_event(f"Concat-{n}") for n in range(3))
    inbox.receive(Q, [two], "pull")
    received = inbox.receive(Q, [one, two, one, three], "pull")
    assert [each.key for each in received] == [one.key, two.key, one.key, three.key]
    assert [each.duplicate for each in received] == [False, True, True, False]
    assert received[0].position == received[2].position
    assert [header.vod_task_id for header in inbox.headers_after(Q, 0, 10)] == ["Concat-1", "Concat-0", "Concat-2"]


def test_empty_batch_is_nothing(inbox: InboxStore) -> None:
    """Receiving no events creates neither rows nor a queue."""
    assert inbox.receive(Q, [], "pull") == []
    assert inbox.position(Q) == 0


def test_batch_of_some_hundreds(inbox: InboxStore) -> None:
    """A batch larger than one statement can take is stored and found completely."""
    events = [concat_event(f"Concat-{n}") for n in range(1100)]
    assert not any(each.duplicate for each in inbox.receive(Q, events, "pull"))
    assert all(each.duplicate for each in inbox.receive(Q, events, "pull"))
    assert len(inbox.find(Q, [f"Concat-{n}" for n in range(2000)])) == 1100


def test_queues_are_apart(inbox: InboxStore) -> None:
    """The same event in two queues is two events; nothing of one queue shows in the other."""
    event = concat_event("Concat-1")
    inbox.receive("a", [event], "pull")
    assert inbox.find("b", ["Concat-1"]) == {}
    assert inbox.position("b") == 0
    assert inbox.receive("b", [event], "pull")[0].duplicate is False
    assert [each.queue for each in inbox.newest()] == ["b", "a"]


def test_find_gives_the_first_finished_event(inbox: InboxStore) -> None:
    """Progress events do not count; of several events that end a task, the earliest does."""
    steps = [procedure_event("1-Procedure-2", "PROCESSING"), procedure_event("1-Procedure-2", "FINISH")]
    later = concat_event("1-Procedure-2")
    inbox.receive(Q, [*steps, later], "pull")
    assert inbox.find(Q, ["1-Procedure-2"])["1-Procedure-2"].key == steps[1].key


def test_find_by_event_type(inbox: InboxStore) -> None:
    """If types are given, only events of these types count."""
    events = [procedure_event("task", "FINISH"), concat_event("task")]
    inbox.receive(Q, events, "pull")
    assert inbox.find(Q, ["task"], {"ConcatComplete"})["task"].key == events[1].key
    assert inbox.find(Q, ["task"], {"EditMediaComplete"}) == {}
    assert inbox.find(Q, ["task"], set()) == {}


@pytest.mark.parametrize("other", ["concat-a", "Concat-A ", " Concat-A", "Concat-Á", "Concat-A\u200b"])
def test_ids_compare_exactly(inbox: InboxStore, other: str) -> None:
    """Ids that differ only in case, accents or spaces are different."""
    inbox.receive(Q, [concat_event("Concat-A")], "pull")
    assert inbox.find(Q, [other]) == {}
    assert inbox.newest(vod_task_id=other) == []
    assert inbox.waiters.awaited(Q, {"key": other}) == set()


@pytest.mark.parametrize("odd", ["", "\0", "a\0b", "\ud800", "x" * 256, "a\nb"])
def test_impossible_ids_are_not_found(inbox: InboxStore, odd: str) -> None:
    """An id that cannot be stored is not found, and causes no error in any database."""
    inbox.receive(Q, [concat_event("Concat-A")], "pull")
    assert inbox.find(Q, [odd, "Concat-A"]).keys() == {"Concat-A"}
    assert inbox.newest(vod_task_id=odd) == []
    assert inbox.newest(file_id=odd) == []
    assert inbox.waiters.awaited(Q, {"key": odd}) == set()
    assert inbox.waiters.remove(Q, [odd], "owner") == 0


@pytest.mark.parametrize("odd", ["", "\0", "x" * 256, "a\nb"])
def test_impossible_queues_are_refused(inbox: InboxStore, odd: str) -> None:
    """An invalid name of a queue is refused with an error that says so."""
    with pytest.raises(InboxError, match="queue"):
        inbox.receive(odd, [concat_event("Concat-A")], "pull")


def test_unknown_source_is_refused(inbox: InboxStore) -> None:
    """A source other than the three known ones is refused."""
    with pytest.raises(InboxError, match="callback, pull, reconcile"):
        inbox.receive(Q, [concat_event("Concat-A")], "elsewhere")  # type: ignore[arg-type]


def test_unparsed_event_is_kept(inbox: InboxStore) -> None:
    """An unparsed event is kept with the reason, is recognized as a duplicate, and wakes nobody."""
    event = unparsed_event({"EventType": "ConcatComplete"})
    inbox.receive(Q, [event], "callback")
    assert inbox.receive(Q, [event], "callback")[0].duplicate
    (stored,) = inbox.newest(unparsed=True)
    assert (stored.error, stored.body, stored.event_type) == (event.error, event.raw, "ConcatComplete")
    assert (stored.finished, stored.vod_task_id) == (False, None)
    with pytest.raises(EventParseError):
        stored.event()


@pytest.mark.parametrize(
    "raw",
    [
        "\0\ud800",
        {"a": "\0", "b\0": "\udfff", "c": float("nan"), "d": float("inf")},
        ["\U0001f3ac" * 10],
        {1: 2},
        object(),
        "x" * (MAX_BODY + 1),
    ],
    ids=["nul", "nested", "astral", "number as key", "no JSON", "too large"],
)
def test_untrusted_values_are_stored(inbox: InboxStore, raw: object) -> None:
    """No body, error or type, however strange or large, is refused by a database."""
    event = UnparsedEvent(key="0" * 64, raw=raw, error="\0\ud800" + "e" * 10_000, event_type="\0" * 300)
    assert inbox.receive(Q, [event], "callback")[0].duplicate is False
    (stored,) = inbox.newest(unparsed=True)
    assert stored.body is not None
    assert stored.event_type is None
    assert stored.error
    assert len(stored.error) < 3000
    assert len(stored.text) <= MAX_BODY


def test_nesting_without_end_is_stored(inbox: InboxStore) -> None:
    """A body that cannot be encoded is replaced with a note that says so."""
    raw: list[object] = []
    for _ in range(100_000):
        raw = [raw]
    inbox.receive(Q, [UnparsedEvent(key="0" * 64, raw=raw, error="deep", event_type=None)], "callback")
    (stored,) = inbox.newest(unparsed=True)
    assert "RecursionError" in stored.body


def test_event_that_is_too_large_is_kept_in_part(inbox: InboxStore) -> None:
    """An event beyond the size limit does not block the others: its beginning is kept, with the reason."""
    sample = concat_event("Concat-1")
    huge = VodEvent(
        **{name: getattr(sample, name) for name in VodEvent.__dataclass_fields__ if name != "raw"},
        raw={"EventType": "x" * MAX_BODY},
    )
    inbox.receive(Q, [huge, concat_event("Concat-2")], "pull")
    assert inbox.find(Q, ["Concat-1", "Concat-2"]).keys() == {"Concat-2"}
    (stored,) = inbox.newest(unparsed=True)
    assert "larger" in str(stored.error)


def test_long_status_is_cut(inbox: InboxStore) -> None:
    """A status that is too long is truncated, and the event is stored."""
    inbox.receive(Q, [procedure_event("task", "S" * 200)], "pull")
    assert inbox.newest()[0].status == "S" * 64


def test_headers_after_a_position(inbox: InboxStore) -> None:
    """Headers come in the order of positions, from behind the given one, up to the limit."""
    positions = [each.position for each in inbox.receive(Q, [concat_event(f"Concat-{n}") for n in range(5)], "pull")]
    assert all(one < two for one, two in pairwise(positions))
    assert inbox.position(Q) == positions[-1]
    assert inbox.headers_after(Q, positions[-1], 10) == []
    headers = inbox.headers_after(Q, positions[1], 2)
    assert [header.position for header in headers] == positions[2:4]
    assert headers[0] == EventHeader(positions[2], "Concat-2", "ConcatComplete", True, "14508071098244931831")


def test_get_by_position(inbox: InboxStore) -> None:
    """An event is read by its queue and position."""
    (received,) = inbox.receive(Q, [concat_event("Concat-1")], "reconcile")
    stored = inbox.get(Q, received.position)
    assert stored is not None
    assert (stored.vod_task_id, stored.source) == ("Concat-1", "reconcile")
    assert inbox.get(Q, received.position + 1) is None


def _all_pages(inbox: InboxStore, limit: int, queue: str | None = None) -> list[StoredEvent]:
    listed: list[StoredEvent] = []
    while page := inbox.newest(queue, before=listed[-1].cursor if listed else None, limit=limit):
        listed += page
    return listed


def test_list_is_paged_by_key(open_inbox: OpenInbox) -> None:
    """Pages are newest first, complete and without overlap, across queues and equal times, while events keep coming."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    for number in range(12):
        clock.now += number % 3  # some at the same moment
        inbox.receive(
            f"queue-{number % 2}", [concat_event(f"Concat-{number}"), concat_event(f"Concat-{number}b")], "pull"
        )
    listed = _all_pages(inbox, limit=5)
    assert len(listed) == 24
    assert listed == sorted(listed, key=lambda each: each.cursor, reverse=True)
    assert len({each.key for each in listed}) == 24
    assert [each.key for each in _all_pages(inbox, 3, "queue-1")] == [e.key for e in listed if e.queue == "queue-1"]
    cursor = listed[4].cursor
    inbox.receive("queue-0", [concat_event("Concat-new")], "pull")
    assert inbox.newest(before=cursor, limit=5) == listed[5:10]


def test_list_filters(inbox: InboxStore) -> None:
    """Each filter narrows the list, and they work together."""
    one, two = concat_event("Concat-1", "111"), procedure_event("1-Procedure-1", "FINISH")
    odd = unparsed_event()
    positions = {each.key: each.position for each in inbox.receive(Q, [one, two, odd], "pull")}
    inbox.mark_read(Q, [positions[one.key]], "reader")

    def keys(**filters: object) -> set[str]:
        return {each.key for each in inbox.newest(**filters)}  # type: ignore[arg-type]

    assert keys(event_type="ConcatComplete") == {one.key}
    assert keys(vod_task_id="1-Procedure-1") == {two.key}
    assert keys(file_id="111") == {one.key}
    assert keys(unread=True) == {two.key, odd.key}
    assert keys(unread=False) == {one.key}
    assert keys(unparsed=True) == {odd.key}
    assert keys(unparsed=False, unread=True) == {two.key}
    assert keys(queue=Q, event_type="ConcatComplete", unread=True) == set()


def test_first_reader_is_kept(open_inbox: OpenInbox) -> None:
    """Only the first reader of an event is recorded."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    one, two = (
        each.position for each in inbox.receive(Q, [concat_event("Concat-1"), concat_event("Concat-2")], "pull")
    )
    assert inbox.mark_read(Q, [one], "dag/run/first") == 1
    clock.now += 5
    assert inbox.mark_read(Q, [one, two, 999], "dag/run/second\0" + "x" * 300) == 1
    first, second = inbox.get(Q, one), inbox.get(Q, two)
    assert first is not None
    assert second is not None
    assert (first.read_at, first.read_by) == (clock.now - 5, "dag/run/first")
    assert second.read_at == clock.now
    assert str(second.read_by).startswith("dag/run/second")


def test_prune_goes_by_age_alone(open_inbox: OpenInbox) -> None:
    """All older events go, read or not, and no newer ones; positions continue as if nothing had happened."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    old = inbox.receive(Q, [concat_event(f"Concat-{n}") for n in range(25)] + [unparsed_event()], "pull")
    inbox.receive("other", [concat_event("Concat-x")], "pull")
    inbox.mark_read(Q, [old[0].position], "reader")
    clock.now += 100
    (young,) = inbox.receive(Q, [concat_event("Concat-young")], "pull")
    assert inbox.prune(101, batch=4) == 0
    assert inbox.prune(99, batch=4) == 27
    assert [each.position for each in inbox.newest()] == [young.position]
    assert inbox.prune(99, batch=4) == 0
    inbox.prune(-1)
    assert inbox.receive(Q, [concat_event("Concat-next")], "pull")[0].position > young.position


def test_counts(open_inbox: OpenInbox) -> None:
    """Counts are those of one queue."""
    clock = Clock()
    inbox = open_inbox(clock=clock)
    assert inbox.counts(Q) == Counts(0, 0, 0, 0, None, None)
    (one,) = inbox.receive(Q, [concat_event("Concat-1")], "pull")
    clock.now += 10
    inbox.receive(Q, [unparsed_event()], "pull")
    inbox.receive("other", [concat_event("Concat-1")], "pull")
    inbox.mark_read(Q, [one.position], "reader")
    assert inbox.counts(Q) == Counts(2, 1, 1, 0, clock.now - 10, clock.now)


def test_text_of_a_store_has_no_password(inbox: InboxStore) -> None:
    """The representation of a store shows its URL."""
    assert inbox.url in repr(inbox)


def test_closed_store_gives_its_connections_back(inbox: InboxStore) -> None:
    """Closing twice is harmless."""
    inbox.close()
    inbox.close()
