"""The JSON API of the page "VOD events".

Invariants: all routes except the replay are read-only; no answer but the export is longer than a page; and the content of an
event, which is untrusted, is returned as a string in JSON, never as markup. Every open page polls every few seconds: queries that
scan many events are computed once for all of them (see `cache`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from airflow_vod.events.types import EVENT_TYPES
from airflow_vod.inbox.lines import header_of, line_of
from airflow_vod.inbox.values import is_id
from airflow_vod.relay.health import RelayHealth
from airflow_vod.web.cache import SlowResults

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore, StoredEvent

PAGE_SIZE = 50  # events
_COLUMNS = {"queue", "event_type", "outcome", "unread", "unparsed"}
MAX_EXPORT = 100_000  # events
_EXPORT_PAGE_SIZE = 500
_SLICES = 48  # bars in the chart


class Filters(BaseModel):
    """Which events to list.

    :param search: a VOD task id or a file id.
    :param unread: only those that are (True) or are not (False) unread.
    :param unparsed: only those that are (True) or are not (False) unreadable as an event.
    """

    queue: str | None = None
    event_type: str | None = None
    outcome: Literal["succeeded", "partly_failed", "failed"] | None = None
    search: str | None = None
    unread: bool | None = None
    unparsed: bool | None = None


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
    position: int = Field(ge=0, lt=2**63)


class EventsApi:
    """The handlers of the routes below ``/api``.

    :param inbox: opens the inbox.
    """

    def __init__(self, inbox: Callable[[], InboxStore]) -> None:
        self._inbox = inbox
        self._results = SlowResults()

    def events(self, page: Annotated[Page, Query()]) -> dict[str, Any]:
        """List events, newest first."""
        limit = page.limit
        found = _list(self._inbox(), page, _cursor(page.before), limit + 1)
        more = len(found) > limit
        return {
            "now": time.time(),
            "events": [header_of(event) for event in found[:limit]],
            "next": json.dumps(found[limit - 1].cursor) if more else None,
        }

    def event(self, queue: str, position: Annotated[int, Query(ge=0, lt=2**63)]) -> dict[str, Any]:
        """Return one event with its body, formatted for display."""
        event = self._inbox().get(queue, position) if is_id(queue) else None
        if event is None:
            raise HTTPException(404, "There is no such event; it may have expired or been replayed.")
        return {"now": time.time(), **header_of(event), "body": json.dumps(event.body, indent=2, ensure_ascii=False)}

    def export(self, selection: Annotated[Export, Query()]) -> StreamingResponse:
        """Stream events as JSON lines, newest first."""
        store = self._inbox()
        return StreamingResponse(
            (line_of(event) for event in _all(store, selection, selection.limit)),
            media_type="application/x-ndjson",
            headers={"Content-Disposition": 'attachment; filename="vod-events.jsonl"'},
        )

    def queues(self) -> dict[str, Any]:
        """Return the state of each queue: who pulls it, since when, and how many events it has."""
        store = self._inbox()
        health = self._results.get("queues", lambda: [_health(store, queue) for queue in store.overview.queues()])
        return {"now": time.time(), "queues": health, "event_types": sorted(EVENT_TYPES)}

    def history(
        self, queue: str | None = None, hours: Annotated[float, Query(gt=0, le=24 * 90)] = 24
    ) -> dict[str, Any]:
        """Return how many events arrived over time, and how long they waited to be read."""
        if queue is not None and not is_id(queue):
            raise HTTPException(404, "There is no such queue.")
        store = self._inbox()
        slices = self._results.get(
            (queue, hours), lambda: store.overview.history(queue, seconds=hours * 3600, slices=_SLICES)
        )
        return {"now": time.time(), "hours": hours, "slices": [asdict(each) for each in slices]}

    def replay(self, event: Replay) -> dict[str, Any]:
        """Put an event back at the end of its queue, unread."""
        position = self._inbox().replay(event.queue, event.position) if is_id(event.queue) else None
        if position is None:
            raise HTTPException(404, "There is no such event; it may have expired or been replayed.")
        return {"queue": event.queue, "position": position}


def reading_router(api: EventsApi) -> APIRouter:
    """Build the read-only routes.

    :param api: the handlers.
    """
    router = APIRouter(prefix="/api")
    for path in ("events", "event", "export", "queues", "history"):
        router.add_api_route(f"/{path}", getattr(api, path), methods=["GET"], response_model=None)
    return router


def replaying_router(api: EventsApi) -> APIRouter:
    """Build the route that replays events.

    :param api: the handlers.
    """
    router = APIRouter(prefix="/api")
    router.add_api_route("/replay", api.replay, methods=["POST"], response_model=None)
    return router


def _cursor(text: str | None) -> tuple[float, str, int] | None:
    if text is None:
        return None
    try:
        received_at, queue, position = json.loads(text)
        return float(received_at), str(queue), int(position)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise HTTPException(400, "`before` must be the `next` of an earlier answer.") from None


def _list(store: InboxStore, filters: Filters, before: Any, limit: int) -> list[StoredEvent]:
    given = filters.model_dump(include=_COLUMNS)
    term = (filters.search or "").strip()
    if not term:
        return store.newest(**given, before=before, limit=limit)
    by_task = store.newest(**given, vod_task_id=term, before=before, limit=limit)
    by_file = store.newest(**given, file_id=term, before=before, limit=limit)
    found = {event.cursor: event for event in (*by_task, *by_file)}
    return [found[cursor] for cursor in sorted(found, reverse=True)[:limit]]


def _all(store: InboxStore, filters: Filters, limit: int) -> Iterator[StoredEvent]:
    before, remaining = None, limit
    while remaining and (page := _list(store, filters, before, min(remaining, _EXPORT_PAGE_SIZE))):
        yield from page
        before, remaining = page[-1].cursor, remaining - len(page)


def _health(store: InboxStore, queue: str) -> dict[str, Any]:
    lease, counts = store.leases.read(queue), store.counts(queue)
    held = lease is not None and not lease.expired
    return {
        "queue": queue,
        "holder": lease.holder if lease and held else None,
        "held_since": lease.acquired_at if lease and held else None,
        "relay": RelayHealth.from_dict(lease.info).to_dict() if lease and held else {},
        **asdict(counts),
    }
