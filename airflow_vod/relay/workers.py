"""Threads that do the blocking work of one other thread.

Invariant: whatever a piece of work returns or raises reaches the one thread that takes the notes, and no other.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from airflow_vod.relay.threads import SYSTEM_THREADS, Thread, Threads


class Workers:
    """Runs work in threads and hands the outcomes to the thread that calls `take_notes`; only that one calls `start` and `end`.

    Not an executor of the standard library: those take no more work once the main thread of a process has ended, and just
    then there are events to be stored and confirmed.

    :param name: of the threads. They are no daemons, but for those of `start_detached`.
    :param threads: starts them.
    """

    def __init__(self, name: str, threads: Threads = SYSTEM_THREADS) -> None:
        self._name = name
        self._starter = threads
        self._work = threads.mailbox()  # (work, then), or None to end one thread
        self._notes = threads.mailbox()  # (then, outcome), or None to wake up
        self._threads: list[Thread] = []
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
            try:
                self._threads.append(self._starter.start(self._serve, self._name))
            except RuntimeError:  # no thread left on this machine: those that exist do the work in turn
                if not self._threads:
                    raise

    def start_detached(self, work: Callable[[], Any]) -> None:
        """Run something that may take minutes and that the end of the process may break off; nobody hears of its outcome."""
        self._starter.start(work, f"{self._name}, detached", daemon=True)

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
                note = self._notes.get(block=False)
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
