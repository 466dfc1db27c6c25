"""What one trigger waits with: it is woken by the watch of its queue, from another thread.

Invariant: a waiter's state changes in its own event loop only; the watch hands everything over with one call into that loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxUnavailableError

if TYPE_CHECKING:
    from airflow_vod.events.matching import EventMatch
    from airflow_vod.inbox import EventHeader, StoredEvent


class WatchRetiredError(InboxUnavailableError):
    """Another watch has replaced this one; waiters continue with that."""


class Waiter:
    """One wait. Belongs to the event loop in which it is made.

    :param name: who waits, such as ``dag/run/task``; for people on call.
    :param event_types: event types that count; None for any.
    :param deadline_at: Unix seconds until which it waits at the latest; None for no end.
    """

    __slots__ = ("_error", "_woken", "deadline_at", "event_types", "listed_on", "looked_up", "loop", "name", "since_at")

    def __init__(
        self, *, name: str = "", event_types: Collection[str] | None = None, deadline_at: float | None = None
    ) -> None:
        self.name = name
        self.event_types = frozenset(event_types) if event_types else None
        self.deadline_at = deadline_at
        self.loop = asyncio.get_running_loop()
        self.since_at = time.time()
        """Since when this process waits, with whatever watch, in Unix seconds."""
        self.looked_up = False
        """Whether the inbox has been looked into for it since it was added."""
        self.listed_on = False
        """Whether it stays on the list of who waits when it leaves: the wait goes on in another process."""
        self._error: BaseException | None = None
        self._woken: asyncio.Future[None] | None = None  # only while `_wait` waits

    @property
    def listed_for(self) -> Collection[str | None]:
        """The VOD tasks under which this waiter is listed; None if it waits for something else."""
        return (None,)

    def go_on_from(self, before: Waiter) -> None:
        """Go on with the wait of another waiter, whose watch has ended.

        :param before: of the same kind, for the same.
        """
        self.since_at = before.since_at

    async def _wait(self, seconds: float) -> None:
        self._woken = self.loop.create_future()
        timer = self.loop.call_later(seconds, self.wake)
        try:
            await self._woken
        finally:
            timer.cancel()
            self._woken = None

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error.with_traceback(None)  # many waiters may raise this one object; its traceback would only grow

    def note_look(self) -> None:
        """Note, in the waiter's event loop, that the inbox has been looked into for it."""
        self.looked_up = True
        if self.deadline_at is not None and time.time() >= self.deadline_at:
            self.wake()  # this look is all that it waits for

    def fail(self, error: BaseException) -> None:
        """End the wait with an error, in the waiter's event loop."""
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Resume `next`, in the waiter's event loop."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class TaskWaiter(Waiter):
    """Waits for the events that end some VOD tasks.

    :param vod_task_ids: what is waited for.
    :param event_types: event types that count; None for any that ends a task.
    :param name: who waits, such as ``dag/run/task``; for people on call.
    :param deadline_at: Unix seconds until which it waits at the latest; None for no end.
    :param asked_at: when VOD itself was last asked about one of the tasks, in Unix seconds; None for never.
    :param answer: what it said then, in words.
    :param unannounced: the tasks of which VOD announces no end.
    """

    __slots__ = ("_found", "answer", "asked_at", "missing", "unannounced", "vod_task_ids")

    def __init__(
        self,
        vod_task_ids: Collection[str],
        event_types: Collection[str] | None = None,
        *,
        name: str = "",
        deadline_at: float | None = None,
        asked_at: float | None = None,
        answer: str | None = None,
        unannounced: Collection[str] = (),
    ) -> None:
        super().__init__(name=name, event_types=event_types, deadline_at=deadline_at)
        self.vod_task_ids = tuple(dict.fromkeys(vod_task_ids))
        self.missing = set(vod_task_ids)
        self.asked_at = asked_at
        self.answer = answer
        self.unannounced = frozenset(unannounced)
        self._found: set[str] = set()

    @property
    def listed_for(self) -> Collection[str | None]:
        """See `Waiter.listed_for`."""
        return self.vod_task_ids

    def go_on_from(self, before: Waiter) -> None:
        """See `Waiter.go_on_from`: what VOD has said of the tasks stays known, and its next question is due when it was."""
        super().go_on_from(before)
        if isinstance(before, TaskWaiter):
            self.asked_at, self.answer, self.unannounced = before.asked_at, before.answer, before.unannounced

    async def next(self, seconds: float) -> set[str]:
        """Wait for the next events.

        :param seconds: how long at most.
        :return: the VOD tasks whose end was found since the last call; empty after the timeout, or when the waiter was
            woken for another reason.
        :raises VodError: the watch cannot go on.
        """
        if not self._found and self._error is None:
            await self._wait(seconds)
        found, self._found = self._found, set()
        if not found:
            self._raise_error()
        return found

    def accepts(self, event: EventHeader | StoredEvent) -> bool:
        """Say whether an event ends a task that is waited for; callable from any thread."""
        if not event.finished or event.vod_task_id not in self.missing:
            return False
        return self.event_types is None or event.event_type in self.event_types

    def deliver(self, vod_task_id: str) -> None:
        """Hand over that a task has ended, in the waiter's event loop."""
        if vod_task_id in self.missing:
            self.missing.discard(vod_task_id)
            self._found.add(vod_task_id)
            self.wake()


