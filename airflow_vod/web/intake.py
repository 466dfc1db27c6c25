"""Stores the events of concurrent callbacks in groups: those that arrive during a commit share the next one.

Invariant: `receive` returns after its event is committed, or raises; no event is acknowledged while it is only in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.web.threads import Threads

if TYPE_CHECKING:
    from airflow_vod.events.parse import UnparsedEvent, VodEvent
    from airflow_vod.inbox import InboxStore, Received

TIMEOUT = 4.5  # seconds; VOD gives up after 5 (guide of the normal callback)
MAX_GROUP = 128  # events per commit
COMMITTING = 4  # queues that are written to at once; nothing else uses these threads
MAX_WAITING = 2000  # events; with more, the database cannot keep up and the sender should retry

_Waiting = list[tuple["VodEvent | UnparsedEvent", "asyncio.Future[Received]"]]


class Intake:
    """Stores the events that one process receives.

    :param inbox: opens the inbox; called in a thread.
    :param timeout: seconds to wait for the commit of an event.
    """

    def __init__(self, inbox: Callable[[], InboxStore], timeout: float = TIMEOUT) -> None:
        self._inbox = inbox
        self._timeout = timeout
        self._threads = Threads("vod-callback-commit", COMMITTING)
        self._waiting: dict[str, _Waiting] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}

    async def receive(self, queue: str, event: VodEvent | UnparsedEvent) -> Received:
        """Store one event.

        :param queue: the queue it belongs to.
        :param event: to store.
        :return: its place in the inbox, once it is committed.
        :raises InboxUnavailableError: it was not stored in time; if it is stored later, the retry is a duplicate.
        :raises InboxError: the inbox rejects it.
        """
        if sum(map(len, self._waiting.values())) >= MAX_WAITING:
            raise InboxUnavailableError("Callbacks arrive faster than the inbox database can store them.")
        stored: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        stored.add_done_callback(_retrieve)
        self._waiting.setdefault(queue, []).append((event, stored))
        if queue not in self._writers:
            self._writers[queue] = asyncio.create_task(self._write(queue))
        try:
            return await asyncio.wait_for(asyncio.shield(stored), self._timeout)
        except TimeoutError:
            text = f"The inbox database is too slow: it did not commit within {self._timeout:g} s."
            raise InboxUnavailableError(text) from None

    async def _write(self, queue: str) -> None:
        """Commit group after group until none waits; concurrent commits to one queue would only block each other."""
        try:
            while waiting := self._waiting.pop(queue, None):
                if len(waiting) > MAX_GROUP:
                    self._waiting[queue] = waiting[MAX_GROUP:]
                await self._store(queue, waiting[:MAX_GROUP])
        finally:
            del self._writers[queue]

    async def _store(self, queue: str, group: _Waiting) -> None:
        group = [(event, stored) for event, stored in group if not stored.done()]
        if not group:
            return
        try:
            received = await self._threads.run(
                lambda: self._inbox().receive(queue, [event for event, _ in group], "callback")
            )
        except Exception as error:
            if len(group) > 1 and not isinstance(error, InboxUnavailableError):
                for one in group:  # one event cannot be stored: it must not affect the others
                    await self._store(queue, [one])
                return
            for _, stored in group:
                if not stored.done():
                    stored.set_exception(error)
            return
        for (_, stored), outcome in zip(group, received, strict=True):
            if not stored.done():
                stored.set_result(outcome)


def _retrieve(stored: asyncio.Future[Received]) -> None:
    """Retrieve the outcome, so that asyncio does not warn when the waiting request is gone."""
    if not stored.cancelled():
        stored.exception()
