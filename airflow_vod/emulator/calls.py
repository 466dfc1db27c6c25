"""The log of calls.

Invariant: every request that names an action is logged exactly once, when it is answered or abandoned; the log is bounded, the
counters are exact.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its outcome."""

    action: str
    sub_app_id: int | None
    """0 if the request named none; None if it was refused before its parameters were read."""
    secret_id: str | None
    """None if the caller was not authenticated."""
    arrived_at: float
    """Unix seconds."""
    seconds: float
    """From arrival to answer."""
    outcome: str
    """``ok``, the error code, ``abandoned``, or ``fault:`` and the fault."""
    events: int = 0
    """Events delivered by PullEvents, or handles given to ConfirmEvents."""
    disconnected: bool = False
    """Whether the client disconnected before the answer."""


class Calls:
    """The newest calls, oldest first. Thread-safe: iteration is over a copy.

    :param kept: maximum number of calls to keep.
    """

    def __init__(self, kept: int) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Log a call.

        :param call: once it is answered or abandoned.
        """
        with self._lock:
            self._calls.append(call)
            self._counts[call.action, call.outcome] += 1

    def count(self, action: str | None = None, outcome: str | None = None) -> int:
        """Count calls, including those that the log no longer keeps.

        :param action: count only this action.
        :param outcome: count only this outcome.
        :return: number of calls.
        """
        with self._lock:
            return sum(n for (a, o), n in self._counts.items() if action in (None, a) and outcome in (None, o))

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """Action to outcome to number of calls."""
        result: dict[str, dict[str, int]] = {}
        with self._lock:
            for (action, outcome), number in self._counts.items():
                result.setdefault(action, {})[outcome] = number
        return result

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(self._calls.copy())

    def __len__(self) -> int:
        return len(self._calls)
