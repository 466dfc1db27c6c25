"""What takes long to find out is found out once for all who ask at about the same time.

Invariants: no two threads look for the same answer at once; it is kept for `WORTH` times as long as it took to find, and never
longer than `LONGEST`. So what is quick is always new, and what is slow takes a small part of one processor, however many ask.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

WORTH = 50.0
LONGEST = 60.0  # seconds
_MOST = 64  # answers that are kept

T = TypeVar("T")


class Answers:
    """Answers by question, shared by the threads of a process.

    :param clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, _Answer] = OrderedDict()

    def get(self, question: Hashable, find: Callable[[], T]) -> T:
        """Answer a question.

        :param find: finds the answer. What it raises is raised for all who wait meanwhile, and not kept.
        """
        with self._lock:
            answer = self._known.pop(question, None)
            wanted = answer is None or answer.good_until <= self._clock()
            if answer is None or wanted:
                answer = _Answer()
            self._known[question] = answer
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        if wanted:
            answer.find(find, self._clock)
        return answer.found.result()


class _Answer:
    """One that is known, or being looked for."""

    def __init__(self) -> None:
        self.found: Future[Any] = Future()
        self.good_until = float("inf")

    def find(self, find: Callable[[], object], clock: Callable[[], float]) -> None:
        began = clock()
        try:
            self.found.set_result(find())
            self.good_until = clock() + min(WORTH * (clock() - began), LONGEST)
        except BaseException as error:
            self.found.set_exception(error)
            self.good_until = float("-inf")
