"""The cursor of an asset watcher's feed, and how soon it hands out what comes."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from airflow_vod.events.matching import EventMatch
from airflow_vod.events.parse import parse_event
from airflow_vod.waiting.feed import Feed
from tests.airflow_fixtures import Vod

SOON = 20.0  # seconds; what is to come at once comes long before


_file_ids = itertools.count()  # no two events are alike: the inbox keeps one of them


def upload(name: str) -> dict[str, Any]:
    """The event of an upload; the inbox has no column for the name."""
    content = {"FileId": str(next(_file_ids)), "MediaBasicInfo": {"Name": name}}
    return {"EventType": "NewFileUpload", "FileUploadEvent": content}


def receive(vod: Vod, *names: str) -> None:
    """Let uploads be in the inbox."""
    vod.store.receive(vod.queue, [parse_event(upload(name)) for name in names], "pull")


def cursor(vod: Vod) -> int:
    """Where the watcher has got to."""
    return vod.store.cursors.get("w", vod.queue, 0)


async def test_the_cursor_passes_no_open_event(vod: Vod) -> None:
    """What was read behind an event that is still on its way, and does not count, does not move the cursor over it."""
    cursor(vod)  # so that the watcher begins with the first event
    feed = Feed("w", EventMatch.of("NewFileUpload", {"MediaBasicInfo.Name": "mine"}), "vod_default")
    events = feed.events()
    try:
        receive(vod, "mine", "other")
        async with asyncio.timeout(SOON):
            _, first = await anext(events)
            later = asyncio.ensure_future(anext(events))
            while feed._position == first:  # noqa: ASYNC110 - until the other one is read
                await asyncio.sleep(0.01)
            receive(vod, "mine")
            _, third = await later  # by now the feed has done all that it does after a page
            assert (first, third) == (1, 3)
            assert cursor(vod) == 0
            await feed.acknowledge(first)
            assert cursor(vod) == first
            await feed.acknowledge(third)
            assert cursor(vod) == third
    finally:
        await feed.aclose()


async def test_what_comes_is_handed_out_soon(vod: Vod) -> None:
    """An event that VOD announces while the feed waits is handed out without any look that comes now and then."""
    cursor(vod)
    feed = Feed("w", EventMatch.of(None, {"MediaBasicInfo.Name": "mine"}), "vod_default")
    events = feed.events()
    try:
        async with asyncio.timeout(3 * SOON):
            waiting = asyncio.ensure_future(anext(events))
            for _ in range(3):
                await asyncio.to_thread(vod.after_pulls, 1)
                vod.publish(upload("other"))
                vod.publish(upload("mine"))
                event, _ = await waiting
                assert event["payload"]["MediaBasicInfo"]["Name"] == "mine"
                waiting = asyncio.ensure_future(anext(events))
            waiting.cancel()
            await asyncio.wait([waiting])
    finally:
        await feed.aclose()
