"""What tests of waiting share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch

HOLD = 0.3  # seconds, instead of VOD's 5, so that nothing waits for long
Start = Callable[..., Watch]


async def soon(waiter: TaskWaiter) -> set[str]:
    """Wait for what a waiter gets next; it must be woken for that, and not by the end of its patience."""
    return await asyncio.wait_for(waiter.next(3600), 60)


async def wait_for(watch: Watch, waiter: TaskWaiter) -> None:
    """Wait until a waiter has everything."""
    assert watch.add(waiter)
    try:
        while waiter.missing:
            await soon(waiter)
    finally:
        watch.discard(waiter)
