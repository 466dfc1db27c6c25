"""A cache for results that are slow to compute, shared by all requests of a process.

Invariants: the same result is never computed twice at once, and whoever waits for it takes no thread; a result is kept for
`TTL_FACTOR` times as long as its computation took, at most `MAX_TTL` seconds. So quick results are always fresh, and slow ones
take up a small share of one processor, however many clients ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import TLRUCache

from airflow_vod.exceptions import InboxUnavailableError

if TYPE_CHECKING:
    from airflow_vod.web.threads import Threads

TTL_FACTOR = 50.0
MAX_TTL = 60.0  # seconds
PATIENCE = 10.0  # seconds to wait for a result
_MAX_RESULTS = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Result:
    value: Any
    seconds: float
    """How long it took to compute."""

    def expires(self, now_monotonic: float) -> float:
        return now_monotonic + min(TTL_FACTOR * self.seconds, MAX_TTL)


class SlowResults:
    """Results by key, for one event loop; the least recently used ones are dropped first.

    :param threads: where results are computed.
    :param clock: monotonic seconds.
    """

    def __init__(self, threads: Threads, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = threads
        self._clock = clock
        self._results: TLRUCache[Hashable, _Result] = TLRUCache(
            _MAX_RESULTS, ttu=lambda key, result, now: result.expires(now), timer=clock
        )
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return a result, computing it where it is not cached.

        :param key: identifies the result.
        :param compute: called without arguments, in a thread. An exception that it raises is raised to everybody who waits for
            it, and is not cached.
        :return: the result, at most `MAX_TTL` seconds old.
        :raises InboxUnavailableError: it takes too long.
        """
        cached = self._results.get(key)
        if cached is not None:
            return cached.value
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._compute(key, compute))
            running.add_done_callback(lambda task: self._forget(key, task))
        try:
            return await asyncio.wait_for(asyncio.shield(running), PATIENCE)
        except TimeoutError:
            raise InboxUnavailableError(
                f"The database of the inbox is slow: it has not answered within {PATIENCE:g} s."
            ) from None

    def _forget(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn when nobody waits any more

    async def _compute(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        def timed() -> _Result:
            began_monotonic = self._clock()
            return _Result(compute(), self._clock() - began_monotonic)

        result = self._results[key] = await self._threads.run(timed)
        return result.value
