"""What the page "VOD events" asks for, as JSON.

Invariants: all of it reads the inbox, but for the replay; no answer grows beyond a page; and the content of an event, which
strangers wrote, leaves as a text inside JSON, never as markup. Every open page asks every few seconds: what has to go through
many events is counted once for all of them (see `cache`).
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
from airflow_vod.web.cache import SlowResults

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore, StoredEvent

PAGE = 50  # events
_COLUMNS = {"queue", "event_type", "outcome", "unread", "unparsed"}
EXPORTED = 100_000  # events at most
_EXPORT_PAGE = 500
_SLICES = 48  # of the chart


class Filters(BaseModel):
    """Which events."""

    queue: str | None = None
    event_type: str | None = None
    outcome: Literal["succeeded", "partly_failed", "failed"] | None = None
    search: str | None = None
    unread: bool | None = None
    unparsed: bool | None = None


class Page(Filters):
    """Which events, and how many of them.

    :param before: the `next` of the page before.
    """

    before: str | None = None
    limit: int = Field(PAGE, ge=1, le=200)


class Export(Filters):
    """Which events, and how many of them at most."""

    limit: int = Field(EXPORTED, ge=1, le=EXPORTED)


class Replay(BaseModel):
    """Which event is to come again."""

    queue: str = Field(min_length=1, max_length=255)
    position: int = Field(ge=0, lt=2**63)


class EventsApi:
    """The routes below ``/api``; see `api_routers`.

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
        """Read one event with its body, which is a text for people."""
        event = self._inbox().get(queue, position) if is_id(queue) else None
        if event is None:
            raise HTTPException(404, "There is no such event; it may have been removed by its age, or replayed.")
        return {"now": time.time(), **header_of(event), "body": json.dumps(event.body, indent=2, ensure_ascii=False)}

    def export(self, what: Annotated[Export, Query()]) -> StreamingResponse:
        """Write events as JSON lines, newest first."""
        store = self._inbox()
        return StreamingResponse(
            (line_of(event) for event in _all(store, what, what.limit)),
            media_type="application/x-ndjson",
            headers={"Content-Disposition": 'attachment; filename="vod-events.jsonl"'},
        )

    def queues(self) -> dict[str, Any]:
        """Tell how each queue is doing: who pulls it, since when, and how much there is."""
        store = self._inbox()
        health = self._results.get("queues", lambda: [_health(store, queue) for queue in store.overview.queues()])
        return {"now": time.time(), "queues": health, "event_types": sorted(EVENT_TYPES)}

    def history(
        self, queue: str | None = None, hours: Annotated[float, Query(gt=0, le=24 * 90)] = 24
    ) -> dict[str, Any]:
        """Tell how many events came over time, and how long they waited for their reader."""
        if queue is not None and not is_id(queue):
            raise HTTPException(404, "There is no such queue.")
        store = self._inbox()
        slices = self._results.get(
            (queue, hours), lambda: store.overview.history(queue, seconds=hours * 3600, slices=_SLICES)
        )
        return {"now": time.time(), "hours": hours, "slices": [asdict(each) for each in slices]}

    def replay(self, what: Replay) -> dict[str, Any]:
        """Let an event come again."""
        position = self._inbox().replay(what.queue, what.position) if is_id(what.queue) else None
        if position is None:
            raise HTTPException(
                404, "There is no such event; it may have been removed by its age, or replayed already."
            )
        return {"queue": what.queue, "position": position}


def reading_router(api: EventsApi) -> APIRouter:
    """Make the routes that change nothing."""
    router = APIRouter(prefix="/api")
    for path in ("events", "event", "export", "queues", "history"):
        router.add_api_route(f"/{path}", getattr(api, path), methods=["GET"], response_model=None)
    return router


def replaying_router(api: EventsApi) -> APIRouter:
    """Make the route that changes something."""
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
        raise HTTPException(400, "`before` is the `next` of an earlier answer.") from None


def _list(store: InboxStore, filters: Filters, before: Any, limit: int) -> list[StoredEvent]:
    given = filters.model_dump(include=_COLUMNS)
    word = (filters.search or "").strip()
    if not word:
        return store.newest(**given, before=before, limit=limit)
    by_task = store.newest(**given, vod_task_id=word, before=before, limit=limit)
    by_file = store.newest(**given, file_id=word, before=before, limit=limit)
    found = {event.cursor: event for event in (*by_task, *by_file)}
    return [found[cursor] for cursor in sorted(found, reverse=True)[:limit]]


def _all(store: InboxStore, filters: Filters, limit: int) -> Iterator[StoredEvent]:
    before, left = None, limit
    while left and (page := _list(store, filters, before, min(left, _EXPORT_PAGE))):
        yield from page
        before, left = page[-1].cursor, left - len(page)


def _health(store: InboxStore, queue: str) -> dict[str, Any]:
    lease, counts = store.leases.read(queue), store.counts(queue)
    held = lease is not None and not lease.expired
    return {
        "queue": queue,
        "holder": lease.holder if lease and held else None,
        "held_since": lease.acquired_at if lease and held else None,
        "relay": dict(lease.info) if lease and held else {},
        **asdict(counts),
    }
