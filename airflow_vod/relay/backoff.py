"""Paces the retries of something that fails, and tells the log about it.

Invariant: the log has one WARNING when something begins to fail and one INFO when it works again, however often it is tried
in between.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.25  # seconds; each further failure doubles it


class Backoff:
    """Says how long to pause before the next try of one thing. Belongs to one thread; others may read `pause`.

    :param what: is tried, as it stands after "Cannot" in the log, such as ``pull events from queue 1500012345``.
    :param limit: seconds between two tries at most.
    :param clock: monotonic seconds.
    :param rng: shortens each pause by up to a half, so that processes that failed together do not retry together.
    """

    def __init__(
        self,
        what: str,
        limit: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.failed_last = float("-inf")  # monotonic, as all times here
        self.failing_since = float("inf")  # inf while it works
        self._what = what
        self._limit = limit
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311
        self._failures = 0
        self._retry = float("-inf")

    @property
    def failing(self) -> bool:
        """Whether the latest try failed."""
        return self._failures > 0

    def failed(self, error: Exception, patience: int = 0) -> None:
        """Take down a failure.

        :param error: for the log.
        :param patience: failures in a row that are no reason to pause yet.
        """
        self._failures += 1
        self.failed_last = self._clock()
        self.failing_since = min(self.failing_since, self.failed_last)
        doublings = self._failures - patience - 1
        pause = min(self._limit, _FIRST_PAUSE * 2 ** min(doublings, 10)) if doublings >= 0 else 0.0
        self._retry = self.failed_last + pause * self._rng.uniform(0.5, 1.0)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        log.log(level, "Cannot %s, retrying: %s", self._what, error)

    def succeeded(self) -> None:
        """Take down a success."""
        if self.failing:
            seconds = self._clock() - self.failing_since
            log.info("Can %s again, after %.1f s; failed tries: %d", self._what, seconds, self._failures)
        self.forget()

    def forget(self) -> None:
        """Start afresh without a word: the next failure is a first one."""
        self._failures, self.failing_since = 0, float("inf")

    def pause(self) -> float:
        """Return the seconds until the next try; 0.0 if it may be made now."""
        return max(0.0, self._retry - self._clock()) if self.failing else 0.0
