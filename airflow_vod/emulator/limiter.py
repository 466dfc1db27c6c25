"""The API's rate limit.

Invariant: in no window of one second are more requests let through than the limit allows.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class FixedWindow:
    """Counts from whole second to whole second."""

    def __init__(self) -> None:
        self._windows: dict[Hashable, tuple[int, int]] = {}

    def admit(self, key: Hashable, limit: int, now: float) -> bool:
        """Count a request, if it may pass.

        :param key: whose requests are counted together.
        :param limit: requests per second.
        :param now: Unix seconds.
        :return: whether it may pass.
        """
        window, count = self._windows.get(key, (0, 0))
        if window != int(now):
            window, count = int(now), 0
        if count >= limit:
            return False
        self._windows[key] = (window, count + 1)
        return True


class SlidingWindow:
    """Counts over the second that ends with the request."""

    def __init__(self) -> None:
        self._times: dict[Hashable, deque[float]] = {}

    def admit(self, key: Hashable, limit: int, now: float) -> bool:
        """Count a request, if it may pass.

        :param key: whose requests are counted together.
        :param limit: requests per second.
        :param now: Unix seconds.
        :return: whether it may pass.
        """
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now - 1:
            times.popleft()
        if len(times) >= limit:
            return False
        times.append(now)
        return True
