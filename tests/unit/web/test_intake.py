"""Concurrent callbacks share a commit; each gets its own outcome, after the commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_vod.events.parse import VodEvent
from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.inbox import Received
from airflow_vod.web import intake as module
from airflow_vod.web.intake import Intake
from tests.samples import concat_event


class SlowInbox:
    """An inbox whose commits wait for permission.

    :param refused: VOD task ids that it will not have.
    """

    def __init__(self, refused: Sequence[str] = ()) -> None:
        self.commits: list[list[str | None]] = []
        self.begun, self.leave = threading.Semaphore(0), threading.Semaphore(0)
        self.error: Exception | None = None
        self._refused = frozenset(refused)

    def receive(self, queue: str, events: Sequence[VodEvent], source: str) -> list[Received]:
        """Commit once permitted."""
        assert source == "callback"
        self.begun.release()
        assert self.leave.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        tasks = [event.vod_task_id for event in events]
        if self._refused.intersection(filter(None, tasks)):
            raise InboxError("refused")
        self.commits.append(tasks)
        return [Received(event.key, position, False) for position, event in enumerate(events)]


def start(intake: Intake, *names: str, queue: str = "q") -> list[asyncio.Task[Received]]:
    """Start callbacks."""
    return [asyncio.create_task(intake.receive(queue, concat_event(name))) for name in names]


async def begun(inbox: SlowInbox) -> None:
    """Wait until a commit has begun."""
    assert await asyncio.to_thread(inbox.begun.acquire, timeout=60)


async def test_those_that_come_meanwhile_share_the_next_commit() -> None:
    """Commits run one at a time; events that arrive during one share the next."""
    inbox: Any = SlowInbox()
    intake = Intake(lambda: inbox, timeout=60)
    first = start(intake, "a")
    await begun(inbox)
    rest = start(intake, "b", "c", "d")
    await asyncio.sleep(0)
    assert not first[0].done()
    inbox.leave.release(2)
    received = await asyncio.gather(*first, *rest)
    assert inbox.commits == [["a"], ["b", "c", "d"]]
    assert [each.key for each in received] == [concat_event(name).key for name in "abcd"]


async def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many events are split into groups, in order of arrival."""
    monkeypatch.setattr(module, "MAX_GROUP", 2)
    inbox: Any = SlowInbox()
    inbox.leave.release(10)
    await asyncio.gather(*start(Intake(lambda: inbox, timeout=60), *"abcde"))
    assert inbox.commits == [["a", "b"], ["c", "d"], ["e"]]


async def test_one_that_is_refused_keeps_nobody_out() -> None:
    """When a group is rejected, each event is tried alone, and only the offending one fails."""
    inbox: Any = SlowInbox(refused=["b"])
    inbox.leave.release(10)
    results = await asyncio.gather(*start(Intake(lambda: inbox, timeout=60), *"abc"), return_exceptions=True)
    assert [isinstance(result, InboxError) for result in results] == [False, True, False]
    assert inbox.commits == [["a"], ["c"]]


async def test_a_database_that_is_down_fails_all_at_once() -> None:
    """After an outage, events are not tried one by one: their senders retry."""
    inbox: Any = SlowInbox()
    inbox.error = InboxUnavailableError("down")
    inbox.leave.release(10)
    results = await asyncio.gather(*start(Intake(lambda: inbox, timeout=60), *"abc"), return_exceptions=True)
    assert all(isinstance(result, InboxUnavailableError) for result in results)
    assert inbox.begun.acquire(blocking=False)
    assert not inbox.begun.acquire(blocking=False)


async def test_who_waits_too_long_is_told_so() -> None:
    """A slow commit raises in time for the sender; the commit continues, and its outcome is ignored."""
    inbox: Any = SlowInbox()
    intake = Intake(lambda: inbox, timeout=0.05)
    with pytest.raises(InboxUnavailableError, match="slow"):
        await intake.receive("q", concat_event("a"))
    inbox.leave.release(2)
    await Intake(lambda: inbox, timeout=60).receive("q", concat_event("b"))
    assert ["b"] in inbox.commits


async def test_a_flood_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of waiting events is bounded; further ones are turned away."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    inbox: Any = SlowInbox()
    intake = Intake(lambda: inbox, timeout=60)
    first = start(intake, "a")
    await begun(inbox)
    waiting = start(intake, "b", "c")
    await asyncio.sleep(0)
    with pytest.raises(InboxUnavailableError, match="faster"):
        await intake.receive("q", concat_event("d"))
    inbox.leave.release(5)
    await asyncio.gather(*first, *waiting)


async def test_queues_do_not_wait_for_each_other() -> None:
    """Queues do not wait for each other's commits."""
    inbox: Any = SlowInbox()
    intake = Intake(lambda: inbox, timeout=60)
    tasks = start(intake, "a") + start(intake, "b", queue="other")
    await begun(inbox)
    await begun(inbox)
    inbox.leave.release(2)
    await asyncio.gather(*tasks)
