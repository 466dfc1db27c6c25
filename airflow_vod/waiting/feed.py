"""The way of one asset watcher through a queue of the inbox: every event that counts, once, across restarts.

Invariants: the cursor in the inbox passes an event only after whoever takes the events has acknowledged it and all before it,
so nothing is missed while no process runs; events are handed out only under the watcher's lease, so of two processes that run
the same watcher one hands out. What is handed out and not acknowledged when a process dies comes again, with the same key.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import InboxError, InboxUnavailableError, VodError
from airflow_vod.hooks.inbox_file import inbox_file_problem
from airflow_vod.inbox.leases import new_holder
from airflow_vod.inbox.lookup import event_to_small_dict, takes
from airflow_vod.waiting.follower import Follower
from airflow_vod.waiting.watches import watch_of

if TYPE_CHECKING:
    from airflow_vod.events.matching import EventMatch
    from airflow_vod.inbox import InboxStore, StoredEvent
    from airflow_vod.waiting.watch import Watch

log = logging.getLogger(__name__)

WINDOW = 100  # events that may be handed out and not yet acknowledged; what a crash can bring twice
LEASE_TTL = 30.0  # seconds; Airflow gives a trigger to another triggerer when the first has been silent for as long
_RENEWAL = 8.0  # seconds between renewals of the lease
_STANDBY = 2.0  # seconds between two tries for a lease that another process holds
_PAUSE = 5.0  # seconds until the next try when the inbox does not answer
_LONG_PAUSE = 60.0  # seconds until the next try when something is wrong that a person must put right
_PAGE = 200  # events whose bodies are read at once


class Feed:
    """Hands out the events that count for one watcher.

    :param watcher: name of the watcher; its cursor is found again by it.
    :param match: what an event must be to count.
    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :param name: what people call the watcher; None for the name by which its cursor is found.
    :param settle: seconds after which an event that was handed out counts as acknowledged; None leaves it to `acknowledge`.
    """

    def __init__(
        self,
        watcher: str,
        match: EventMatch,
        vod_conn_id: str,
        sub_app_id: int | str | None = None,
        *,
        name: str | None = None,
        settle: float | None = None,
    ) -> None:
        self._watcher = watcher
        self._match = match
        self._source = (vod_conn_id, sub_app_id)
        self._settle = settle
        self._window = WINDOW if settle is None else 10 * WINDOW
        self._holder = new_holder()
        self._follower = Follower(match, name=f"asset watcher {name or watcher}")
        self._watch: Watch | None = None
        self._queue: str | None = None
        self._position = 0  # up to which this has handed out what counts
        self._knows_cursor = False  # no other process can have moved the cursor since it was read
        self._open: deque[tuple[int, float]] = deque()  # handed out, not yet acknowledged: position and when
        self._taken: set[int] = set()  # acknowledged, and not yet marked as read in the inbox
        self._room = asyncio.Event()
        self._unwritten = 0  # a position that the cursor is still to be moved to
        self._renew_at = self._lease_until = float("-inf")
        self._renewal: asyncio.Future[bool] | None = None  # the latest

    async def events(self) -> AsyncIterator[tuple[dict[str, Any], int]]:
        """Yield events, each as `event_to_small_dict` writes it, with its position; never ends on its own."""
        if problem := await asyncio.to_thread(inbox_file_problem):
            log.warning("%s", problem)
        while True:
            try:
                found, looked_up_to = await self._look()
                for event, position in found:
                    await self._wait_for_room()
                    if not self._may_hand_out():
                        break
                    # Before the next one may fail: what is not handed out is behind this and is found again.
                    self._position = position
                    self._open.append((position, time.monotonic()))
                    yield event, position
                else:
                    await self._pass(looked_up_to)
            except InboxUnavailableError as error:
                log.warning("Cannot use the inbox for %s now, retrying: %s", self._follower.name, error)
                self._leave()  # it may be the watch that has ended
                await asyncio.sleep(_PAUSE)
            except VodError as error:
                log.error("Cannot follow the queue for %s, trying again: %s", self._follower.name, error)
                self._leave()
                await asyncio.sleep(_LONG_PAUSE)

    async def acknowledge(self, position: int) -> None:
        """Take note that all events up to a position are where they should be; raises nothing.

        :param position: of an event that was handed out.
        """
        while self._open and self._open[0][0] <= position:
            self._taken.add(self._open.popleft()[0])
        self._unwritten = max(self._unwritten, position)
        self._room.set()
        try:
            await self._write_cursor()
        except InboxError as error:
            log.warning("The cursor of %s will be moved later: %s", self._follower.name, error)

    async def aclose(self) -> None:
        """Let another process go on at once."""
        watch, held = self._watch, self._may_hand_out()
        self._leave()
        if self._renewal is not None:
            with contextlib.suppress(InboxError):  # a renewal that is on its way would come after the release
                held = await self._renewal or held
        if watch is not None and held:
            self._lease_until = float("-inf")
            with contextlib.suppress(InboxError):
                await asyncio.to_thread(watch.inbox.leases.release, self._lease, self._holder)

    @property
    def _lease(self) -> str:
        return f"watcher {self._watcher}"

    async def _look(self) -> tuple[list[tuple[dict[str, Any], int]], int]:
        """Look for events behind the position; wait where there are none.

        :return: those that count, and up to which position this has looked.
        """
        watch = await self._join()
        await self._keep_up()
        if not self._may_hand_out():
            await asyncio.sleep(_STANDBY)
            return [], self._position
        if not self._knows_cursor:
            newest = await asyncio.to_thread(watch.inbox.position, watch.queue)
            cursor = await asyncio.to_thread(watch.inbox.cursors.get, self._watcher, watch.queue, newest)
            self._position, self._knows_cursor = max(self._position, cursor), True
        page, found = await asyncio.to_thread(self._read, watch.inbox, watch.queue, self._position)
        if page:
            return found, page[-1].position
        await self._follower.next(_RENEWAL if self._settle is None else min(self._settle, _RENEWAL))
        return [], self._position

    async def _pass(self, position: int) -> None:
        """Go on behind a position; all before it is handed out or does not count."""
        if position > self._position:
            self._position = position
            if not self._open:
                await self.acknowledge(position)  # these need not be read again

    def _read(
        self, inbox: InboxStore, queue: str, after: int
    ) -> tuple[list[StoredEvent], list[tuple[dict[str, Any], int]]]:
        page = inbox.candidates(queue, after=after, limit=_PAGE, **self._match.columns())
        return page, [(event_to_small_dict(each), each.position) for each in page if takes(self._match, each)]

    async def _join(self) -> Watch:
        """Follow the queue with the watch of this process, which others use too."""
        while self._watch is None:
            watch = await watch_of(*self._source)
            if self._queue not in (None, watch.queue):
                # Positions of one queue mean nothing in another. Airflow starts a trigger that fails anew.
                raise RuntimeError(f"Connection {self._source[0]!r} leads to another queue now: {watch.queue}.")
            if watch.add(self._follower):
                self._watch, self._queue = watch, watch.queue
        return self._watch

    def _leave(self) -> None:
        if self._watch is not None:
            self._watch.discard(self._follower)
            self._watch = None

    async def _wait_for_room(self) -> None:
        while len(self._open) >= self._window and self._may_hand_out():
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STANDBY):  # wait_for of Python 3.11 may swallow a cancellation
                    await self._room.wait()
            await self._keep_up()

    async def _keep_up(self) -> None:
        """Renew the lease, and do what time alone brings about."""
        now = time.monotonic()
        if self._watch is not None and now >= self._renew_at:
            acquire = self._watch.inbox.leases.acquire
            self._renewal = asyncio.ensure_future(asyncio.to_thread(acquire, self._lease, self._holder, LEASE_TTL))
            held = await asyncio.shield(self._renewal)
            if held != (self._lease_until > now):
                self._knows_cursor = False
                log.info("Events for %s are taken %s", self._follower.name, "here" if held else "by another process")
            self._lease_until = now + LEASE_TTL if held else float("-inf")
            self._renew_at = now + (_RENEWAL if held else _STANDBY / 2)
        settled = [at for at, since in self._open if self._settle is not None and now - since >= self._settle]
        if settled:
            await self.acknowledge(settled[-1])
        elif self._unwritten or self._taken:
            await self._write_cursor()

    def _may_hand_out(self) -> bool:
        return time.monotonic() < self._lease_until

    async def _write_cursor(self) -> None:
        if self._watch is None:
            return
        inbox, queue, position, taken = self._watch.inbox, self._watch.queue, self._unwritten, self._taken.copy()
        if position:
            await asyncio.to_thread(inbox.cursors.advance, self._watcher, queue, position)
        if self._unwritten == position:
            self._unwritten = 0
        await asyncio.to_thread(inbox.mark_read, queue, taken, self._follower.name)
        self._taken -= taken
