"""Keeps calls under the API's rate limits.

Invariant: in any one second at most `API_LIMIT` calls of an action leave this process for an account, whoever makes them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

API_LIMIT = 100  # requests/s per action and account (VOD API: PullEvents, ConfirmEvents, DescribeTaskDetail)


class Pacer:
    """Spaces calls evenly, and lets a few late ones catch up. Safe to share between threads.

    2 % of the limit may go at once; 1 % is kept in reserve, because the network delays some calls more than others.

    :param limit: calls allowed in any one second.
    :param clock: monotonic seconds.
    :param sleep: lets seconds pass.
    :param line: a lock, in which callers of `wait` stand in line; None for one of this process's threads.
    """

    def __init__(
        self,
        limit: int = API_LIMIT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        line: AbstractContextManager[Any] | None = None,
    ) -> None:
        at_once = max(1, limit * 2 // 100)
        self._interval = 1 / (limit - at_once - limit // 100)
        self._ahead = (at_once - 1) * self._interval
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._line = line or threading.Lock()
        self._next = float("-inf")  # when the next call would be due if none came early

    def take(self) -> float:
        """Take the right to one call if there is one.

        :return: 0.0 when the call may be made now, else the seconds after which it is worth asking again.
        """
        with self._lock:
            now = self._clock()
            pause = self._next - self._ahead - now
            if pause > 0:
                return pause
            self._next = max(self._next, now) + self._interval
            return 0.0

    def wait(self) -> None:
        """Wait for the right to one call, and take it; callers are served one at a time."""
        with self._line:
            while pause := self.take():
                self._sleep(pause)


_pacers: dict[tuple[str, str], Pacer] = {}
_pacers_lock = threading.Lock()


def pacer(account: str, action: str, limit: int = API_LIMIT) -> Pacer:
    """Return this process's one pacer for an account's calls of an action.

    :param account: `VodSettings.account`; queues and connections of one account share its limit.
    :param action: the API action.
    :param limit: calls in any one second, if fewer are to be made than the API allows; the first caller decides.
    """
    with _pacers_lock:
        return _pacers.setdefault((account, action), Pacer(limit))


def _after_fork() -> None:
    """Start afresh in a child process: a lock that another thread held at the fork would never be released there."""
    global _pacers_lock
    _pacers_lock = threading.Lock()
    _pacers.clear()


os.register_at_fork(after_in_child=_after_fork)
