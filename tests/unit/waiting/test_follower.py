"""A follower alone, in an event loop, with nobody behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_vod.events.matching import EventMatch
from airflow_vod.waiting.follower import Follower

HOURS = 3600.0
SOON = 10.0  # seconds; what is to come at once comes long before
ANY_EVENT: Any = None  # what it says is its owner's to read from the inbox


@pytest.mark.parametrize(
    "tell", [lambda follower: follower.deliver(ANY_EVENT), Follower.note_look], ids=["event", "look"]
)
async def test_what_may_be_new_wakes_it(tell: Callable[[Follower], None]) -> None:
    """An event, and a look that only its owner can finish, end `next` at once, however long that would wait."""
    follower = Follower(EventMatch.of())
    waiting = asyncio.create_task(follower.next(HOURS))
    await asyncio.sleep(0)
    assert not waiting.done()
    tell(follower)
    await asyncio.wait_for(waiting, SOON)


async def test_news_are_told_once() -> None:
    """What came while nobody was in `next` ends the next one at once, and the one after that waits again."""
    follower = Follower(EventMatch.of())
    follower.deliver(ANY_EVENT)
    follower.deliver(ANY_EVENT)
    await asyncio.wait_for(follower.next(HOURS), SOON)
    waiting = asyncio.create_task(follower.next(HOURS))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    follower.deliver(ANY_EVENT)
    await asyncio.wait_for(waiting, SOON)
