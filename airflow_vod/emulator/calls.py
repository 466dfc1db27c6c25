"""The log of calls.

Invariant: every request that named an action stands here once, when it was answered; the log is bounded, the counters are exact.
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
    """One request and what came of it."""

    action: str
    sub_app_id: int | None
    """0 where the request named none; None where it was refused before that was read."""
    secret_id: str | None
    """None where nobody was recognised."""
    arrived_at: float
    """Unix seconds."""
    seconds: float
    """From arrival to answer."""
    outcome: str
    """``ok``, the error code, or ``fault:`` and the fault."""
    events: int = 0
    """Events delivered by PullEvents; handles given to ConfirmEvents."""
    disconnected: bool = False
    """Whether the client was seen to leave before the answer."""


class Calls:
    """The newest calls, oldest first. Safe to use from any thread: iterating takes a copy.

    :param kept: how many calls are kept.
    """

    def __init__(self, kept: int) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Log a call."""
        with self._lock:
            self._calls.append(call)
            self._counts[call.action, call.outcome] += 1

    def count(self, action: str | None = None, outcome: str | None = None) -> int:
        """Count calls, those too that the log no longer keeps.

        :param action: of this action only.
        :param outcome: with this outcome only.
        :return: how many.
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
