"""What an asset watcher fires, and what its cursor passes, in Airflow 3.3 and newer, with relay and emulator behind it.

Airflow's own `SharedStreamManager` is there too: it decides what Airflow has stored.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import SharedStreamManager
from sqlalchemy import select

from airflow_vod.events.matching import EventMatch
from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.leases import Leases
from airflow_vod.inbox.tables import vod_cursor
from airflow_vod.triggers.vod_event import VodEventTrigger
from airflow_vod.waiting import feed as feeds
from airflow_vod.waiting import watch as waiters
from airflow_vod.waiting import watches as watches_module
from airflow_vod.waiting.feed import Feed
from tests.airflow_fixtures import Vod
from tests.unit.triggers.test_vod_event import cursor, deletion, receive, until, upload


def test_airflow_recognises_a_stored_watcher() -> None:
    """What the DAG processor reads back from the database it takes for the trigger of the DAG file, and runs it so."""
    one = VodEventTrigger(event_type=["B", "A"], match={"source": "Upload", "file_id": "1"}, watcher="w")
    encoded = encode_trigger(one)
    stored = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(encoded["kwargs"]))
    assert BaseEventTrigger.hash(encoded["classpath"], stored) == BaseEventTrigger.hash(*one.serialize())

    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    again = VodEventTrigger(**{name: smart_decode_trigger_kwargs(value) for name, value in stored.items()})
    assert again.serialize() == one.serialize()
    assert again.shared_stream_key() == one.shared_stream_key()


# For asset watchers


class Triggerer:
    """Runs one watcher as Airflow's triggerer does, and lets the test say what Airflow has stored.

    :param trigger: the watcher.
    """

    def __init__(self, trigger: VodEventTrigger) -> None:
        self.taken: list[dict[str, Any]] = []
        self._trigger = trigger
        self._key = trigger.shared_stream_key()
        self._streams = SharedStreamManager()
        self._unstored: list[int] = []
        self.cancel_at: int | None = None  # how many it takes before it is cancelled in the middle of the next
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        stream = self._streams.subscribe(trigger_id=1, trigger=self._trigger, key=self._key)
        try:
            async for event in self._trigger.filter_shared_stream(stream):
                if len(self.taken) == self.cancel_at:
                    return  # here Airflow writes its log, and may be cancelled; it has not taken the event then
                self.taken.append(event.payload)
                seq = self._streams.bind_pending_event(trigger_id=1, key=self._key)
                assert seq is not None
                self._unstored.append(seq)
                await asyncio.sleep(0)
        finally:
            await self._streams.unsubscribe(1, self._key)

    def store(self, number: int) -> None:
        """Let Airflow store so many more of what it took."""
        some, self._unstored = self._unstored[:number], self._unstored[number:]
        self._streams.confirm_persisted(some)

    @property
    def numbers(self) -> list[int]:
        """The files of the events it took."""
        return [int(event["file_id"]) for event in self.taken]

    async def stop(self) -> None:
        """End it, in an orderly way."""
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def start(vod: Vod) -> AsyncIterator[Callable[..., Triggerer]]:
    """Start triggerers with the watcher ``w`` for uploads, which begins with the first event."""
    vod.store.cursors.get("w", vod.queue, 0)
    started: list[Triggerer] = []

    def start_one() -> Triggerer:
        started.append(Triggerer(VodEventTrigger(event_type="NewFileUpload", watcher="w")))
        return started[-1]

    yield start_one
    for triggerer in started:
        await triggerer.stop()


async def test_every_event_becomes_one(vod: Vod, start: Callable[[], Triggerer]) -> None:
    """Each event that counts fires once, in the order of the inbox, by whatever road it came; the others do not."""
    receive(vod, upload(0), deletion(0), upload(1))
    triggerer = start()
    await until(lambda: triggerer.numbers == [0, 1])
    for number in range(2, 40):
        vod.publish(upload(number))
        vod.publish(deletion(number))
    await until(lambda: len(triggerer.taken) >= 40)
    assert sorted(triggerer.numbers) == list(range(40))
    positions = [event["position"] for event in triggerer.taken]
    assert positions == sorted(positions)
    assert len({event["key"] for event in triggerer.taken}) == 40
    assert triggerer.taken[0]["payload"] == {"FileId": "0"}


async def test_the_cursor_waits_for_airflow(vod: Vod, start: Callable[[], Triggerer]) -> None:
    """The cursor passes an event only after Airflow has stored it; only then it counts as read, by this watcher."""
    receive(vod, *map(upload, range(5)))
    triggerer = start()
    await until(lambda: len(triggerer.taken) == 5)
    await asyncio.sleep(0.3)
    assert cursor(vod) == 0
    assert len(vod.store.newest(unread=True)) == 5
    triggerer.store(2)
    await until(lambda: cursor(vod) == 2)
    triggerer.store(3)
    await until(lambda: cursor(vod) == 5)
    await until(lambda: not vod.store.newest(unread=True))
    assert {event.read_by for event in vod.store.newest()} == {"asset watcher w"}


async def test_people_see_a_watcher_wait(vod: Vod) -> None:
    """A watcher is among the waiters under its own name, or by what it waits for, until it ends."""
    match = {"source": "Upload"}
    triggers = VodEventTrigger(event_type="NewFileUpload", match=match), VodEventTrigger(watcher="mine")
    watchers = [Triggerer(trigger) for trigger in triggers]
    await until(lambda: len(vod.store.waiters.longest(vod.queue)) == 2)
    told = {waiter.waiter: waiter.event_types for waiter in vod.store.waiters.longest(vod.queue)}
    assert told == {
        "asset watcher of NewFileUpload, source = 'Upload'": ("NewFileUpload",),
        "asset watcher mine": (),
    }
    for watcher in watchers:
        await watcher.stop()
    await until(lambda: vod.store.waiters.longest(vod.queue) == [])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_watcher_ends_when_it_is_told_to(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    """Also in the very moment in which there is room for more events; another one then goes on."""
    monkeypatch.setattr(feeds, "WINDOW", 10)
    receive(vod, *map(upload, range(25)))
    triggerer = start()
    await until(lambda: len(triggerer.taken) == 10)
    await asyncio.sleep(0.5)
    triggerer.store(4)
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(triggerer.stop(), 30)
    other = start()
    await until(lambda: other.store(25) or cursor(vod) == 25)


async def test_a_watcher_that_ends_while_it_renews_its_lease(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is free when it has ended."""
    monkeypatch.setattr(feeds, "_RENEWAL", 0.2)
    acquire, inside, go = Leases.acquire, threading.Event(), threading.Event()
    triggerer = start()
    await until(lambda: vod.store.leases.read("watcher w") is not None)

    def slow(self: Leases, queue: str, *args: Any, **kwargs: Any) -> bool:
        if queue == "watcher w":
            inside.set()
            go.wait(60)
        return acquire(self, queue, *args, **kwargs)

    monkeypatch.setattr(Leases, "acquire", slow)
    await until(inside.is_set)
    threading.Timer(0.5, go.set).start()
    await triggerer.stop()
    lease = vod.store.leases.read("watcher w")
    assert lease is None or lease.expired


