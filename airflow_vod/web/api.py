"""The JSON API of the page "VOD events".

Invariants: all routes except the replay are read-only; no answer but the export is longer than a page; and the content of an
event, which is untrusted, is returned as a string in JSON, never as markup. Every open page polls every few seconds: all of them
together use `THREADS` threads, so Airflow's own routes do not notice when the inbox hangs; queries that scan many events are
computed once for all of them (see `cache`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.inbox.lines import header_of, line_of
from airflow_vod.inbox.values import is_id
from airflow_vod.web.cache import SlowResults
from airflow_vod.web.status import WAITERS_SHOWN, status_of, waiters_of
from airflow_vod.web.threads import Threads

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore, StoredEvent
    from airflow_vod.inbox.records import Cursor, EventSummary

PAGE_SIZE = 50  # events
THREADS = 4  # that may ask the inbox for pages at once
PATIENCE = 2.0  # seconds that a request waits for one of them
MAX_TERMS = 200  # ids that are looked for at once
_COLUMNS = {"queue", "event_type", "outcome", "unread", "unparsed", "since", "until"}
MAX_EXPORT = 100_000  # events
_EXPORT_PAGE_SIZE = 500
_SLICES = 48  # bars in the chart
_LAST = 2**63 - 1  # the highest position
_END_OF_TIME = 1e11  # Unix seconds

T = TypeVar("T")
Moment = Annotated[float, Field(ge=0, le=_END_OF_TIME, allow_inf_nan=False)]


class Search(BaseModel):
    """What to look for.

    :param search: VOD task ids and file ids, whole; one text may hold several, separated by white space or commas.
    """

    queue: str | None = None
    event_type: str | None = None
    search: list[str] = Field(default_factory=list, max_length=MAX_TERMS)

    @property
    def terms(self) -> list[str]:
        """The ids to look for; an id that holds a space is one too."""
        found = {text.strip() for text in self.search}
        found |= {part for text in self.search for part in re.split(r"[\s,]+", text)}
        return sorted(filter(is_id, found))[:MAX_TERMS]

    @property
    def is_search(self) -> bool:
        """Whether only some ids are looked for, possible or not."""
        return any(text.strip() for text in self.search)


class Filters(Search):
    """Which events to list.

    :param unread: only those that are (True) or are not (False) unread.
    :param unparsed: only those that are (True) or are not (False) unreadable as an event.
    :param since: only those received at this time or later, in Unix seconds.
    :param until: only those received before this time, in Unix seconds.
    """

    outcome: Literal["succeeded", "partly_failed", "failed"] | None = None
    unread: bool | None = None
    unparsed: bool | None = None
    since: Moment | None = None
    until: Moment | None = None


class Page(Filters):
    """Which page of events to list.

    :param before: the `next` of the previous page; None for the newest events.
    :param limit: maximum number of events.
    """

    before: str | None = None
    limit: int = Field(PAGE_SIZE, ge=1, le=200)


class Export(Filters):
    """Which events to export.

    :param limit: maximum number of events.
    """

    limit: int = Field(MAX_EXPORT, ge=1, le=MAX_EXPORT)


class Replay(BaseModel):
    """Which event to replay."""

    queue: str = Field(min_length=1, max_length=255)
    position: int = Field(ge=0, le=_LAST)


class EventsApi:
    """The handlers of the routes below ``/api``.

    :param inbox: opens the inbox.
    """

    def __init__(self, inbox: Callable[[], InboxStore]) -> None:
        self._inbox = inbox
        self._threads = Threads("vod-page", THREADS, PATIENCE)
        self._results = SlowResults(self._threads)

    async def _ask(self, question: Callable[[InboxStore], T]) -> T:
        return await self._threads.run(lambda: question(self._inbox()))

    async def events(self, page: Annotated[Page, Query()]) -> dict[str, Any]:
        """List events, newest first."""
        limit, before = page.limit, _cursor(page.before)
        found = await self._ask(lambda store: _list(store.summaries, page, before, limit + 1))
        more = len(found) > limit
        return {
            "now": time.time(),
            "events": [header_of(event) for event in found[:limit]],
            "next": json.dumps(found[limit - 1].cursor) if more else None,
        }

    async def event(self, queue: str, position: Annotated[int, Query(ge=0, le=_LAST)]) -> dict[str, Any]:
        """Return one event with its body, formatted for display."""
        event = await self._ask(lambda store: store.get(queue, position)) if is_id(queue) else None
        if event is None:
            raise HTTPException(404, "There is no such event; it may have expired or been replayed.")
        return {"now": time.time(), **header_of(event), "body": json.dumps(event.body, indent=2, ensure_ascii=False)}

    async def export(self, selection: Annotated[Export, Query()]) -> StreamingResponse:
        """Stream events as JSON lines, newest first."""
        pages = self._export(selection)
        first = await anext(pages, "")  # so that a database that is down is a status, not half a file
        return StreamingResponse(
            _chain(first, pages),
            media_type="application/x-ndjson",
            headers={"Content-Disposition": 'attachment; filename="vod-events.jsonl"'},
        )

    async def _export(self, selection: Export) -> AsyncIterator[str]:
        def read(before: Cursor | None, limit: int) -> tuple[list[StoredEvent], str]:
            page = _list(self._inbox().newest, selection, before, limit)
            return page, "".join(map(line_of, page))

        before, remaining = None, selection.limit
        while remaining:
            page, lines = await self._threads.run(lambda: read(before, min(remaining, _EXPORT_PAGE_SIZE)))  # noqa: B023 - awaited
            if not page:
                return
            yield lines
            before, remaining = page[-1].cursor, remaining - len(page)

    async def queues(self) -> dict[str, Any]:
        """Return the state of each queue: who pulls it, since when, what is wrong, and how many events it has."""
        states = await self._ask(lambda store: [status_of(store, queue) for queue in store.overview.queues()])
        for state in states:
            queue = state["queue"]
            counts = await self._results.get(("counts", queue), lambda: self._inbox().counts(queue))  # noqa: B023 - awaited
            state |= asdict(counts)
        return {"now": time.time(), "queues": states, "event_types": sorted(EVENT_TYPES)}

    async def waiters(self, search: Annotated[Search, Query()]) -> dict[str, Any]:
        """Return who waits, the longest wait first."""
        terms = search.terms

        def read(store: InboxStore) -> list[dict[str, Any]]:
            queues = [queue for queue in store.overview.queues() if search.queue in (None, queue)]
            return waiters_of(store, queues, terms, search.event_type)

        found = [] if search.is_search and not terms else await self._ask(read)
        return {"now": time.time(), "waiters": found[:WAITERS_SHOWN], "more": len(found) > WAITERS_SHOWN}

    async def history(
        self, queue: str | None = None, hours: Annotated[float, Query(gt=0, le=24 * 90)] = 24
    ) -> dict[str, Any]:
        """Return how many events arrived over time, and how long they waited to be read."""
        if queue is not None and not is_id(queue):
            raise HTTPException(404, "There is no such queue.")
        slices = await self._results.get(
            (queue, hours), lambda: self._inbox().overview.history(queue, seconds=hours * 3600, slices=_SLICES)
        )
        return {"now": time.time(), "hours": hours, "slices": [asdict(each) for each in slices]}

    async def replay(self, event: Replay) -> dict[str, Any]:
        """Put an event back at the end of its queue, unread."""
        known = is_id(event.queue)
        position = await self._ask(lambda store: store.replay(event.queue, event.position)) if known else None
        if position is None:
            raise HTTPException(404, "There is no such event; it may have expired or been replayed.")
        return {"queue": event.queue, "position": position}


def reading_router(api: EventsApi) -> APIRouter:
    """Build the read-only routes.

    :param api: the handlers.
    """
    router = APIRouter(prefix="/api")
    for path in ("events", "event", "export", "queues", "waiters", "history"):
        router.add_api_route(f"/{path}", getattr(api, path), methods=["GET"], response_model=None)
    return router


def replaying_router(api: EventsApi) -> APIRouter:
    """Build the route that replays events.

    :param api: the handlers.
    """
    router = APIRouter(prefix="/api")
    router.add_api_route("/replay", api.replay, methods=["POST"], response_model=None)
    return router


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    try:
        received_at, queue, position = json.loads(text)
        numbers = type(received_at) in (int, float) and type(position) is int
        if numbers and 0 <= received_at <= _END_OF_TIME and 0 <= position <= _LAST and is_id(queue):
            return float(received_at), queue, position
    except (ValueError, TypeError, RecursionError):
        pass
    raise HTTPException(400, "`before` must be the `next` of an earlier answer.")


E = TypeVar("E", bound="EventSummary")


def _list(read: Callable[..., list[E]], filters: Filters, before: Cursor | None, limit: int) -> list[E]:
    """List events with the given function, `InboxReader.newest` or `InboxReader.summaries`."""
    given = filters.model_dump(include=_COLUMNS)
    if not filters.is_search:
        return read(**given, before=before, limit=limit)
    by_task = read(**given, vod_task_id=filters.terms, before=before, limit=limit)
    by_file = read(**given, file_id=filters.terms, before=before, limit=limit)
    found = {event.cursor: event for event in (*by_task, *by_file)}
    return [found[cursor] for cursor in sorted(found, reverse=True)[:limit]]


async def _chain(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for each in rest:
        yield each
