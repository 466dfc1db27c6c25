"""The list of who waits, as watches keep it in an inbox."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_vod.events.matching import EventMatch
from airflow_vod.waiting import listing as listing_module
from airflow_vod.waiting.follower import Follower
from airflow_vod.waiting.index import WaiterIndex
from airflow_vod.waiting.listing import Listing
from airflow_vod.waiting.waiter import TaskWaiter
from tests.relays import FickleStore, until
from tests.unit.waiting.helpers import Start


async def test_who_waits_is_written_down(sqlite: FickleStore, start: Start) -> None:
    """The inbox lists waiters while they wait, and nobody at the end."""
    watch = start(sqlite)
    waiters = [
        TaskWaiter([f"T-{each}"], ["ConcatComplete"], name=f"dag/run/{each}", deadline_at=4e9) for each in range(20)
    ]
    for waiter in waiters:
        watch.add(waiter)
    await asyncio.to_thread(until, lambda: len(sqlite.waiters.longest(watch.queue)) == 20)
    [row] = [row for row in sqlite.waiters.longest(watch.queue) if row.vod_task_id == "T-7"]
    assert (row.waiter, row.event_types, row.deadline) == ("dag/run/7", ("ConcatComplete",), 4e9)
    for waiter in waiters:
        watch.discard(waiter)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(watch.queue) == [])


async def test_a_wait_is_as_old_as_it_is_in_this_process(sqlite: FickleStore) -> None:
    """A watch that ends takes its lines with it; the next one knows all the same since when VOD has been waited for."""
    index, lock = WaiterIndex(), threading.RLock()
    waiter = TaskWaiter(["A"], name="dag/run/task")
    waiter.since_at -= 1000
    index.add(waiter)
    listing = Listing(sqlite, "queue", index, lock)
    for _ in range(2):
        listing.note([waiter])
        [listed] = listing.write()
        assert listed.since_at == waiter.since_at
    [line] = sqlite.waiters.longest("queue")
    sqlite.waiters.mark_asked("queue", [line.id], "said", unannounced=True)
    listing.note([waiter])
    [listed] = listing.write()
    assert listed.unannounced
    assert waiter.unannounced == {"A"}


async def test_who_follows_without_end_stays_written_down(
    sqlite: FickleStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has no deadline is written down for a while, again and again: what a crash leaves behind ends."""
    monkeypatch.setattr(listing_module, "LISTED_FOR", 2.0)
    watch = start(sqlite)
    follower = Follower(EventMatch.of("NewFileUpload"), name="asset watcher w")
    watch.add(follower)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(watch.queue))
    [first] = sqlite.waiters.longest(watch.queue)
    assert (first.waiter, first.vod_task_id, first.event_types) == ("asset watcher w", None, ("NewFileUpload",))
    assert first.deadline is not None
    await asyncio.to_thread(
        until, lambda: [row.deadline for row in sqlite.waiters.longest(watch.queue)] > [first.deadline]
    )
    watch.discard(follower)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(watch.queue) == [])


async def test_who_lets_go_late_takes_nobody_off_the_list(sqlite: FickleStore, start: Start) -> None:
    """A triggerer that was stalled lets go of a wait that another has taken over: people still see it."""
    stalled, other = start(sqlite), start(sqlite)
    old, new = (TaskWaiter(["A"], name="dag/run/task", deadline_at=4e9) for _ in range(2))
    stalled.add(old)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(stalled.queue))
    other.add(new)
    await asyncio.to_thread(until, lambda: not other._listing.outdated)
    stalled.discard(old)
    await asyncio.to_thread(until, lambda: not stalled._listing.outdated)
    stalled.end()
    await asyncio.to_thread(stalled.join)
    assert [line.waiter for line in sqlite.waiters.longest(other.queue)] == ["dag/run/task"]
    other.discard(new)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(other.queue) == [])


@pytest.mark.parametrize("order", ["come, go, come", "come, come, go"])
async def test_a_waiter_that_takes_over_stays_written_down(sqlite: FickleStore, start: Start, order: str) -> None:
    """Whoever waits under the same name for the same task is one row, which is there until the last of them has gone."""
    watch = start(sqlite)
    old, new = (TaskWaiter(["A"], name="dag/run/task") for _ in range(2))
    watch.add(old)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(watch.queue))
    if order == "come, go, come":
        watch.discard(old)
        watch.add(new)
    else:
        watch.add(new)
        await asyncio.sleep(1.2)
        watch.discard(old)
    await asyncio.sleep(1.5)
    assert len(sqlite.waiters.longest(watch.queue)) == 1
    watch.discard(new)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(watch.queue) == [])
