"""What tests of waiting share."""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch

HOLD = 0.3  # seconds, instead of VOD's 5, so that nothing waits for long
Start = Callable[..., Watch]


async def wait_for(watch: Watch, waiter: TaskWaiter, seconds: float = 60.0) -> float:
    """Wait until a waiter has everything.

    :return: seconds that it took.
    """
    began = time.monotonic()
    assert watch.add(waiter)
    try:
        while waiter.missing:
            left = began + seconds - time.monotonic()
            assert left > 0, f"still missing {waiter.missing}"
            await waiter.next(left)
    finally:
        watch.discard(waiter)
    return time.monotonic() - began
