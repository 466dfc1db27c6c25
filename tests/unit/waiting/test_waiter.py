"""Waiters alone, in an event loop, with nobody behind them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from airflow_vod.events.matching import EventMatch
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import EventHeader
from airflow_vod.waiting.waiter import EventWaiter, TaskWaiter
from tests.relays import FickleStore
from tests.samples import concat_event

HOURS = 3600.0
SOON = 10.0  # seconds; what is to come at once comes long before


def stored(sqlite: FickleStore, number: int = 3) -> list[Any]:
    """Events as they come out of an inbox, oldest first."""
    sqlite.receive("queue", [concat_event(f"T-{each}") for each in range(number)], "pull")
    return sqlite.candidates("queue")


def event_waiter(**arguments: Any) -> EventWaiter:
    """Waits for any event."""
    return EventWaiter(EventMatch.of(), **{"since": 0.0} | arguments)


async def test_a_task_wakes_who_waits_for_it() -> None:
    """An end that is delivered ends `next` at once, however long that would wait; a foreign one does not."""
    waiter = TaskWaiter(["A", "B"])
    waiting = asyncio.create_task(waiter.next(HOURS))
    await asyncio.sleep(0)
    waiter.deliver("C")
    await asyncio.sleep(0)
    assert not waiting.done()
    waiter.deliver("A")
    assert await asyncio.wait_for(waiting, SOON) == {"A"}
    assert waiter.missing == {"B"}


async def test_an_event_wakes_who_waits_for_it(sqlite: FickleStore) -> None:
    """An event that is delivered ends `next` at once, however long that would wait."""
    waiter = event_waiter()
    waiting = asyncio.create_task(waiter.next(HOURS))
    await asyncio.sleep(0)
    [event] = stored(sqlite, 1)
    waiter.deliver(event)
    await asyncio.wait_for(waiting, SOON)
    assert waiter.found is event


@pytest.mark.parametrize("make", [lambda: TaskWaiter(["A"]), event_waiter], ids=["task", "event"])
async def test_an_error_wakes_who_waits(make: Any) -> None:
    """An error ends `next` at once; it is raised once, and whoever waits on then waits."""
    waiter = make()
    waiting = asyncio.create_task(waiter.next(HOURS))
    await asyncio.sleep(0)
    waiter.fail(InboxUnavailableError("away"))
    with pytest.raises(InboxUnavailableError):
        await asyncio.wait_for(waiting, SOON)
    assert not await waiter.next(0.01)


async def test_what_came_before_next_is_not_waited_for() -> None:
    """What was delivered while nobody was in `next` is there at once, all of it, and only once."""
    waiter = TaskWaiter(["A", "B", "C"])
    waiter.deliver("A")
    waiter.deliver("B")
    waiter.deliver("B")
    assert await asyncio.wait_for(waiter.next(HOURS), SOON) == {"A", "B"}
    assert await waiter.next(0.01) == set()


async def test_of_several_events_the_first_is_kept(sqlite: FickleStore) -> None:
    """In whatever order events are delivered, the first in the inbox's order is the one."""
    first, second, third = stored(sqlite)
    waiter = event_waiter()
    for event in (second, first, third):
        waiter.deliver(event)
    assert waiter.found == first


async def test_events_that_came_too_early_do_not_count(sqlite: FickleStore) -> None:
    """Neither one that came before the wait's point in time, nor one that has been looked at already."""
    first, second, _ = stored(sqlite)
    assert event_waiter().accepts(first)
    waiter = event_waiter()
    waiter.looked_up_to = first.position
    assert [waiter.accepts(each) for each in (first, second)] == [False, True]
    assert event_waiter(since=first.received_at).accepts(first)
    assert not event_waiter(since=first.received_at + 0.001).accepts(first)


async def test_the_look_is_all_that_a_late_waiter_waits_for() -> None:
    """A waiter whose deadline has passed is woken by the look; another one waits on for its event."""
    late, other = TaskWaiter(["A"], deadline_at=time.time() - 1), TaskWaiter(["A"], deadline_at=time.time() + HOURS)
    waiting = [asyncio.create_task(each.next(HOURS)) for each in (late, other)]
    await asyncio.sleep(0)
    for each in (late, other):
        each.note_look()
        assert each.looked_up
    assert await asyncio.wait_for(waiting[0], SOON) == set()
    assert not waiting[1].done()
    other.deliver("A")
    await asyncio.wait_for(waiting[1], SOON)


async def test_only_ends_of_its_tasks_are_accepted() -> None:
    """A task waiter takes what ends one of its tasks and is of its types."""
    waiter, picky = TaskWaiter(["A"]), TaskWaiter(["A"], ["EditMediaComplete"])

    def accepted(event: Any) -> list[bool]:
        return [each.accepts(event) for each in (waiter, picky)]

    def header(vod_task_id: str, event_type: str, finished: bool = True) -> EventHeader:
        return EventHeader(1, vod_task_id, event_type, finished, None)

    assert accepted(header("A", "ConcatComplete")) == [True, False]
    assert accepted(header("A", "EditMediaComplete")) == [True, True]
    assert accepted(header("A", "EditMediaComplete", finished=False)) == [False, False]
    assert accepted(header("B", "EditMediaComplete")) == [False, False]
    waiter.deliver("A")
    assert accepted(header("A", "ConcatComplete")) == [False, False]
