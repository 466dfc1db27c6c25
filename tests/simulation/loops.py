"""An event loop of asyncio in virtual time, which runs in one simulated thread.

Invariant: the loop waits for nothing but timers of the world and calls from other threads of its process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.world import Mailbox, Process


class Loop(asyncio.BaseEventLoop):
    """The event loop of one process.

    :param process: whose it is.
    """

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process
        self._selector = _Selector(process)
        self.set_exception_handler(lambda _, context: None)

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop.time`."""
        return self._process.monotonic()

    def run(self, main: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine in the simulated thread that calls this, to its end; what it raises is raised here.

        :param main: the coroutine.
        """
        asyncio._set_running_loop(self)
        task = self.create_task(main)
        try:
            while not task.done():
                self._run_once()
            for _ in range(3):  # callbacks of the end
                self._selector.wake()
                self._run_once()
        finally:
            asyncio._set_running_loop(None)
        task.result()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """See `asyncio.AbstractEventLoop.run_in_executor`: each call has a thread of its own."""
        future = self.create_future()

        def work() -> None:
            try:
                result, error = func(*args), None
            except Exception as caught:
                result, error = None, caught
            if not self.is_closed():
                self.call_soon_threadsafe(settle, result, error)

        def settle(result: Any, error: Exception | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._process.start(work, "executor", daemon=True)
        return future

    def __del__(self) -> None:
        """Say nothing: the loop of a process that was killed is never closed."""

    def _process_events(self, _: Any) -> None:
        """There are none: nothing here does I/O."""

    def _write_to_self(self) -> None:
        self._selector.wake()


class _Selector:
    """Waits in the world until a timer is due or somebody calls."""

    def __init__(self, process: Process) -> None:
        self._mailbox = Mailbox(process.world)

    def wake(self) -> None:
        """Let the next wait end at once."""
        self._mailbox.put(None)

    def select(self, timeout: float | None) -> None:
        """Wait.

        :param timeout: seconds at most; None for as long as it takes.
        """
        self._mailbox.wait(timeout)
