"""Scheduled work: the end of a hold, the redelivery of an unconfirmed event, the end of a task.

Invariant: an entry runs at most once, never before its time, and never after it was cancelled.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_vod.emulator.clock import Clock


@dataclass(slots=True, eq=False)
class Entry:
    """One scheduled callback."""

    due_at: float
    """Unix seconds."""
    _run: Callable[[], None] | None

    @property
    def open(self) -> bool:
        """Whether it has neither run nor been cancelled."""
        return self._run is not None

    def cancel(self) -> None:
        """Cancel it; does nothing when it has run."""
        self._run = None

    def fire(self) -> None:
        """Run it now, unless it has run or was cancelled."""
        run, self._run = self._run, None
        if run is not None:
            run()


class Schedule:
    """Entries in order of time. Not thread-safe: its owner holds a lock.

    :param clock: the emulator's time.
    :param on_earlier: called when a new entry is the earliest one, so that a timer can be reset.
    """

    def __init__(self, clock: Clock, on_earlier: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Entry]] = []
        self._count = 0
        self.on_earlier = on_earlier

    def now(self) -> float:
        """:return: Unix seconds."""
        return self._clock.now()

    def after(self, seconds: float, run: Callable[[], None]) -> Entry:
        """Schedule a callback.

        :param seconds: from now.
        :param run: the callback.
        :return: the entry, to cancel it.
        """
        entry = Entry(self.now() + seconds, run)
        self._count += 1
        heapq.heappush(self._heap, (entry.due_at, self._count, entry))
        if self._heap[0][2] is entry:
            self.on_earlier()
        return entry

    def next_due(self) -> float | None:
        """:return: when the next entry is due, Unix seconds; None when there is none."""
        while self._heap and not self._heap[0][2].open:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self) -> None:
        """Run all entries that are due."""
        while (due_at := self.next_due()) is not None and due_at <= self.now():
            heapq.heappop(self._heap)[2].fire()
