"""Waiters in event loops, against the emulator over HTTP and a real inbox."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import tracemalloc

import pytest

from airflow_vod.emulator import Emulator
from airflow_vod.events.matching import EventMatch
from airflow_vod.exceptions import InboxUnavailableError, VodAuthenticationError
from airflow_vod.inbox import InboxStore
from airflow_vod.triggers.vod import VodTaskTrigger
from airflow_vod.waiting import watch as watch_module
from airflow_vod.waiting.calls import Signal
from airflow_vod.waiting.waiter import EventWaiter, TaskWaiter
from airflow_vod.waiting.watch import Watch
from airflow_vod.waiting.watches import watch_of
from tests.relays import SUB_APP_ID, FickleStore, publish, settings_of, until
from tests.samples import concat_event
from tests.unit.waiting.helpers import HOLD, Start, soon, wait_for

# What is delivered


async def test_an_event_is_delivered(vod_emulator: Emulator, inbox: InboxStore, start: Start) -> None:
    """A waiter gets its own event and no other, whether it comes later or was there before."""
    watch = start(inbox)
    waiting = asyncio.create_task(wait_for(watch, TaskWaiter(["Concat-1"])))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(publish, vod_emulator, 3)
    await waiting
    await wait_for(watch, TaskWaiter(["Concat-2"]))
    other = TaskWaiter(["Concat-3"])
    watch.add(other)
    assert not await other.next(0.1)
    watch.discard(other)


async def test_events_of_many_tasks(vod_emulator: Emulator, sqlite: FickleStore, start: Start) -> None:
    """One waiter for several tasks gets each event once, as it comes; an id that is given twice is one."""
    watch = start(sqlite)
    waiter = TaskWaiter(["Concat-0", "Concat-1", "Concat-0", "Late"])
    watch.add(waiter)
    await asyncio.to_thread(publish, vod_emulator, 2)
    got: set[str] = set()
    while len(got) < 2:
        found = await soon(waiter)
        assert found
        assert not found & got
        got |= found
    assert waiter.missing == {"Late"}
    watch.discard(waiter)


async def test_only_the_event_types_asked_for_count(sqlite: FickleStore, start: Start) -> None:
    """Neither the look nor the news deliver an event of another type, nor one that ends no task."""
    watch = start(sqlite)
    sqlite.receive(watch.queue, [concat_event("A")], "callback")
    waiter = TaskWaiter(["A", "B"], ["EditMediaComplete"])
    watch.add(waiter)
    assert not await waiter.next(0.3)
    sqlite.receive(watch.queue, [concat_event("B")], "callback")
    assert not await waiter.next(1.0)
    watch.discard(waiter)


async def test_one_task_waited_for_twice(vod_emulator: Emulator, sqlite: FickleStore, start: Start) -> None:
    """Sensors of two DAGs that wait for the same VOD task both get it."""
    watch = start(sqlite)
    both = [asyncio.create_task(wait_for(watch, TaskWaiter(["Concat-0"], name=name))) for name in ("one", "two")]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(publish, vod_emulator, 1)
    await asyncio.gather(*both)


async def test_no_event_falls_between_the_look_and_the_wait(inbox: InboxStore, start: Start) -> None:
    """Events that are committed at the very moment at which their waiters come are all delivered."""
    watch = start(inbox)
    number = 150

    def commit() -> None:
        for each in range(number):
            inbox.receive(watch.queue, [concat_event(f"T-{each}")], "callback")

    committing = asyncio.create_task(asyncio.to_thread(commit))
    waiting = []
    for each in range(number):
        waiting.append(asyncio.create_task(wait_for(watch, TaskWaiter([f"T-{each}"]))))
        await asyncio.sleep(0)
        if each % 10 == 0:
            await asyncio.sleep(0.005)
    await asyncio.gather(committing, *waiting)


async def test_news_of_other_processes_arrive(inbox: InboxStore, start: Start, inbox_url: str) -> None:
    """An event that somebody else commits is delivered, long before the inbox is looked into again for all who wait."""
    watch = start(inbox)
    other = InboxStore.open(inbox_url)
    for number in range(4):
        waiter = TaskWaiter([f"T-{number}"])
        watch.add(waiter)
        await asyncio.sleep(0.4 + number * 0.13)
        await asyncio.to_thread(other.receive, watch.queue, [concat_event(f"T-{number}")], "callback")
        await soon(waiter)
        assert not waiter.missing
        watch.discard(waiter)
    other.close()


async def test_news_at_the_end_of_a_turn_are_not_lost(sqlite: FickleStore, start: Start) -> None:
    """What is announced in the very moment in which the watch gives up waiting for news is read in its next turn."""
    watch = start(sqlite)
    sqlite.wait_for_news = lambda *_, stop, **__: stop.wait(0.1) and False  # type: ignore[attr-defined]
    waiter = TaskWaiter(["A"])
    watch.add(waiter)
    assert not await waiter.next(0.3)

    class Late(Signal):
        late = True

        def wait(self, seconds: float) -> bool:
            came = super().wait(seconds)
            if not came and self.late:
                self.late = False
                sqlite.receive(watch.queue, [concat_event("A")], "callback")
                watch._note_news()
            return came

    watch._signal = Late()
    assert await soon(waiter)
    watch.discard(waiter)


async def test_the_inbox_fails_in_the_middle_of_a_wait(
    vod_emulator: Emulator, sqlite: FickleStore, start: Start
) -> None:
    """The wait goes on, and what came meanwhile is delivered afterwards."""
    watch = start(sqlite)
    waiting = asyncio.create_task(wait_for(watch, TaskWaiter(["Concat-0"], name="early")))
    await asyncio.sleep(0.3)
    sqlite.go_down()
    late = asyncio.create_task(wait_for(watch, TaskWaiter(["Concat-1"], name="late")))
    await asyncio.to_thread(publish, vod_emulator, 2)
    await asyncio.sleep(1.5)
    assert not waiting.done()
    sqlite.come_back()
    await asyncio.gather(waiting, late)
    await asyncio.to_thread(until, lambda: sqlite.waiters.longest(watch.queue) == [])


async def test_what_was_never_announced_is_found_by_looking_again(
    sqlite: FickleStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then the inbox is looked into for all that is waited for, whatever the news say."""
    monkeypatch.setattr(watch_module, "LOOK_AGAIN", 0.5)
    watch = start(sqlite)
    waiter = TaskWaiter(["A"])
    watch.add(waiter)
    await waiter.next(0.3)
    sqlite.receive(watch.queue, [concat_event("A")], "callback")
    watch._lookout.position = 10**6  # as if it had been read already
    await soon(waiter)
    assert not waiter.missing
    watch.discard(waiter)


