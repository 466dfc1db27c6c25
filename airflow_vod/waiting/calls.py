"""Calls from the threads of a watch into the event loops of its waiters.

Invariant: no loop is held up by many calls at once; between two batches it gets to do other things.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_vod.waiting.waiter import Waiter

BATCH = 250  # calls that a loop makes in one turn


def call_in_loops(calls: Iterable[tuple[Waiter, Callable[[], None]]]) -> None:
    """Make calls in the event loops of their waiters.

    :param calls: whose loop, and what to call there.
    """
    by_loop: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
    for waiter, call in calls:
        by_loop.setdefault(waiter.loop, []).append(call)
    for loop, loop_calls in by_loop.items():
        with contextlib.suppress(RuntimeError):  # a closed loop has taken its waiters with it
            loop.call_soon_threadsafe(_make_calls, loop, loop_calls)


def _make_calls(loop: asyncio.AbstractEventLoop, calls: Sequence[Callable[[], None]]) -> None:
    for call in calls[:BATCH]:
        call()
    if len(calls) > BATCH:
        loop.call_soon(_make_calls, loop, calls[BATCH:])
