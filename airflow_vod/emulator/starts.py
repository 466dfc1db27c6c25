"""The log of tasks that requests have started: what a user would have paid for.

Invariant: a task is counted exactly once, when it starts, whether or not its answer arrives; the log is bounded, the counters are
exact.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Start:
    """One task that a request started."""

    action: str
    sub_app_id: int
    session_id: str
    """Empty if the request gave none."""
    vod_task_id: str
    started_at: float
    """Unix seconds."""


class Starts:
    """The newest starts, oldest first. Thread-safe: iteration is over a copy.

    :param kept: maximum number of starts to keep.
    """

    def __init__(self, kept: int) -> None:
        self._starts: deque[Start] = deque(maxlen=kept)
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._lock = threading.Lock()

    def add(self, start: Start) -> None:
        """:param start: a task that has just started."""
        with self._lock:
            self._starts.append(start)
            self._counts[start.action, start.session_id, start.sub_app_id] += 1

    def count(self, action: str | None = None, session_id: str | None = None, sub_app_id: int | None = None) -> int:
        """Count the tasks started, including those that the log no longer keeps.

        :param action: count only this action's.
        :param session_id: count only those of this SessionId.
        :param sub_app_id: count only this application's.
        :return: number of tasks.
        """
        wanted = (action, session_id, sub_app_id)
        with self._lock:
            return sum(
                number
                for key, number in self._counts.items()
                if all(want is None or want == part for want, part in zip(wanted, key, strict=True))
            )

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """Action to SessionId to number of tasks, of all applications."""
        result: dict[str, dict[str, int]] = {}
        with self._lock:
            for (action, session_id, _), number in self._counts.items():
                sessions = result.setdefault(action, {})
                sessions[session_id] = sessions.get(session_id, 0) + number
        return result

    def __iter__(self) -> Iterator[Start]:
        with self._lock:
            return iter(self._starts.copy())

    def __len__(self) -> int:
        return len(self._starts)
