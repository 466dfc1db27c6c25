"""Threads of one purpose: what hangs there holds up nothing else."""

from __future__ import annotations

import asyncio
import threading

import pytest

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.web import threads as module
from airflow_vod.web.threads import Threads


async def test_what_hangs_there_does_not_hold_up_others() -> None:
    """While all of these threads hang, asyncio's own are free, and whoever waits gives up in time."""
    leave, threads = threading.Event(), Threads("test", 2, patience=0.05)
    hanging = [asyncio.create_task(threads.run(lambda: leave.wait(20))) for _ in range(2)]
    await asyncio.sleep(0)
    try:
        assert await asyncio.to_thread(lambda: "free") == "free"
        with pytest.raises(InboxUnavailableError, match="busy"):
            await threads.run(lambda: None)
    finally:
        leave.set()
    assert await asyncio.gather(*hanging) == [True, True]
    assert await threads.run(lambda: threading.current_thread().name.startswith("test"))


async def test_who_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of those who wait for a thread is limited; further ones are turned away at once."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    leave, threads = threading.Event(), Threads("test", 1)
    waiting = [asyncio.create_task(threads.run(lambda: leave.wait(20))) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(InboxUnavailableError):
        await threads.run(lambda: None)
    leave.set()
    await asyncio.gather(*waiting)


async def test_an_abandoned_thread_is_not_free_before_its_end() -> None:
    """Who is cancelled leaves its work running; its thread counts as busy until that has ended."""
    leave, threads = threading.Event(), Threads("test", 1, patience=0.05)
    abandoned = asyncio.create_task(threads.run(lambda: leave.wait(20)))
    await asyncio.sleep(0.01)
    abandoned.cancel()
    await asyncio.gather(abandoned, return_exceptions=True)
    with pytest.raises(InboxUnavailableError):
        await threads.run(lambda: None)
    leave.set()
    await asyncio.sleep(0.05)
    assert await threads.run(lambda: 1) == 1


async def test_errors_are_passed_on() -> None:
    """Whoever asked gets the error, and the thread is free again."""
    threads = Threads("test", 1)

    def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            await threads.run(fail)
