"""A trigger that is run on a worker, inside its task, as a triggerer would run it.

Invariants: asyncio runs in a thread of its own, because a loop in the main thread swallows what Airflow's signal handlers
raise there (``execution_timeout``, a kill); when `Stay.run` returns or raises, no thread of it is left and no pull is open,
unless an inbox or a connection that does not answer holds one for longer than `END_PATIENCE`: that does not hold the task.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

from airflow_vod.waiting.watch import END_PATIENCE, Watch, watches

log = logging.getLogger(__name__)

_CHECK_EVERY = 0.05  # seconds between two checks whether the trigger is idle


class Staying(Protocol):
    """What a trigger needs to be run on a worker; `airflow_vod.triggers.base.VodWaitTrigger` has it."""

    watch: Watch | None
    """With which it waits, or waited last."""
    goes_on: bool
    """Set when it is left although its wait goes on, in another process."""

    def run(self) -> AsyncIterator[Any]:
        """Wait, and yield one event."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing for it in VOD's queue and in the inbox, as far as this process can know."""


class Stay:
    """One run of a trigger in the process of its task.

    :param trigger: what waits.
    """

    def __init__(self, trigger: Staying) -> None:
        self._trigger = trigger
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._ended = False
        self._payload: Any = None
        self._error: BaseException | None = None
        self._fired = threading.Event()  # or failed, or left

    def run(self, seconds: float | None = None) -> Any:
        """Run the trigger until it fires.

        :param seconds: leave it after this time, or as soon as it is idle: the wait then continues in another process. None stays
            until it fires.
        :return: the payload of its event; None where it was left, or ended with `end`.
        """
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._live, seconds), name="vod-stay")
        try:
            thread.start()
            self._fired.wait()  # what a signal handler raises comes out of here
        finally:
            self.end()
            if thread.ident is not None:
                thread.join(END_PATIENCE)
            if thread.is_alive():
                log.warning("Left what still waits for an answer of the inbox or of VOD after %g s", END_PATIENCE)
        if self._error is not None:
            raise self._error
        return self._payload

    def end(self) -> None:
        """Let `run` return soon; callable from any thread and signal handler, more than once."""
        self._ended = True
        loop, task = self._loop, self._task
        if loop is not None and task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(task.cancel)

    def _live(self, seconds: float | None) -> None:
        try:
            asyncio.run(self._wait(seconds))
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._fired.set()
            _leave()

    async def _wait(self, seconds: float | None) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._ended:
            return
        events = self._trigger.run()
        firing = asyncio.ensure_future(anext(events))
        try:
            if seconds is None:
                await asyncio.wait({firing})
            else:
                await self._until_idle(firing, time.monotonic() + seconds)
            if firing.done():
                self._payload = firing.result().payload
        finally:
            self._fired.set()
            if not firing.done():
                self._trigger.goes_on = not self._ended
                firing.cancel()
                await asyncio.wait({firing})

    async def _until_idle(self, firing: asyncio.Future[Any], leave_at: float) -> None:
        idle_checks = 0  # in a row; at the first, something may just be on its way to the trigger
        while idle_checks < 2 and not firing.done() and time.monotonic() < leave_at:
            await asyncio.wait({firing}, timeout=_CHECK_EVERY)
            idle_checks = idle_checks + 1 if self._trigger.idle else 0


def _leave() -> None:
    """End the watches of this process at once, except those with which others wait."""
    for watch in watches():
        if watch.end_if_unneeded():
            watch.join()
