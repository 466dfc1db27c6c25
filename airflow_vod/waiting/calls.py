"""Between the event loops of waiters and the threads of their watch: calls in one direction, a signal in the other.

Invariants: no loop is held up by many calls at once; between two batches it gets to do other things. A signal that is sent
is never lost, and sending one takes no lock, so that it may be sent wherever the garbage collector runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
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


class Signal:
    """Wakes one thread; several that are sent while it is busy are one."""

    def __init__(self) -> None:
        self._sent: queue.SimpleQueue[None] = queue.SimpleQueue()

    def send(self) -> None:
        """Wake the thread that waits, or let its next `wait` return at once; from any thread."""
        self._sent.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for a signal.

        :param seconds: how long at most.
        :return: whether there was one since the last call.
        """
        try:
            self._sent.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return False
        with contextlib.suppress(queue.Empty):
            while True:
                self._sent.get_nowait()
        return True
