"""Threads and the queues between them, as one replaceable thing, so that a whole relay can be simulated in virtual time.

Invariant: nothing in this room starts a thread, or waits for another, except by a `Threads`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Mailbox(Protocol):
    """What one thread gets from others, in order; as `queue.SimpleQueue`."""

    def put(self, item: Any) -> None:
        """Add an item; from any thread or signal handler, even one that interrupts this very call."""
        ...

    def get(self, block: bool = ..., timeout: float | None = ...) -> Any:
        """Take the first item; wait for it.

        :param block: False to wait not at all.
        :param timeout: seconds to wait at most; None for as long as it takes.
        :raises queue.Empty: there is none.
        """
        ...


class Thread(Protocol):
    """A thread that was started; as `threading.Thread`."""

    def join(self, timeout: float | None = ...) -> None:
        """Wait until it has ended, for so many seconds at most."""
        ...

    def is_alive(self) -> bool:
        """Say whether it has not ended yet."""
        ...


class Threads(Protocol):
    """Starts threads."""

    def start(self, target: Callable[[], None], name: str, *, daemon: bool = False) -> Thread:
        """Start a thread.

        :param target: what it runs.
        :param name: of the thread, for people.
        :param daemon: whether the program may end without waiting for it.
        :raises RuntimeError: the machine has no thread left.
        """
        ...

    def mailbox(self) -> Mailbox:
        """Make a mailbox."""
        ...


class SystemThreads:
    """The machine's own threads."""

    def start(self, target: Callable[[], None], name: str, *, daemon: bool = False) -> threading.Thread:
        """See `Threads.start`."""
        thread = threading.Thread(target=target, name=name, daemon=daemon)
        thread.start()
        return thread

    def mailbox(self) -> queue.SimpleQueue[Any]:
        """Make one whose C implementation is re-entrant, so that a signal handler may put something in at any moment."""
        return queue.SimpleQueue()


SYSTEM_THREADS = SystemThreads()
