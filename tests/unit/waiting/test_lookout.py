"""The lookout, step by step in the test's own thread: what it reads of an inbox, and what it hands to whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_vod.events.matching import EventMatch
from airflow_vod.events.parse import parse_event
from airflow_vod.inbox import InboxStore
from airflow_vod.waiting.index import WaiterIndex
from airflow_vod.waiting.lookout import _PAGE, Lookout
from airflow_vod.waiting.waiter import EventWaiter, TaskWaiter, Waiter
from tests.samples import Clock, concat_event

QUEUE = "queue"


class Scene:
    """A lookout, its inbox and a clock.

    :param store: the inbox.
    :param clock: its clock.
    """

    def __init__(self, store: InboxStore, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.pages: list[dict[str, Any]] = []  # what was asked of the inbox for scans
        self._index = WaiterIndex()
        self.lookout = Lookout(self, QUEUE, self._index, threading.RLock())  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        """Be the inbox."""
        return getattr(self.store, name)

    def candidates(self, queue: str, **options: Any) -> Any:
        """Note what a scan asks for."""
        self.pages.append(options)
        return self.store.candidates(queue, **options)

    def uploads(self, *names: str) -> list[int]:
        """Let uploads of files with these names be in the inbox.

        :return: their positions.
        """
        before = self.store.position(QUEUE)
        # No two events are alike: the inbox keeps one of them.
        content = [{"FileId": str(before + n), "MediaBasicInfo": {"Name": name}} for n, name in enumerate(names)]
        events = [parse_event({"EventType": "NewFileUpload", "FileUploadEvent": each}) for each in content]
        self.store.receive(QUEUE, events, "pull")
        return [each.position for each in self.store.headers_after(QUEUE, before, len(names))]

    def add(self, *waiters: Waiter) -> None:
        """Let waiters come, and look up what is looked up at once."""
        self.lookout.begin()
        for waiter in waiters:
            self._index.add(waiter)
        self.lookout.look_up(waiters)

    async def scan(self, turns: int = 20) -> int:
        """Scan to the end.

        :return: how many turns it took.
        """
        for turn in range(turns):
            more = self.lookout.scan()
            await asyncio.sleep(0)  # what was found arrives in the event loop
            if not more:
                return turn + 1
        raise AssertionError("the scan does not end")


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    """An empty inbox, and nobody waits."""
    clock = Clock()
    store = InboxStore.open(f"sqlite:///{tmp_path / 'inbox.db'}", clock=clock)
    yield Scene(store, clock)
    store.close()


def named(name: str, since: float = 0.0) -> EventWaiter:
    """Waits for the upload of a file with a name; the inbox has no column for that."""
    return EventWaiter(EventMatch.of("NewFileUpload", {"MediaBasicInfo.Name": name}), since=since)


async def test_news_do_not_overtake_the_scan(scene: Scene) -> None:
    """While what was there already is not yet read to the end, a later event is not taken for the first one."""
    *_, first = scene.uploads(*["other"] * (_PAGE + 50), "mine")
    waiter = named("mine")
    scene.add(waiter)
    assert scene.lookout.scan()  # a page without it
    assert scene.lookout.scanning
    scene.uploads("mine")
    scene.lookout.read_news()
    await asyncio.sleep(0)
    assert waiter.found is None
    await scene.scan()
    assert waiter.found is not None
    assert waiter.found.position == first
    assert not scene.lookout.scanning


async def test_news_do_not_overtake_the_first_look(scene: Scene) -> None:
    """Who has just come gets no news before what was there already was looked at for it, also where that look has failed."""
    [first] = scene.uploads("mine")
    scene.lookout.begin()
    waiter = named("mine")
    scene._index.add(waiter)
    scene.uploads("mine")
    scene.lookout.read_news()
    await asyncio.sleep(0)
    assert waiter.found is None
    scene.lookout.look_up([waiter])
    await scene.scan()
    assert waiter.found is not None
    assert waiter.found.position == first


async def test_what_comes_during_the_scan_is_not_lost(scene: Scene) -> None:
    """An event that is read as news while the scan goes on is found by the scan, although it is news no more."""
    scene.uploads(*["other"] * (_PAGE + 50))
    waiter = named("mine")
    scene.add(waiter)
    assert scene.lookout.scan()
    [position] = scene.uploads("mine")
    scene.lookout.read_news()
    await scene.scan()
    assert waiter.found is not None
    assert waiter.found.position == position


async def test_a_scan_reads_every_page_once(scene: Scene) -> None:
    """However much lies before the event that counts it is found, and no look reads again what one has read."""
    positions = scene.uploads(*["other"] * (3 * _PAGE))
    waiter = named("mine")
    scene.add(waiter)
    assert await scene.scan() == 4
    assert [page["after"] for page in scene.pages] == [0, *positions[_PAGE - 1 :: _PAGE]]
    assert waiter.looked_up
    assert waiter.found is None
    scene.pages.clear()
    scene.lookout.look_up([waiter])
    await scene.scan()
    assert [page["after"] for page in scene.pages] == [positions[-1]]


async def test_news_come_after_the_look(scene: Scene) -> None:
    """Once the look is over, news are handed over as they come; those that do not count are not."""
    waiter, other = named("mine"), named("no such")
    scene.add(waiter, other)
    await scene.scan()
    assert waiter.looked_up
    *_, position = scene.uploads(*["other"] * 300, "mine")
    scene.lookout.read_news()
    await asyncio.sleep(0)
    assert waiter.found is not None
    assert waiter.found.position == position == scene.lookout.position
    assert other.found is None


@pytest.mark.parametrize("reverse", [False, True])
async def test_one_scan_for_waits_since_different_times(scene: Scene, reverse: bool) -> None:
    """Those who wait for the same types share a scan, and each gets the first event that came when it counts for it."""
    positions, waiters = [], []
    for _ in range(3):
        waiters.append(named("mine", scene.clock.now))
        positions += scene.uploads("mine")
        scene.clock.now += 10
    waiters.append(named("mine", scene.clock.now))
    scene.add(*(reversed(waiters) if reverse else waiters))
    assert await scene.scan() == 1
    assert len(scene.pages) == 1
    assert [each.found and each.found.position for each in waiters] == [*positions, None]


async def test_who_comes_during_a_scan_misses_nothing(scene: Scene) -> None:
    """A waiter that joins when others have read some pages gets the first event that counts for it from those."""
    positions = scene.uploads("mine", *["other"] * (2 * _PAGE), "first")
    early = named("first")
    scene.add(early)
    assert scene.lookout.scan()
    late = named("mine")
    scene.add(late)
    await scene.scan()
    assert early.found is not None
    assert late.found is not None
    assert [each.found.position for each in (early, late)] == [positions[-1], positions[0]]


async def test_waits_for_different_types_and_ids(scene: Scene) -> None:
    """Each finds its own event, whether it shares a scan or leads to few events by an id."""
    scene.uploads("mine")  # of file 0
    scene.store.receive(QUEUE, [concat_event("T-1", "7")], "pull")
    waiters = [
        named("mine"),
        EventWaiter(EventMatch.of(None, {"vod_task_id": "T-1"}), since=0.0),
        EventWaiter(EventMatch.of("ConcatComplete"), since=0.0),
        EventWaiter(EventMatch.of(None, {"file_id": "0"}), since=0.0),
        EventWaiter(EventMatch.of("FileDeleted"), since=0.0),
    ]
    scene.add(*waiters)
    await scene.scan()
    assert [each.found and each.found.position for each in waiters] == [1, 2, 2, 1, None]
    assert all(each.looked_up or each.found for each in waiters)


@pytest.mark.parametrize("order", ["before", "after"])
async def test_a_task_that_has_ended(scene: Scene, order: str) -> None:
    """The end of a task is handed over once, whether it was there before anybody waited or came then."""
    waiter = TaskWaiter(["T-1", "T-2"])

    def end() -> None:
        scene.store.receive(QUEUE, [concat_event("T-1"), concat_event("T-3")], "pull")

    steps: list[Callable[[], None]] = [end, lambda: scene.add(waiter)]
    for step in steps if order == "before" else reversed(steps):
        step()
    scene.lookout.read_news()
    await asyncio.sleep(0)
    assert waiter.looked_up
    assert await waiter.next(60) == {"T-1"}
    assert waiter.missing == {"T-2"}
