"""The index of who waits, compared with a plain list that is searched from end to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_vod.events.matching import EventMatch
from airflow_vod.events.parse import VodEvent, parse_event
from airflow_vod.inbox import EventHeader
from airflow_vod.waiting.follower import Follower
from airflow_vod.waiting.index import WaiterIndex, keys_of
from airflow_vod.waiting.waiter import EventWaiter, MatchWaiter, TaskWaiter, Waiter

TASKS = ["T-1", "T-2", "T-3"]
FILES = ["1", "2"]
NAMES = ["", "dag/run/a", "dag/run/b"]
TYPES = ["ConcatComplete", "FileDeleted", "NewFileUpload"]
Make = Callable[[], Waiter]

_matches = st.builds(
    lambda types, fields: EventMatch.of(types or None, fields),
    st.lists(st.sampled_from(TYPES), max_size=2, unique=True),
    st.fixed_dictionaries(
        {},
        optional={
            "vod_task_id": st.sampled_from(TASKS),
            "file_id": st.sampled_from(FILES),
            "source": st.sampled_from(["Upload", "Record"]),
            "MediaBasicInfo.Name": st.sampled_from(["a", "b"]),
        },
    ),
)
_makers: st.SearchStrategy[Make] = st.one_of(
    st.builds(
        lambda ids, name: lambda: TaskWaiter(ids, name=name),
        st.lists(st.sampled_from(TASKS), min_size=1, max_size=3),
        st.sampled_from(NAMES),
    ),
    st.builds(lambda match, name: lambda: EventWaiter(match, since=0.0, name=name), _matches, st.sampled_from(NAMES)),
    st.builds(lambda match, name: lambda: Follower(match, name=name), _matches, st.sampled_from(NAMES)),
)


def events() -> list[VodEvent]:
    """Events that differ in all that the matches ask for."""
    splices = [
        {"EventType": "ConcatComplete", "ConcatCompleteEvent": {"TaskId": task, "FileInfoSet": [{"FileId": file}]}}
        for task in TASKS
        for file in FILES
    ]
    uploads = [
        {
            "EventType": "NewFileUpload",
            "FileUploadEvent": {
                "FileId": file,
                "MediaBasicInfo": {"Name": name, "SourceInfo": {"SourceType": source}},
            },
        }
        for file in FILES
        for name in ("a", "b")
        for source in ("Upload", "Record")
    ]
    deletions = [
        {"EventType": "FileDeleted", "FileDeleteEvent": {"FileIdSet": files}} for files in (["3"], ["1"], ["1", "2"])
    ]
    return [parse_event(event) for event in (*splices, *uploads, *deletions)]


EVENTS = events()


def header_of(event: VodEvent) -> EventHeader:
    """What the inbox has in columns."""
    return EventHeader(1, event.vod_task_id, event.event_type, True, event.file_id)


def may_count(waiter: Waiter, header: EventHeader) -> bool:
    """Whether a header alone leaves a wait open: by the task where one is named, else by the types."""
    if not isinstance(waiter, MatchWaiter):
        return False
    if (vod_task_id := waiter.match.get("vod_task_id")) is not None:
        return header.vod_task_id == vod_task_id
    return not waiter.match.event_types or header.event_type in waiter.match.event_types


def compare(index: WaiterIndex, waiters: list[Waiter]) -> None:
    """Ask the index everything, and a plain list."""
    assert len(index) == len(waiters)
    assert set(index) == set(waiters)
    for task in (*TASKS, "T-unknown", None):
        assert set(index.of_task(task)) == {
            each for each in waiters if isinstance(each, TaskWaiter) and task in each.vod_task_ids
        }
        assert len(index.of_task(task)) == len(set(index.of_task(task)))
        for name in NAMES:
            assert list(index.named(name, task)) == [
                each for each in waiters if each.name == name and task in each.listed_for
            ]
    for event in EVENTS:
        found = index.candidates(keys_of(event, index.fields))
        assert len(found) == len(set(found))
        counting = {each for each in waiters if isinstance(each, MatchWaiter) and each.match.counts(event)}
        assert {each for each in found if each.match.counts(event)} == counting
        assert index.may_count(header_of(event)) == any(may_count(each, header_of(event)) for each in waiters)
        assert index.may_count(header_of(event)) or not counting


@given(st.lists(st.tuples(_makers, st.integers(0, 9)), max_size=10), st.randoms(use_true_random=False))
def test_the_index_finds_what_a_list_would(plan: list[tuple[Make, int]], random: Any) -> None:
    """While any mix of waiters comes and goes the index answers as a list does, and in the end nothing is left in it."""

    async def live() -> None:
        index, waiters = WaiterIndex(), []
        for make, leaving in plan:
            waiters.append(make())
            index.add(waiters[-1])
            if leaving < 3:
                assert index.discard(waiters.pop(random.randrange(len(waiters))))
        compare(index, waiters)
        random.shuffle(waiters)
        while waiters:
            gone = waiters.pop()
            assert index.discard(gone)
            assert not index.discard(gone)
            assert gone not in index
        assert {name: held for name, held in vars(index).items() if held} == {}

    asyncio.run(live())


def test_waiters_of_a_closed_loop_are_told() -> None:
    """Those whose loop was closed under them are found, and only those."""
    index = WaiterIndex()

    async def join() -> Waiter:
        waiter = TaskWaiter(["T-1"])
        index.add(waiter)
        return waiter

    left = [asyncio.run(join()) for _ in range(2)]

    async def look() -> None:
        here = await join()
        assert set(index.of_closed_loops()) == set(left)
        for waiter in left:
            index.discard(waiter)
        assert index.of_closed_loops() == []
        assert list(index) == [here]

    asyncio.run(look())


def test_what_could_not_be_parsed_is_for_nobody() -> None:
    """A header without a type counts for no one, not even for who waits for anything."""

    async def look() -> None:
        index = WaiterIndex()
        index.add(Follower(EventMatch.of()))
        assert index.may_count(EventHeader(1, None, "Unheard", False, None))
        assert not index.may_count(EventHeader(1, None, None, False, None))

    asyncio.run(look())
