"""The emulator's time.

Invariant: time never runs backwards, and within the emulator's core only `SystemClock` reads the machine's clock.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> float:
        """:return: Unix seconds."""
        ...


class Follower(Protocol):
    """Has scheduled entries, and is told by a `ManualClock` when to run them."""

    def next_due(self) -> float | None:
        """:return: when the next entry is due, Unix seconds; None when there is none."""
        ...

    def tick(self) -> None:
        """Run everything that is due."""
        ...


class SystemClock:
    """The machine's time, unaffected by adjustments: the wall clock is read once and advanced by the monotonic one."""

    def __init__(self) -> None:
        self._origin = time.time() - time.monotonic()

    def now(self) -> float:
        """:return: Unix seconds."""
        return self._origin + time.monotonic()


class ManualClock:
    """A clock that stands still until a test advances it.

    Entries that become due run in order, each at its own time, before `advance` returns.

    :param start: Unix seconds; by default the machine's time.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else float(start)
        self._followers: list[Follower] = []
        self._lock = threading.RLock()

    def now(self) -> float:
        """:return: Unix seconds."""
        return self._now

    def follow(self, follower: Follower) -> None:
        """Notify a follower whenever this clock advances.

        :param follower: called in the thread that calls `advance`.
        """
        self._followers.append(follower)

    def advance(self, seconds: float) -> float:
        """Advance the time.

        :param seconds: not negative.
        :return: the new time, Unix seconds.
        :raises ValueError: when `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"seconds must not be negative, got {seconds!r}: time never runs backwards")
        with self._lock:
            target = self._now + seconds
            while (due_at := self._next_due()) is not None and due_at <= target:
                self._now = max(self._now, due_at)
                for follower in self._followers:
                    follower.tick()
            self._now = target
            return target

    def _next_due(self) -> float | None:
        return min((due_at for f in self._followers if (due_at := f.next_due()) is not None), default=None)
