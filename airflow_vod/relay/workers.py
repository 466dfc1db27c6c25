"""Threads that do the blocking work of one other thread.

Invariant: whatever a piece of work returns or raises reaches the one thread that takes the notes, and no other.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class Workers:
    """Runs work in threads and hands the outcomes to the thread that calls `take_notes`; only that one calls `start` and `end`.

    Not an executor of the standard library: those take no more work once the main thread of a process has ended, and just
    then there are events to be stored and confirmed.

    :param name: of the threads. They are no daemons, but for those of `start_detached`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Their C implementation is re-entrant, so that a signal handler may call `wake` at any moment.
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]] | None] = queue.SimpleQueue()
        self._notes: queue.SimpleQueue[tuple[Callable[[Any], None], Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open = 0

    def start(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Run something in a thread.

        :param work: what to run.
        :param then: called by `take_notes` with what `work` returned or raised.
        :raises RuntimeError: the machine has no thread left, not even one.
        """
        self._open += 1
        self._work.put((work, then))
        if self._open > len(self._threads):
            thread = threading.Thread(target=self._serve, name=self._name)
            try:
                thread.start()
            except RuntimeError:  # no thread left on this machine: those that exist do the work in turn
                if not self._threads:
                    raise
            else:
                self._threads.append(thread)

    def start_detached(self, work: Callable[[], Any]) -> None:
        """Run something that may take minutes and that the end of the process may break off; nobody hears of its outcome."""
        threading.Thread(target=work, name=f"{self._name}, detached", daemon=True).start()

    def take_notes(self, timeout: float) -> None:
        """Wait until some work is done or `wake` is called, then take all notes that are there: one commit serves many pulls.

        :param timeout: seconds to wait at most.
        """
        try:
            note = self._notes.get(timeout=timeout)
            while True:
                if note is not None:
                    self._open -= 1
                    then, outcome = note
                    then(outcome)
                note = self._notes.get_nowait()
        except queue.Empty:
            return

    def wake(self) -> None:
        """End `take_notes` early; from any thread or signal handler, even one that interrupts this very call."""
        self._notes.put(None)

    def end(self) -> None:
        """Let the threads end. Waits for them, unless some work is still open: that one ends by itself later."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads if not self._open else ():
            thread.join()

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            work, then = item
            try:
                self._notes.put((then, work()))
            except BaseException as error:
                self._notes.put((then, error))
