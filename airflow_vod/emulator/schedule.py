"""What is to happen later: the end of a hold, the return of an unconfirmed event, the end of a task.

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
    """One thing that is to happen; `cancel` makes it not happen."""

    due_at: float
    _run: Callable[[], None] | None

    @property
    def open(self) -> bool:
        """Whether it is still to happen."""
        return self._run is not None

    def cancel(self) -> None:
        """Make it not happen; harmless when it has."""
        self._run = None

    def fire(self) -> None:
        """Make it happen now, for the only time."""
        run, self._run = self._run, None
        if run is not None:
            run()


class Schedule:
    """Entries in the order of their time. Not thread-safe: whoever owns it holds a lock.

    :param clock: tells the time.
    :param on_earlier: called when an entry became the first one, so that an alarm can be set anew.
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
        """Plan something.

        :param seconds: from now.
        :param run: what is to happen.
        :return: the entry, for cancelling it.
        """
        entry = Entry(self.now() + seconds, run)
        self._count += 1
        heapq.heappush(self._heap, (entry.due_at, self._count, entry))
        if self._heap[0][2] is entry:
            self.on_earlier()
        return entry

    def next_due(self) -> float | None:
        """:return: when the next entry is due, in Unix seconds; None when there is none."""
        while self._heap and not self._heap[0][2].open:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self) -> None:
        """Let everything happen that is due by now."""
        while (due_at := self.next_due()) is not None and due_at <= self.now():
            heapq.heappop(self._heap)[2].fire()
