"""Tasks that wait: triggers in an event loop, in a process of its own, as in a triggerer.

Invariant: a wait has ended when the trigger's own event is in the hands of whoever runs the trigger.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

from benchmarks.bench import CONNECTION, INBOX
from benchmarks.children import Usage

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

T = TypeVar("T")

_PATIENCE = 120.0  # seconds
_TICK = 0.005  # seconds
_SETTLING = 1.0  # seconds from the registration of the last waiter until nothing more is to be done for any


def waits_for_task(vod_task_id: str) -> BaseTrigger:
    """:return: what a deferred sensor waits with."""
    from airflow_vod.triggers.vod import VodTaskTrigger

    return VodTaskTrigger(
        vod_task_id=vod_task_id, vod_conn_id="vod_default", waiter=f"bench/{os.getpid()}/{vod_task_id}"
    )


def waits_for_upload(name: str) -> BaseTrigger:
    """:return: what a deferred sensor waits with for the upload of a file of this name."""
    from airflow_vod.triggers.vod_event import VodNextEventTrigger

    return VodNextEventTrigger(
        event_type="NewFileUpload",
        match={"MediaBasicInfo.Name": name},
        since=time.time(),
        vod_conn_id="vod_default",
        waiter=f"bench/{os.getpid()}/{name}",
    )


class Ticker:
    """Measures for how long an event loop is held."""

    def __init__(self) -> None:
        self._longest = 0.0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_TICK)
            self._longest = max(self._longest, time.monotonic() - before - _TICK)

    async def longest(self) -> float:
        """:return: seconds for which it was held at most since the last call."""
        await asyncio.sleep(2 * _TICK)  # a tick that is on its way counts
        longest, self._longest = self._longest, 0.0
        return longest


class Waiting:
    """A process full of waiting triggers, for `Child`.

    :param connection: the Airflow connection ``vod_default``.
    :param inbox: URL of the inbox.
    :param make: makes a trigger for a VOD task id.
    """

    def __init__(self, connection: str, inbox: str, make: Callable[[str], BaseTrigger] = waits_for_task) -> None:
        os.environ |= {CONNECTION: connection, INBOX: inbox}
        self._make = make
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: dict[str, float] = {}
        self._unexpected: list[Any] = []
        self._ticker = Ticker()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        from airflow_vod.waiting.watch import watches

        self._in_loop(self._cancel())
        for watch in watches():
            watch.end()
        for watch in watches():
            watch.join()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def start(self, vod_task_ids: Sequence[str]) -> None:
        """Start a trigger for each id."""
        self._in_loop(self._start(vod_task_ids))

    def settle(self, waiters: int) -> float:
        """Wait until the inbox knows of so many waiters, of whatever process.

        :return: when it did, by the clock that all processes share.
        """
        from airflow_vod.waiting.watch import watches

        give_up = time.monotonic() + _PATIENCE
        while not any(watch.inbox.counts(watch.queue).waiters >= waiters for watch in watches()):
            if time.monotonic() > give_up:
                raise TimeoutError(f"{waiters} waiters are not in the inbox within {_PATIENCE} s")
            time.sleep(0.1)
        settled = time.monotonic()
        time.sleep(_SETTLING)
        return settled

    def ends(self, number: int, patience: float = _PATIENCE) -> dict[str, float]:
        """Wait until so many waits have ended.

        :return: VOD task id to when its wait ended, by the clock that all processes share.
        """
        give_up = time.monotonic() + patience
        while len(self._ended) < number:
            if time.monotonic() > give_up or self._unexpected:
                raise RuntimeError(f"{len(self._ended)} of {number} waits have ended; {self._unexpected[:3]}")
            time.sleep(0.01)
        return self._ended

    def tick(self) -> None:
        """Begin to measure for how long the event loop is held."""
        self._in_loop(self._tick())

    def held(self) -> float:
        """:return: seconds for which the event loop was held at most since the last call."""
        return self._in_loop(self._ticker.longest())

    def come_and_go(self, seconds: float, interval: float) -> None:
        """Let one more trigger start and be cancelled, again and again.

        :param seconds: for so long.
        :param interval: seconds between two.
        """
        self._in_loop(self._come_and_go(seconds, interval))

    def usage(self) -> Usage:
        """:return: what this process has used, garbage apart."""
        gc.collect()
        return Usage.now()

    async def _start(self, vod_task_ids: Sequence[str]) -> None:
        for vod_task_id in vod_task_ids:
            self._tasks.append(asyncio.create_task(self._run(vod_task_id, self._make(vod_task_id))))

    async def _tick(self) -> None:
        self._tasks.append(asyncio.create_task(self._ticker.run()))

    async def _come_and_go(self, seconds: float, interval: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            task = asyncio.create_task(self._run(f"passing-{now}", self._make(f"passing-{now}")))
            await asyncio.sleep(interval)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, vod_task_id: str, trigger: BaseTrigger) -> None:
        async for event in trigger.run():
            self._ended[vod_task_id] = time.monotonic()
            if event.payload != {"status": "found"}:
                self._unexpected.append(event)
            return

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)
