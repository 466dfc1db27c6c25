"""Looks into the inbox for the waiters of a watch, and hands out what it finds.

Invariant: a waiter is registered before the inbox is looked into for it, and gets news only after that look; so no event
falls between the look and the news, and of several that count the first one is the first handed over.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from airflow_vod.exceptions import EventParseError
from airflow_vod.waiting.calls import call_in_loops
from airflow_vod.waiting.index import WaiterIndex, keys_of
from airflow_vod.waiting.waiter import EventWaiter, MatchWaiter, TaskWaiter, Waiter

if TYPE_CHECKING:
    from airflow_vod.inbox import EventHeader, InboxStore, StoredEvent

_NEWS_LIMIT = 250  # headers per read of what is new
_PAGE = 100  # events per read of a scan: their bodies are parsed
_Calls = list[tuple[Waiter, Callable[[], None]]]


class Lookout:
    """Reads the inbox for one watch, in the thread that serves it.

    :param inbox: the inbox.
    :param queue: whose events.
    :param index: who waits.
    :param lock: held while the index is read.
    """

    def __init__(self, inbox: InboxStore, queue: str, index: WaiterIndex, lock: threading.RLock) -> None:
        self.position: int | None = None
        """In the inbox, up to which the news have been read."""
        self._inbox = inbox
        self._queue = queue
        self._index = index
        self._lock = lock
        self._scanned: list[EventWaiter] = []  # for whom what is there already is not yet read to the end

    @property
    def scanning(self) -> bool:
        """Whether what is there already is not yet read to the end for all event waiters."""
        return bool(self._scanned)

    def begin(self) -> None:
        """Find out from where on there are news."""
        if self.position is None:
            self.position = self._inbox.position(self._queue)

    def look_up(self, waiters: Collection[Waiter]) -> None:
        """Look for what came before anybody waited, or passed unseen.

        :param waiters: those for whom to look; of event waiters the look goes on in `scan`.
        """
        by_types: dict[frozenset[str] | None, set[str]] = {}
        for waiter in waiters:
            if isinstance(waiter, TaskWaiter):
                by_types.setdefault(waiter.event_types, set()).update(waiter.missing.copy())
        for event_types, vod_task_ids in by_types.items():
            self._hand_out_ends(self._inbox.find(self._queue, vod_task_ids, event_types).values())
        seen = {id(waiter) for waiter in self._scanned}
        self._scanned += [each for each in waiters if isinstance(each, EventWaiter) and id(each) not in seen]
        call_in_loops([(each, each.note_look) for each in waiters if not isinstance(each, EventWaiter)])

    def scan(self) -> bool:
        """Read one more page of what is there already, for event waiters that may take the same types of events.

        :return: whether there is more to read.
        """
        with self._lock:
            self._scanned = [each for each in self._scanned if each in self._index and each.found is None]
        if not self._scanned:
            return False
        group = _alike(self._scanned)
        columns = group[0].match.columns() if len(group) == 1 else {"event_types": group[0].match.event_types}
        after, since = min(each.looked_up_to for each in group), min(each.since for each in group)
        page = self._inbox.candidates(self._queue, after=after, since=since, limit=_PAGE, **columns)
        self._hand_out_matches(page, set(group))
        for waiter in group if page else ():
            waiter.looked_up_to = max(waiter.looked_up_to, page[-1].position)
        if len(page) < _PAGE:
            done = set(group)
            self._scanned = [each for each in self._scanned if each not in done]
            call_in_loops([(each, each.note_look) for each in group])
        return bool(self._scanned)

    def read_news(self) -> None:
        """Hand out what was committed since the last read, by whomever."""
        while headers := self._inbox.headers_after(self._queue, self.position or 0, _NEWS_LIMIT):
            self._hand_out_ends(headers)
            with self._lock:
                positions = [each.position for each in headers if self._index.may_count(each)]
            if positions:
                self._hand_out_matches(self._inbox.read(self._queue, positions))
            self.position = headers[-1].position

    def _hand_out_ends(self, events: Iterable[EventHeader | StoredEvent]) -> None:
        with self._lock:
            calls: _Calls = [
                (waiter, functools.partial(waiter.deliver, event.vod_task_id))
                for event in events
                if event.vod_task_id is not None
                for waiter in self._index.of_task(event.vod_task_id)
                if waiter.accepts(event)
            ]
        call_in_loops(calls)

    def _hand_out_matches(self, events: Iterable[StoredEvent], only: set[EventWaiter] | None = None) -> None:
        """Hand events to those for whom they count; matching needs no lock, so it holds nobody up.

        :param only: those for whom they are read; None for all whose look is over, and for followers.
        """
        with self._lock:
            fields = self._index.fields
        waiting: set[Waiter] = set(self._scanned) if only is None else set()
        calls: _Calls = []
        for stored in events:
            try:
                event = stored.event()
            except EventParseError:  # of another version of this package
                continue
            keys = keys_of(event, fields)
            with self._lock:
                candidates = self._index.candidates(keys)
            for waiter in candidates:
                wanted = waiter in only if only is not None else waiter not in waiting
                if wanted and _takes(waiter, stored) and waiter.match.counts(event):
                    calls.append((waiter, functools.partial(waiter.deliver, stored)))
        call_in_loops(calls)


def _takes(waiter: MatchWaiter, stored: StoredEvent) -> bool:
    return not isinstance(waiter, EventWaiter) or waiter.accepts(stored)


def _alike(waiters: list[EventWaiter]) -> list[EventWaiter]:
    """Answer those of the waiters that one scan serves: of the same types, and without an id that leads to few events."""
    first = waiters[0].match
    if _leads_to_few(waiters[0]):
        return waiters[:1]
    return [each for each in waiters if each.match.event_types == first.event_types and not _leads_to_few(each)]


def _leads_to_few(waiter: EventWaiter) -> bool:
    return waiter.match.get("vod_task_id") is not None or waiter.match.get("file_id") is not None
