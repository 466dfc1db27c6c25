"""From many callbacks at once into the inbox: those that come while a commit runs share the next one.

Invariant: `receive` returns after the commit of its event, or raises. Nothing is kept here that its sender takes for stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxUnavailableError

if TYPE_CHECKING:
    from airflow_vod.events.parse import UnparsedEvent, VodEvent
    from airflow_vod.inbox import InboxStore, Received

PATIENCE = 4.5  # seconds; VOD gives up after 5 (guide of the normal callback)
GROUP = 128  # events per commit
MOST_WAITING = 2000  # events; with more, the database cannot keep up, and the sender had better come again

_Waiting = list[tuple["VodEvent | UnparsedEvent", "asyncio.Future[Received]"]]


class Intake:
    """Stores events of one process.

    :param inbox: opens the inbox; called in a thread.
    :param patience: seconds after which a commit is too late for who waits for it.
    """

    def __init__(self, inbox: Callable[[], InboxStore], patience: float = PATIENCE) -> None:
        self._inbox = inbox
        self._patience = patience
        self._waiting: dict[str, _Waiting] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}

    async def receive(self, queue: str, event: VodEvent | UnparsedEvent) -> Received:
        """Store one event.

        :param queue: the queue it belongs to.
        :raises InboxUnavailableError: it was not stored in time; it may still be, and then comes again as a duplicate.
        :raises InboxError: the inbox refuses it.
        """
        if sum(map(len, self._waiting.values())) >= MOST_WAITING:
            raise InboxUnavailableError("More callbacks came than the database of the inbox can take.")
        stored: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        stored.add_done_callback(_look_at)
        self._waiting.setdefault(queue, []).append((event, stored))
        if queue not in self._writers:
            self._writers[queue] = asyncio.create_task(self._write(queue))
        try:
            return await asyncio.wait_for(asyncio.shield(stored), self._patience)
        except TimeoutError:
            raise InboxUnavailableError("The database of the inbox is too slow for the sender of a callback.") from None

    async def _write(self, queue: str) -> None:
        """Commit until nobody waits; one commit at a time, for they would only wait for each other."""
        try:
            while waiting := self._waiting.pop(queue, None):
                if len(waiting) > GROUP:
                    self._waiting[queue] = waiting[GROUP:]
                await self._store(queue, waiting[:GROUP])
        finally:
            del self._writers[queue]

    async def _store(self, queue: str, group: _Waiting) -> None:
        group = [(event, stored) for event, stored in group if not stored.done()]
        if not group:
            return
        try:
            received = await asyncio.to_thread(
                lambda: self._inbox().receive(queue, [event for event, _ in group], "callback")
            )
        except Exception as error:
            if len(group) > 1 and not isinstance(error, InboxUnavailableError):
                for one in group:  # one of them cannot be stored: it must not keep the others out
                    await self._store(queue, [one])
                return
            for _, stored in group:
                if not stored.done():
                    stored.set_exception(error)
            return
        for (_, stored), outcome in zip(group, received, strict=True):
            if not stored.done():
                stored.set_result(outcome)


def _look_at(stored: asyncio.Future[Received]) -> None:
    """Take the outcome of who has gone meanwhile, so that nobody warns of it."""
    if not stored.cancelled():
        stored.exception()