async def test_an_event_waiter_has_that_backstop_too(
    sqlite: FickleStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was never announced is found for whoever waits for an event by what it says, on a queue that is quiet otherwise."""
    monkeypatch.setattr(watch_module, "LOOK_AGAIN", 2.0)
    sqlite.wait_for_news = lambda *_, stop, **__: stop.wait(0.1) and False  # type: ignore[attr-defined]
    watch = start(sqlite)
    waiter = EventWaiter(EventMatch.of("ConcatComplete"), since=0.0)
    watch.add(waiter)
    await waiter.next(0.3)
    watch._lookout.position = 10**6  # as if it had been read already
    waiter.looked_up_to = 0
    sqlite.receive(watch.queue, [concat_event("A")], "callback")
    await asyncio.wait_for(waiter.next(20), 30)
    assert waiter.found is not None
    watch.discard(waiter)


@pytest.mark.parametrize("broken", ["headers_after", "find"])
async def test_one_failed_read_is_made_good_without_any_other_signal(
    sqlite: FickleStore, start: Start, broken: str
) -> None:
    """What could not be read for a moment is read again a second later, although nothing else happens meanwhile."""
    watch = start(sqlite)
    waiter = TaskWaiter(["A"])
    if broken == "headers_after":
        watch.add(waiter)
        await waiter.next(1.5)
    sqlite.broken = {broken}
    sqlite.receive(watch.queue, [concat_event("A")], "callback")
    if broken == "find":
        watch.add(waiter)
    await asyncio.to_thread(until, lambda: watch._troubles._outage_since_at)
    sqlite.broken = set()
    await asyncio.wait_for(waiter.next(20), 30)
    assert not waiter.missing
    watch.discard(waiter)


# Waiters that come and go


async def test_discarding_twice_is_harmless(sqlite: FickleStore, start: Start) -> None:
    """So is discarding what a watch has forgotten by itself."""
    watch = start(sqlite)
    waiter = TaskWaiter(["A"])
    watch.add(waiter)
    watch.discard(waiter)
    watch.discard(waiter)


def test_waiters_of_a_closed_loop_are_dropped(
    sqlite: FickleStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that ends without goodbye keeps neither its waiters nor the watch alive."""
    monkeypatch.setattr(watch_module, "LINGER", 0.5)
    watch = start(sqlite)

    async def leave() -> None:
        assert watch.add(TaskWaiter(["A"]))

    asyncio.run(leave())
    watch._thread.join(10)
    assert not watch.alive
    assert sqlite.waiters.longest(watch.queue) == []


def test_two_event_loops_in_one_process(vod_emulator: Emulator, sqlite: FickleStore, start: Start) -> None:
    """Each waiter is woken in its own loop."""
    watch = start(sqlite)
    outcomes: list[str] = []

    def live(vod_task_id: str) -> None:
        async def wait() -> None:
            await wait_for(watch, TaskWaiter([vod_task_id]))

        asyncio.run(wait())
        outcomes.append(vod_task_id)

    threads = [threading.Thread(target=live, args=(f"Concat-{each}",)) for each in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    publish(vod_emulator, 2)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2


# The life of a watch


async def test_a_refused_key_fails_the_waiters_once(connection: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """They learn the API's own error; with a better key in the connection, the next waiters get a new watch that works."""
    good = connection.airflow_connection(SUB_APP_ID)
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", good.replace(connection.secret_key, "wrong"))
    watch = await watch_of("vod_default")
    waiters = [TaskWaiter([f"T-{each}"], name=f"{each}") for each in range(50)]
    for waiter in waiters:
        watch.add(waiter)
    outcomes = await asyncio.gather(*(soon(waiter) for waiter in waiters), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {VodAuthenticationError}
    assert not await waiters[0].next(0.1)
    assert watch.inbox.waiters.longest(watch.queue) == []
    monkeypatch.setenv("AIRFLOW_CONN_VOD_DEFAULT", good)
    new = await watch_of("vod_default")
    assert new is not watch
    await asyncio.to_thread(publish, connection, 1)
    await wait_for(new, TaskWaiter(["Concat-0"]))


async def test_an_error_is_not_lost_behind_an_event(sqlite: FickleStore, start: Start) -> None:
    """A waiter that has got a part of its events before the watch failed learns of both, one after the other."""
    watch = start(sqlite)
    waiter = TaskWaiter(["A", "B"])
    watch.add(waiter)
    sqlite.receive(watch.queue, [concat_event("A")], "callback")
    await asyncio.to_thread(until, lambda: waiter._found)
    watch.end()
    await asyncio.to_thread(watch.join)
    assert set(await soon(waiter)) == {"A"}
    with pytest.raises(InboxUnavailableError):
        await soon(waiter)


async def test_a_watch_that_cannot_start_fails_its_waiters(
    sqlite: FickleStore, vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not wait for threads that never ran."""

    def fail(*_: object) -> None:
        time.sleep(0.2)
        raise ZeroDivisionError

    monkeypatch.setattr("airflow_vod.tencent.client.VodClient.__init__", fail)
    watch = Watch(settings_of(vod_emulator), sqlite)  # type: ignore[arg-type]
    watch.start()
    waiter = TaskWaiter(["A"])
    assert watch.add(waiter)
    with pytest.raises(ZeroDivisionError):
        await soon(waiter)
    await asyncio.to_thread(watch.join)
    assert not watch.alive


async def test_a_watch_without_all_its_threads_ends(
    sqlite: FickleStore, vod_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the machine has no thread left, the relay that was started already does not pull on by itself."""
    start = threading.Thread.start

    def fail(self: threading.Thread) -> None:
        if self.name.startswith("vod-news"):
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", fail)
    watch = Watch(settings_of(vod_emulator), sqlite)  # type: ignore[arg-type]
    watch.start()
    await asyncio.to_thread(watch.join, 60)
    assert not watch._thread.is_alive()
    await asyncio.to_thread(until, lambda: not [each for each in threading.enumerate() if watch.queue in each.name])
    lease = sqlite.leases.read(watch.queue)
    assert lease is None or lease.expired


async def test_garbage_of_a_closed_loop_blocks_nobody(sqlite: FickleStore, start: Start) -> None:
    """A coroutine that the garbage collector ends while its watch is at work discards its waiter and goes."""
    watch = start(sqlite)

    async def trigger() -> None:
        waiter = TaskWaiter(["A"])
        assert watch.add(waiter)
        try:
            await waiter.next(1000)
        finally:
            watch.discard(waiter)

    def leave() -> None:
        loop = asyncio.new_event_loop()
        loop.create_task(trigger())  # noqa: RUF006
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    await asyncio.to_thread(leave)

    def collect() -> None:
        with watch._lock:
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()


async def test_a_bug_in_a_thread_surfaces(sqlite: FickleStore, start: Start) -> None:
    """Waiters do not wait for a watch whose thread has died."""
    watch = start(sqlite)
    waiter = TaskWaiter(["A"])
    watch.add(waiter)
    await waiter.next(0.3)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    sqlite.headers_after = fail  # type: ignore[attr-defined]
    sqlite.receive(watch.queue, [concat_event("B")], "callback")
    with pytest.raises(ZeroDivisionError):
        await soon(waiter)
    await asyncio.to_thread(watch.join)


async def test_rounds_leave_nothing_behind(connection: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many watches have come and gone, their threads, sockets and files are gone as well."""
    monkeypatch.setattr(watch_module, "_TICK", 0.01)
    connection.publish_concat("Concat-0", files=["http://example.com/a.mp4"], sub_app_id=SUB_APP_ID)

    async def one_round() -> None:
        watch = await watch_of("vod_default")
        await wait_for(watch, TaskWaiter(["Concat-0"]))
        watch.end()
        await asyncio.to_thread(watch.join)

    def files() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def threads() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("vod-")}

    for _ in range(3):
        await one_round()
    before, threads_before = files(), threads()
    for _ in range(25):
        await one_round()
    assert threads() <= threads_before
    await asyncio.to_thread(until, lambda: files() <= before + 2)  # the server closes its ends in its own time


# Ten thousand


class Ticker:
    """Measures for how long an event loop is blocked, and how long it is busy itself: other processes do not matter for that."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self.blocked = self.busy = 0.0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            before, busy_before = time.monotonic(), time.thread_time()
            await asyncio.sleep(0.005)
            self.blocked = max(self.blocked, time.monotonic() - before - 0.005)
            self.busy = max(self.busy, time.thread_time() - busy_before)


async def test_ten_thousand_waiters(vod_emulator: Emulator, sqlite: FickleStore, start: Start) -> None:
    """They cost one long poll, a bounded number of statements and little memory; a burst of events reaches them all."""
    number = 10_000
    watch = start(sqlite)
    await asyncio.to_thread(until, lambda: vod_emulator.queue(SUB_APP_ID).waiting == 1)
    sqlite.calls.clear()
    ticker = Ticker()
    ticking = asyncio.create_task(ticker.run())
    gc.collect()
    gc.freeze()  # what pytest and Airflow have in memory is not to be counted, nor to be searched for garbage
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tasks = []
    for each in range(number):
        tasks.append(asyncio.create_task(_wait_as_a_trigger_does(watch, each)))
        if each % 50 == 49:  # a triggerer takes at most 50 at a time
            await asyncio.sleep(0)
    await asyncio.to_thread(until, lambda: watch.inbox.counts(watch.queue).waiters == number, 60)
    gc.collect()
    per_waiter = (tracemalloc.get_traced_memory()[0] - before) / number
    tracemalloc.stop()
    calls = [name for name in sqlite.calls if name in ("find", "waiters.add", "waiters.remove", "headers_after")]
    assert len(calls) < 100
    assert vod_emulator.calls.count("PullEvents") < 200
    assert per_waiter < 6 * 1024

    events = [concat_event(f"T-{each}") for each in range(number)]
    await asyncio.sleep(0.1)
    pulls = vod_emulator.calls.count("PullEvents")
    ticker.reset()
    await asyncio.sleep(4 * HOLD)
    assert vod_emulator.calls.count("PullEvents") - pulls <= 5
    assert ticker.busy < 0.1
    ticker.reset()
    for start_at in range(0, number, 500):
        await asyncio.to_thread(sqlite.receive, watch.queue, events[start_at : start_at + 500], "callback")
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    ticking.cancel()
    assert ticker.busy < 1.0  # seconds at a time, on a busy machine too; the benchmark has the figure
    assert ticker.blocked < 5
    gc.unfreeze()
    await asyncio.to_thread(until, lambda: sqlite.counts(watch.queue).waiters == 0, 60)


async def _wait_as_a_trigger_does(watch: Watch, number: int) -> None:
    trigger = VodTaskTrigger(vod_task_id=f"T-{number}", vod_conn_id="vod_default", deadline=time.time() + 3600)
    waiter = TaskWaiter(
        [trigger.vod_task_id], trigger.event_types, name=f"dag/run/{number}", deadline_at=trigger.deadline
    )
    watch.add(waiter)
    try:
        while waiter.missing:
            await waiter.next(300)
    finally:
        watch.discard(waiter)
