"""The time that the emulator lives by.

Invariant: time never runs backwards, and nothing in the emulator's core asks the machine for the time but `SystemClock`.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """:return: Unix seconds."""
        ...


class Follower(Protocol):
    """Has things to do at certain times, and lets a `ManualClock` tell it that they have come."""

    def next_due(self) -> float | None:
        """:return: when the next thing is due, in Unix seconds; None when nothing is planned."""
        ...

    def tick(self) -> None:
        """Do all that is due now."""
        ...


class SystemClock:
    """The machine's time, immune to its being set: a wall clock read once, moved on by the monotonic one."""

    def __init__(self) -> None:
        self._origin = time.time() - time.monotonic()

    def now(self) -> float:
        """:return: Unix seconds."""
        return self._origin + time.monotonic()


class ManualClock:
    """A clock that stands still until a test moves it.

    Whatever is due on the way happens in order, each thing at its own time, before `advance` returns.

    :param start: Unix seconds; the machine's time when left out.
    """

    def __init__(self, start: float | None = None) -> None:
        self._now = time.time() if start is None else float(start)
        self._followers: list[Follower] = []
        self._lock = threading.RLock()

    def now(self) -> float:
        """:return: Unix seconds."""
        return self._now

    def follow(self, follower: Follower) -> None:
        """Let somebody be told whenever this clock is moved.

        :param follower: told in the thread that calls `advance`.
        """
        self._followers.append(follower)

    def advance(self, seconds: float) -> float:
        """Move the time on.

        :param seconds: how far; not negative.
        :return: the new time, in Unix seconds.
        :raises ValueError: when asked to go back.
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
