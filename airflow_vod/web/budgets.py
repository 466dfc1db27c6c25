"""Limits on what strangers can make this server do.

Invariant: a budget takes the same memory however often it is asked, as long as its kinds are ours and not a stranger's words.
"""

from __future__ import annotations

from collections.abc import Callable


class HourlyBudget:
    """A limit per kind and hour.

    :param limit: maximum number of each kind per hour.
    :param clock: Unix seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._hour = 0
        self._taken: dict[str, int] = {}

    def take(self, kind: str) -> bool:
        """Use up one unit.

        :param kind: what is limited.
        :return: whether the limit had not been reached.
        """
        hour = int(self._clock() // 3600)
        if hour != self._hour:
            self._hour, self._taken = hour, {}
        self._taken[kind] = self._taken.get(kind, 0) + 1
        return self._taken[kind] <= self._limit


class RateBudget:
    """A limit per second that saves up for a burst (a token bucket).

    :param per_second: how many units are added each second.
    :param burst: how many can be saved.
    :param clock: monotonic seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._units = float(burst)
        self._counted_monotonic = clock()

    def take(self) -> bool:
        """Use up one unit.

        :return: whether there was one.
        """
        now = self._clock()
        earned = max(0.0, now - self._counted_monotonic) * self._per_second
        self._units, self._counted_monotonic = min(self._burst, self._units + earned), now
        if self._units < 1:
            return False
        self._units -= 1
        return True
