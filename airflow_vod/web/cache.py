"""A cache for results that are slow to compute, shared by all threads of a process.

Invariants: no two threads compute the same result at once; a result is kept for `TTL_FACTOR` times as long as its computation
took, at most `MAX_TTL` seconds. So quick results are always fresh, and slow ones take up a small share of one processor, however
many clients ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from cachetools import TLRUCache

TTL_FACTOR = 50.0
MAX_TTL = 60.0  # seconds
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
    """Results by key; the least recently used ones are dropped first.

    :param clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._results: TLRUCache[Hashable, _Result] = TLRUCache(
            _MAX_RESULTS, ttu=lambda key, result, now: result.expires(now), timer=clock
        )
        self._running: dict[Hashable, Future[Any]] = {}

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return a result, computing it where it is not cached.

        :param key: identifies the result.
        :param compute: called without arguments, in this thread. An exception that it raises is raised in every thread that
            waits for it, and is not cached.
        :return: the result, at most `MAX_TTL` seconds old.
        """
        with self._lock:
            cached = self._results.get(key)
            if cached is not None:
                return cached.value
            running = self._running.get(key)
            if running is None:
                own = self._running[key] = Future[Any]()
        if running is not None:
            return running.result()
        self._compute(key, compute, own)
        return own.result()

    def _compute(self, key: Hashable, compute: Callable[[], object], future: Future[Any]) -> None:
        began_monotonic = self._clock()
        try:
            result = _Result(compute(), self._clock() - began_monotonic)
        except BaseException as error:
            with self._lock:
                del self._running[key]
            future.set_exception(error)
        else:
            with self._lock:
                del self._running[key]
                self._results[key] = result
            future.set_result(result.value)
