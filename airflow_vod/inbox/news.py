"""Waits for other threads and processes to commit events.

Invariant: news is never missed. A thread gets True if anything was committed since it last got True, so it can read the inbox,
wait, and read again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from airflow_vod.inbox.forks import survive_fork

if TYPE_CHECKING:
    from airflow_vod.inbox.listeners import Listener

SLICE = 0.5  # seconds after which a waiting thread checks whether it is to stop


class News:
    """Lets any number of threads share one listener: the first that waits listens for all of them.

    :param listener: makes the listener when the first thread waits.
    """

    def __init__(self, listener: Callable[[], Listener]) -> None:
        self._make = listener
        self._closed = False
        self._reset()
        survive_fork(self)

    def _reset(self) -> None:
        self._listener: Listener | None = None
        self._changed = threading.Condition()
        self._listening = False
        self._heard: Counter[str | None] = Counter()  # pieces of news by queue; None counts those of any queue
        self._told = threading.local()

    def before_fork(self) -> None:
        """Do nothing: listening goes on in the parent."""

    def after_fork(self) -> Any:
        """Start afresh in the child of a fork.

        :return: the parent's listener.
        """
        parents = self._listener
        self._reset()
        return parents

    def wait(self, queue: str | None, timeout: float, stop: threading.Event | None = None) -> bool:
        """Block until there is news for this thread; the first call of a thread for a queue returns True at once.

        :param queue: name of the queue; None for any.
        :param timeout: seconds.
        :param stop: ends the wait early, within half a second.
        :return: whether anything may have been committed since the last True.
        """
        deadline_monotonic = time.monotonic() + timeout
        while True:
            with self._changed:
                if self._listener is None and not self._closed:
                    self._listener = self._make()
                if self._is_news(queue):
                    return True
                left = min(SLICE, deadline_monotonic - time.monotonic())
                if left <= 0 or self._closed or (stop is not None and stop.is_set()):
                    return False
                if self._listening:
                    self._changed.wait(left)
                    continue
                self._listening = True
            self._listen(left, stop)

    def _is_news(self, queue: str | None) -> bool:
        heard = self._heard.total() if queue is None else self._heard[queue] + self._heard[None]
        told = self._told.__dict__.setdefault("by_queue", {})
        if told.get(queue) == heard:
            return False
        told[queue] = heard
        return True

    def _listen(self, seconds: float, stop: threading.Event | None) -> None:
        heard: Collection[str | None] = ()
        try:
            if self._listener is not None:
                heard = self._listener.listen(seconds, stop)
        finally:
            with self._changed:
                self._listening = False
                self._heard.update(heard)
                if self._closed and self._listener is not None:
                    self._listener.close()
                self._changed.notify_all()

    def close(self) -> None:
        """End all waits and close the listener."""
        with self._changed:
            self._closed = True
            if self._listener is not None and not self._listening:
                self._listener.close()
            self._changed.notify_all()
