"""What keeps events from coming, in words for those who wait."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.leases import new_holder
from airflow_vod.relay import steps
from airflow_vod.relay.health import RelayHealth
from airflow_vod.waiting import trouble
from airflow_vod.waiting.trouble import Troubles, pulls_in_words
from airflow_vod.waiting.waiter import TaskWaiter
from tests.relays import FickleStore, until
from tests.unit.waiting.helpers import Start

Q = "vod.example.com/1500012345"


def failing(since: float) -> dict[str, Any]:
    """The record of a relay whose pulls have failed for so many seconds."""
    return RelayHealth(failing_since_at=time.time() - since, failure="PullEvents: ConnectFailed: refused.").to_dict()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take trouble for trouble after a moment."""
    monkeypatch.setattr(trouble, "HITCH", 0.2)
    monkeypatch.setattr(trouble, "_CHECK_EVERY", 0.1)


def test_whoever_pulls_everybody_says_the_same(sqlite: InboxStore) -> None:
    """The words come from the record in the inbox: cause and since when; a hitch, a callback and no record are no trouble."""
    assert pulls_in_words(None) == ""
    holder = new_holder()
    sqlite.leases.acquire(Q, holder, 60, info=failing(300))
    said = pulls_in_words(sqlite.leases.read(Q))
    assert re.fullmatch(r"Pulls have failed since 2\S+ \S+ UTC, 300 s ago: PullEvents: ConnectFailed: refused\.", said)
    assert pulls_in_words(sqlite.leases.read(Q), at_least=600) == ""
    sqlite.leases.acquire(Q, holder, 60, info=failing(300) | {"by_callback": True})
    assert pulls_in_words(sqlite.leases.read(Q)) == ""


@pytest.mark.usefixtures("quick")
async def test_those_who_wait_are_woken_for_it(
    sqlite: FickleStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another process's pulls fail, and when they succeed again, each waiter is woken once, though nothing came."""
    monkeypatch.setattr(steps, "LEASE_TTL", 1200.0)  # a lease that ends much later would count as one of a wrong clock
    holder = new_holder()
    watch_of_q = start(sqlite)
    queue = watch_of_q.queue
    await asyncio.to_thread(until, lambda: sqlite.leases.read(queue))
    watch_of_q.end()
    await asyncio.to_thread(watch_of_q.join)
    sqlite.leases.acquire(queue, holder, 1200)
    watch = start(sqlite)
    waiter = TaskWaiter(["Concat-1"])
    watch.add(waiter)
    assert watch.trouble == ""
    sqlite.leases.acquire(queue, holder, 1200, info=failing(60))
    assert await asyncio.wait_for(waiter.next(3600), 60) == set()
    assert "PullEvents: ConnectFailed: refused." in watch.trouble
    sqlite.leases.acquire(queue, holder, 1200, info=RelayHealth(last_pull_at=time.time()).to_dict())
    assert await asyncio.wait_for(waiter.next(3600), 60) == set()
    assert watch.trouble == ""
    watch.discard(waiter)


@pytest.mark.usefixtures("quick")
def test_an_inbox_that_does_not_answer(sqlite: InboxStore, caplog: pytest.LogCaptureFixture) -> None:
    """Its outage is told in the log once, to who waits after a while, and taken back when it is over."""
    caplog.set_level("INFO", "airflow_vod")
    troubles = Troubles(sqlite, Q)
    troubles.inbox_fails(InboxUnavailableError("no answer"))
    assert troubles.text == ""
    time.sleep(0.25)
    troubles.inbox_fails(InboxUnavailableError("no answer"))
    assert re.match(r"The inbox has not answered since 2\S+ \S+ UTC, \d s ago: no answer", troubles.text)
    troubles.inbox_answers()
    assert troubles.text == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
