"""A few threads for one purpose, so that what hangs there holds up nothing else in the API server.

Invariants: no more work than there are threads is at the database at once; whoever finds no thread free waits on the event
loop, not in a thread, and not for ever. Airflow's own routes share one pool of 40 threads, which is never used here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from airflow_vod.exceptions import InboxUnavailableError

MAX_WAITING = 200  # requests that wait for a thread

T = TypeVar("T")


class Threads:
    """Threads for one event loop, started when they are needed.

    :param name: of the threads, for whoever looks at the process.
    :param number: how many.
    :param patience: seconds to wait for one at most; None for as long as it takes.
    """

    def __init__(self, name: str, number: int, patience: float | None = None) -> None:
        self._executor = ThreadPoolExecutor(number, name)
        self._free = asyncio.Semaphore(number)
        self._patience = patience
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Call a function in one of the threads.

        :param work: called without arguments; it goes on when whoever waits for it is cancelled.
        :return: what it returns.
        :raises InboxUnavailableError: no thread became free in time.
        """
        await self._acquire()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._executor, copy_context().run, work)
        running.add_done_callback(self._release)
        return await asyncio.shield(running)

    async def _acquire(self) -> None:
        full = self._waiting >= MAX_WAITING
        if not full:
            self._waiting += 1
            try:
                async with asyncio.timeout(self._patience):
                    await self._free.acquire()
            except TimeoutError:
                full = True
            finally:
                self._waiting -= 1
        if full:
            raise InboxUnavailableError(
                "The database of the inbox is slow or hangs: all threads that may ask it are busy. Try again in a while."
            )

    def _release(self, running: asyncio.Future[Any]) -> None:
        self._free.release()
        if not running.cancelled():
            running.exception()  # retrieved, so that asyncio does not warn when the request is gone