async def test_what_is_taken_is_marked_as_read_in_the_end(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inbox that fails between the cursor and the marks gets the marks later."""
    monkeypatch.setattr(feeds, "_RENEWAL", 0.2)
    mark_read, tries = InboxStore.mark_read, []

    def fail_once(self: InboxStore, *args: Any) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise InboxUnavailableError("just now")
        return mark_read(self, *args)

    monkeypatch.setattr(InboxStore, "mark_read", fail_once)
    receive(vod, *map(upload, range(3)))
    triggerer = start()
    await until(lambda: len(triggerer.taken) == 3)
    triggerer.store(3)
    await until(lambda: not vod.store.newest(unread=True))
    assert len(tries) > 1


async def test_a_restart(vod: Vod, start: Callable[[], Triggerer]) -> None:
    """After a restart what Airflow has stored does not come again; what it has not does, and so does what came meanwhile."""
    receive(vod, *map(upload, range(5)))
    first = start()
    await until(lambda: len(first.taken) == 5)
    first.store(3)
    await until(lambda: cursor(vod) == 3)
    await first.stop()
    receive(vod, *map(upload, range(5, 8)))
    second = start()
    await until(lambda: len(second.taken) == 5)
    assert second.numbers == [3, 4, 5, 6, 7]


async def test_a_cancelled_trigger_loses_nothing(vod: Vod, start: Callable[[], Triggerer]) -> None:
    """An event on its way when the trigger is cancelled comes again, although Airflow counts it as passed by."""
    receive(vod, *map(upload, range(5)))
    first = start()
    first.cancel_at = 3
    await until(lambda: first._task.done())
    assert cursor(vod) == 0
    second = start()
    await until(lambda: len(second.taken) == 5)
    assert second.numbers == [0, 1, 2, 3, 4]


async def test_a_cancelled_trigger_loses_nothing_behind_what_is_stored(
    vod: Vod, start: Callable[[], Triggerer]
) -> None:
    """Nor does it where Airflow has stored all that the trigger handed over before: the cursor stays in front of it."""
    receive(vod, *map(upload, range(5)))
    first = start()
    first.cancel_at = 3
    while not first._task.done():
        first.store(5)
        await asyncio.sleep(0)
    await until(lambda: cursor(vod) >= 3)
    second = start()
    await until(lambda: len(second.taken) == 2)
    assert second.numbers == [3, 4]


async def test_two_triggerers(vod: Vod, start: Callable[[], Triggerer]) -> None:
    """Of two triggerers that run the same watcher, one fires; when it ends, the other goes on where Airflow has got to."""
    first, second = start(), start()
    for number in range(30):
        vod.publish(upload(number))
    await until(lambda: len(first.taken) + len(second.taken) >= 30)
    await asyncio.sleep(2 * feeds._STANDBY)
    assert sorted(map(len, (first.taken, second.taken))) == [0, 30]
    active, standby = (first, second) if first.taken else (second, first)
    active.store(30)
    await until(lambda: cursor(vod) == 30)
    await active.stop()
    vod.publish(upload(30))
    await until(lambda: standby.numbers == [30])


async def test_who_loses_the_lease_stops(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer that stood still for longer than its lease does not fire on when another has taken over."""
    monkeypatch.setattr(feeds, "_RENEWAL", 0.2)
    receive(vod, upload(0))
    triggerer = start()
    await until(lambda: triggerer.numbers == [0])
    assert vod.store.leases.release("watcher w", holder := lease_holder(vod))
    assert vod.store.leases.acquire("watcher w", "another", 60.0)
    await asyncio.sleep(1)
    receive(vod, upload(1))
    await asyncio.sleep(1)
    assert triggerer.numbers == [0]
    vod.store.leases.release("watcher w", "another")
    await until(
        lambda: triggerer.numbers == [0, 1]
    )  # what it fired before is still on its way, and does not come again
    assert lease_holder(vod) == holder


async def test_who_gets_the_lease_back_goes_on_behind_the_other(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another triggerer has fired meanwhile, and Airflow has stored, does not come again."""
    monkeypatch.setattr(feeds, "_RENEWAL", 0.2)
    triggerer = start()
    await until(lambda: vod.store.leases.read("watcher w") is not None)
    vod.store.leases.release("watcher w", lease_holder(vod))
    assert vod.store.leases.acquire("watcher w", "another", 60.0)
    await asyncio.sleep(1)
    receive(vod, upload(0), upload(1))
    vod.store.cursors.advance("w", vod.queue, 1)
    vod.store.leases.release("watcher w", "another")
    await until(lambda: triggerer.numbers == [1])


async def test_an_outage_in_the_middle_of_a_page(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the inbox fails between two events that were read at once, the second is not skipped."""
    monkeypatch.setattr(feeds, "_PAUSE", 0.2)
    monkeypatch.setattr(feeds, "_RENEWAL", 0.0)
    monkeypatch.setattr(feeds, "WINDOW", 2)
    receive(vod, *map(upload, range(5)))
    triggerer = start()
    await until(lambda: len(triggerer.taken) == 2)
    failures = []

    def fail(*_: Any, **__: Any) -> bool:
        failures.append(1)
        raise InboxUnavailableError("away")

    with monkeypatch.context() as outage:
        outage.setattr(Leases, "acquire", fail)
        await until(lambda: len(failures) > 1)
    await until(lambda: triggerer.store(5) or len(triggerer.taken) == 5)
    assert triggerer.numbers == list(range(5))


def lease_holder(vod: Vod) -> str:
    """Who fires."""
    lease = vod.store.leases.read("watcher w")
    assert lease is not None
    return lease.holder


async def test_no_more_than_a_window_is_on_its_way(
    vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash can bring twice is bounded: no more events are fired until Airflow has stored some."""
    monkeypatch.setattr(feeds, "WINDOW", 10)
    receive(vod, *map(upload, range(25)))
    triggerer = start()
    await until(lambda: len(triggerer.taken) == 10)
    await asyncio.sleep(0.3)
    assert len(triggerer.taken) == 10
    triggerer.store(4)
    await until(lambda: len(triggerer.taken) == 14)
    await until(lambda: triggerer.store(25) or len(triggerer.taken) == 25)
    assert triggerer.numbers == list(range(25))


async def test_waiting_costs_nothing(vod: Vod, start: Callable[[], Triggerer], monkeypatch: pytest.MonkeyPatch) -> None:
    """While no event comes that may count, the inbox is not asked for any."""
    receive(vod, upload(0))
    triggerer = start()
    await until(lambda: triggerer.numbers == [0])
    await asyncio.sleep(0.5)
    asked = []
    monkeypatch.setattr(Feed, "_read", lambda *_: asked.append(1) or ([], []))
    receive(vod, *map(deletion, range(5)))
    await asyncio.sleep(1.5)
    assert asked == []
    receive(vod, upload(1))
    await until(lambda: asked == [1])


def cursor_of(vod: Vod, watcher: str) -> int | None:
    """Where a watcher has got to; `Cursors.get` would make one."""
    with vod.store._database.read() as connection:
        found = select(vod_cursor.c.position).where(vod_cursor.c.watcher == watcher)
        return connection.execute(found).scalar()


async def test_a_new_watcher_begins_now(vod: Vod) -> None:
    """A watcher that never ran before does not fire for what the inbox had before it."""
    receive(vod, *map(upload, range(5)))
    triggerer = Triggerer(VodEventTrigger(watcher="new"))
    await until(lambda: cursor_of(vod, "new") == 5)
    receive(vod, upload(5))
    await until(lambda: triggerer.numbers == [5])
    await triggerer.stop()


async def test_a_wrong_connection_is_tried_again(vod: Vod, monkeypatch: pytest.MonkeyPatch, start: Any) -> None:
    """A watcher outlives what a person must put right: nobody but the log could be told."""
    monkeypatch.setattr(feeds, "_LONG_PAUSE", 0.2)
    vod.connect(extra={"sub_app_id": "no number"})
    receive(vod, upload(0))
    triggerer = start()
    await asyncio.sleep(0.5)
    assert triggerer.taken == []
    vod.connect()
    await until(lambda: triggerer.numbers == [0])


async def test_another_queue(vod: Vod, monkeypatch: pytest.MonkeyPatch, start: Any) -> None:
    """When the connection leads to another queue, the trigger fails, so that Airflow starts it anew with that queue's cursor."""
    monkeypatch.setattr(feeds, "_PAUSE", 0.1)
    receive(vod, upload(0))
    triggerer = start()
    await until(lambda: triggerer.numbers == [0])
    vod.connect(extra={"sub_app_id": 7})
    watches_module._watches._resolved.clear()
    for watch in waiters.watches():
        watch.end()
    await until(lambda: triggerer._task.done())
    with pytest.raises(RuntimeError, match="another queue"):
        await triggerer._task


async def test_what_nobody_wants_is_not_read_again(vod: Vod) -> None:
    """Events that the inbox cannot tell from those that count are read once, also across restarts."""
    receive(vod, *map(upload, range(5)))
    vod.store.cursors.get("picky", vod.queue, 0)
    feed = Feed("picky", EventMatch.of(None, {"MediaBasicInfo.Name": "x"}), "vod_default")
    reading = asyncio.ensure_future(anext(feed.events()))
    await until(lambda: vod.store.cursors.get("picky", vod.queue, -1) == 5)
    reading.cancel()
    await feed.aclose()
