"""Waiting, without asking again and again, for somebody to commit events.

Invariant: news is never missed. Each thread gets True if anything was committed since it last got True, and so it may look
into the inbox, then wait, then look again.
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

SLICE = 0.5  # seconds after which a waiting thread looks whether it is to stop


class News:
    """Any number of threads share one listener: the first that waits listens for all of them.

    :param listener: makes the listener when the first thread waits.
    """

    def __init__(self, listener: Callable[[], Listener]) -> None:
        self._make = listener
        self._closed = False
        self._begin()
        survive_fork(self)

    def _begin(self) -> None:
        self._listener: Listener | None = None
        self._changed = threading.Condition()
        self._listening = False
        self._heard: Counter[str | None] = Counter()  # news by queue; None counts what may have been in any
        self._told = threading.local()

    def before_fork(self) -> None:
        """Nothing: who listens goes on."""

    def after_fork(self) -> Any:
        """Begin anew, in the child of a fork."""
        parents = self._listener
        self._begin()
        return parents

    def wait(self, queue: str | None, timeout: float, stop: threading.Event | None = None) -> bool:
        """Block until there is news for this thread; the first call of a thread for a queue returns True at once.

        :param queue: name of the queue; None for any.
        :param timeout: seconds.
        :param stop: ends the wait early, within half a second.
        :return: whether something may have been committed since the last True.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                if self._listener is None and not self._closed:
                    self._listener = self._make()
                if self._is_news(queue):
                    return True
                left = min(SLICE, deadline - time.monotonic())
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
        """End all waits and give the connection back."""
        with self._changed:
            self._closed = True
            if self._listener is not None and not self._listening:
                self._listener.close()
            self._changed.notify_all()
