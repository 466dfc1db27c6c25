"""Looks into the inbox for the waiters of a watch, and hands out what it finds.

Invariant: a waiter is registered before the inbox is looked into for it, and gets news only after that look; so no event
falls between the look and the news, and of several that count the first one is the first handed over.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

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
        self._groups: dict[
            _Group, dict[EventWaiter, None]
        ] = {}  # for whom what is there already is not yet read to the end

    @property
    def scanning(self) -> bool:
        """Whether what is there already is not yet read to the end for all event waiters."""
        return bool(self._groups)

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
        for waiter in waiters:
            if isinstance(waiter, EventWaiter) and not waiter.in_scan:
                waiter.scanning = waiter.in_scan = True
                self._groups.setdefault(_group_of(waiter), {})[waiter] = None
        call_in_loops([(each, each.note_look) for each in waiters if not isinstance(each, EventWaiter)])

    def scan(self) -> bool:
        """Read one more page of what is there already, for one group of event waiters.

        :return: whether there is more to read.
        """
        if not self._groups:
            return False
        key, group = next(iter(self._groups.items()))
        with self._lock:
            group = self._groups[key] = {each: None for each in group if each in self._index and each.found is None}
        if not group or self._scan_page(group, by_ids=key.vod_ids is not None):
            del self._groups[key]
        return self.scanning

    def _scan_page(self, group: Collection[EventWaiter], *, by_ids: bool) -> bool:
        """Read the next page for a group.

        :param by_ids: whether its waiters ask for the same ids, by which the inbox finds their few events.
        :return: whether it was the last.
        """
        one, read_up_to = next(iter(group)), self.position or 0
        columns = one.match.columns() if by_ids else {"event_types": one.match.event_types}
        after, since = min(each.looked_up_to for each in group), min(each.since for each in group)
        page = self._inbox.candidates(self._queue, after=after, since=since, limit=_PAGE, **columns)
        self._hand_out_matches(page, group)
        is_last = len(page) < _PAGE
        seen_up_to = max(page[-1].position if page else 0, read_up_to if is_last else 0)
        for waiter in group:
            waiter.looked_up_to = max(waiter.looked_up_to, seen_up_to)
            waiter.scanning = waiter.in_scan = not is_last
        if is_last:
            call_in_loops([(each, each.note_look) for each in group])
        return is_last

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

    def _hand_out_matches(self, events: Iterable[StoredEvent], only: Collection[EventWaiter] | None = None) -> None:
        """Deliver events to the waiters that they match; matching takes no lock, so it blocks no other thread.

        :param only: those for whom they are read; None for all whose look is over, and for followers.
        """
        with self._lock:
            fields = self._index.fields
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
                if _takes(waiter, stored, only) and waiter.match.counts(event):
                    calls.append((waiter, functools.partial(waiter.deliver, stored)))
        call_in_loops(calls)


def _takes(waiter: MatchWaiter, stored: StoredEvent, only: Collection[EventWaiter] | None) -> bool:
    if not isinstance(waiter, EventWaiter):
        return only is None
    return (not waiter.scanning if only is None else waiter in only) and waiter.accepts(stored)


class _Group(NamedTuple):
    """Event waiters whom one scan serves."""

    event_types: frozenset[str] | None
    vod_ids: tuple[str | None, str | None] | None  # that lead to few events; None for all others
    again: bool  # these were looked up before, so only what came since is read


def _group_of(waiter: EventWaiter) -> _Group:
    again = waiter.looked_up_to > 0
    vod_ids = waiter.match.get("vod_task_id"), waiter.match.get("file_id")
    return _Group(waiter.event_types, None if again or vod_ids == (None, None) else vod_ids, again)