class MatchWaiter(Waiter):
    """Waits for events by what they say. See `EventWaiter` and `airflow_vod.waiting.follower.Follower`.

    :param match: what an event must be to count.
    :param name: who waits; for people on call.
    :param deadline_at: Unix seconds until which it waits at the latest; None for no end.
    """

    __slots__ = ("match",)

    def __init__(self, match: EventMatch, *, name: str = "", deadline_at: float | None = None) -> None:
        super().__init__(name=name, event_types=match.event_types, deadline_at=deadline_at)
        self.match = match

    @property
    def listed_for(self) -> Collection[str | None]:
        """See `Waiter.listed_for`."""
        return (self.match.get("vod_task_id"),)

    async def next(self, seconds: float) -> None:
        """Wait until there may be something new.

        :param seconds: how long at most.
        :raises VodError: the watch cannot go on.
        """
        if self._error is None and not self._has_news():
            await self._wait(seconds)
        if not self._has_news():
            self._raise_error()

    def _has_news(self) -> bool:
        raise NotImplementedError

    def deliver(self, event: StoredEvent) -> None:
        """Hand over an event that counts, in the waiter's event loop."""
        raise NotImplementedError


class EventWaiter(MatchWaiter):
    """Waits for the first event that counts.

    :param match: what an event must be to count.
    :param since: Unix seconds by the inbox's clock; only events that came then or later count.
    :param name: who waits; for people on call.
    :param deadline_at: Unix seconds until which it waits at the latest; None for no end.
    """

    __slots__ = ("found", "in_scan", "looked_up_to", "scanning", "since")

    def __init__(self, match: EventMatch, *, since: float, name: str = "", deadline_at: float | None = None) -> None:
        super().__init__(match, name=name, deadline_at=deadline_at)
        self.since = since
        self.looked_up_to = 0
        """A position of the inbox: no event up to there counts. The watch alone reads and writes this, as the next."""
        self.scanning = True
        """Whether what is there already is still to be read for it, from its first moment on; news wait until that is over."""
        self.in_scan = False
        """Whether it is among those for whom that is being read."""
        self.found: StoredEvent | None = None

    def _has_news(self) -> bool:
        return self.found is not None

    def accepts(self, event: StoredEvent) -> bool:
        """Say whether a stored event came when it may count; callable from any thread."""
        return event.received_at >= self.since and event.position > self.looked_up_to

    def deliver(self, event: StoredEvent) -> None:
        """Hand over an event that counts, in the waiter's event loop; of several the first in the inbox's order."""
        if self.found is None or event.position < self.found.position:
            self.found = event
            self.wake()
