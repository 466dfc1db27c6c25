"""The API's rate limit.

Invariant: no window of one second, as the class defines it, admits more requests than the limit.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class FixedWindow:
    """Counts per calendar second."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, tuple[int, int]] = {}

    def admit(self, key: Hashable, limit: int, now: float) -> bool:
        """Admit and count a request, or reject it.

        :param key: requests with the same key are counted together.
        :param limit: requests per second.
        :param now: Unix seconds.
        :return: whether it is admitted.
        """
        window, count = self._windows.get(key, (0, 0))
        if window != int(now):
            window, count = int(now), 0
        if count >= limit:
            return False
        self._windows[key] = (window, count + 1)
        return True


class SlidingWindow:
    """Counts over the second before each request."""

    def __init__(self) -> None:
        self._admitted_at: dict[Hashable, deque[float]] = {}

    def admit(self, key: Hashable, limit: int, now: float) -> bool:
        """Admit and count a request, or reject it.

        :param key: requests with the same key are counted together.
        :param limit: requests per second.
        :param now: Unix seconds.
        :return: whether it is admitted.
        """
        admitted_at = self._admitted_at.setdefault(key, deque())
        while admitted_at and admitted_at[0] <= now - 1:
            admitted_at.popleft()
        if len(admitted_at) >= limit:
            return False
        admitted_at.append(now)
        return True
