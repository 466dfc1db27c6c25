"""Reads events from the inbox.

Invariants: nothing here writes, and each call sees everything that was committed before it. Whoever has read up to a position
and asks for what is behind it skips nothing, because positions of a queue become visible in order.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy import and_, bindparam, or_, select

from airflow_vod.inbox.records import Cursor, EventHeader, EventSummary, StoredEvent
from airflow_vod.inbox.tables import not_succeeded, vod_event, vod_queue
from airflow_vod.inbox.values import chunks, is_id

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database

_EVENT = vod_event.c
_SUMMARY = (  # in the order of the fields of `EventSummary`
    _EVENT.queue,
    _EVENT.position,
    _EVENT.key,
    _EVENT.event_type,
    _EVENT.vod_task_id,
    _EVENT.file_id,
    _EVENT.status,
    _EVENT.finished,
    _EVENT.outcome,
    _EVENT.source,
    _EVENT.error,
    _EVENT.received_at,
    _EVENT.read_at,
    _EVENT.read_by,
)
_STORED = (*_SUMMARY, _EVENT.body)  # in the order of the fields of `StoredEvent`
_ORDER = (_EVENT.received_at.desc(), _EVENT.queue.desc(), _EVENT.position.desc())


class EventFilters(TypedDict, total=False):
    """Which events to list. A filter that is None or missing selects all."""

    event_type: str | None
    """Only events of this type."""
    vod_task_id: str | Collection[str] | None
    """Only events of this VOD task, or of one of these."""
    file_id: str | Collection[str] | None
    """Only events about this file, or about one of these."""
    outcome: str | None
    """Only events of VOD tasks that ended as `succeeded`, `partly_failed` or `failed`."""
    unread: bool | None
    """Only events that nobody has read (True), or that somebody has (False)."""
    unparsed: bool | None
    """Only events that could not be parsed (True), or that could (False)."""
    since: float | None
    """Only events received at this time or later, in Unix seconds by the database's clock."""
    until: float | None
    """Only events received before this time, in Unix seconds by the database's clock."""


class InboxReader:
    """The reading half of an inbox.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        of_queue = bindparam("of_queue", type_=_EVENT.queue.type)
        in_queue = _EVENT.queue == of_queue
        stored = select(*_STORED)
        self._find = database.dialect.select_each(_STORED, _EVENT.vod_task_id, "ids", in_queue, _EVENT.finished)
        self._position = select(vod_queue.c.position).where(vod_queue.c.name == of_queue)
        self._headers_after = (
            select(_EVENT.position, _EVENT.vod_task_id, _EVENT.event_type, _EVENT.finished, _EVENT.file_id)
            .where(in_queue, _EVENT.position > bindparam("after", type_=_EVENT.position.type))
            .order_by(_EVENT.position)
            .limit(bindparam("most", type_=_EVENT.position.type))
        )
        self._oldest_first = stored.order_by(_EVENT.position)
        self._newest_first = stored.order_by(*_ORDER)
        self._summaries = select(*_SUMMARY).order_by(*_ORDER)
        some_positions = bindparam("some_positions", expanding=True, type_=_EVENT.position.type)
        self._read = stored.where(in_queue, _EVENT.position.in_(some_positions))
        self._get = stored.where(in_queue, _EVENT.position == bindparam("at", type_=_EVENT.position.type))

    def find(
        self, queue: str, vod_task_ids: Collection[str], event_types: Collection[str] | None = None
    ) -> dict[str, StoredEvent]:
        """Find the events that say that VOD tasks have ended.

        :param queue: name of the queue.
        :param vod_task_ids: any number.
        :param event_types: the types that count; None for any.
        :return: the first such event of each task that has one, by VOD task id.
        :raises InboxUnavailableError: the database does not answer now.
        """
        wanted, found = set(filter(is_id, vod_task_ids)), dict[str, StoredEvent]()
        for some in chunks(wanted):
            with self._database.read() as connection:
                rows = connection.execute(self._find, {"of_queue": queue, "ids": some}).all()
            for event in sorted(map(_stored, rows), key=lambda each: each.position):
                # The statement has the same condition, but some databases compare text less exactly than Python.
                if event.vod_task_id in wanted and (event_types is None or event.event_type in event_types):
                    found.setdefault(event.vod_task_id, event)
        return found

    def position(self, queue: str) -> int:
        """Read the position of the newest event of a queue.

        :param queue: name of the queue.
        :return: 0 if the queue never had an event.
        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            return connection.execute(self._position, {"of_queue": queue}).scalar() or 0

    def headers_after(self, queue: str, position: int, limit: int = 1000) -> list[EventHeader]:
        """Read the headers of the events behind a position.

        :param queue: name of the queue.
        :param position: of the last event already read, or 0.
        :param limit: how many at most.
        :return: in the order of their positions.
        :raises InboxUnavailableError: the database does not answer now.
        """
        values = {"of_queue": queue, "after": position, "most": limit}
        with self._database.read() as connection:
            return [EventHeader(*row) for row in connection.execute(self._headers_after, values)]

    def candidates(
        self,
        queue: str,
        *,
        after: int = 0,
        since: float | None = None,
        event_types: Collection[str] = (),
        vod_task_id: str | None = None,
        file_id: str | None = None,
        limit: int = 100,
    ) -> list[StoredEvent]:
        """Read events that a filter on their content may select, oldest first; those that could not be parsed are left out.

        :param queue: name of the queue.
        :param after: a position; only events behind it.
        :param since: Unix seconds by the database's clock; only events received then or later.
        :param event_types: only events of these types; empty for any.
        :param vod_task_id: only events of this VOD task; None for any.
        :param file_id: only events about this file, or about none or several files; None for any.
        :param limit: how many at most.
        :raises InboxUnavailableError: the database does not answer now.
        """
        if not all(map(is_id, (queue, *event_types, *filter(None, (vod_task_id, file_id))))):
            return []
        wanted = [_EVENT.queue == queue, _EVENT.position > after, _EVENT.error.is_(None)]
        if since is not None:
            wanted.append(_EVENT.received_at >= since)
        if event_types:
            wanted.append(_EVENT.event_type.in_(sorted(event_types)))
        if vod_task_id is not None:
            wanted.append(_EVENT.vod_task_id == vod_task_id)
        if file_id is not None:
            wanted.append(or_(_EVENT.file_id == file_id, _EVENT.file_id.is_(None)))
        with self._database.read() as connection:
            return [_stored(row) for row in connection.execute(self._oldest_first.where(*wanted).limit(limit))]

    def get(self, queue: str, position: int) -> StoredEvent | None:
        """Read one event.

        :param queue: name of the queue.
        :param position: of the event.
        :return: None if there is no such event.
        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            row = connection.execute(self._get, {"of_queue": queue, "at": position}).first()
        return None if row is None else _stored(row)

    def read(self, queue: str, positions: Collection[int]) -> list[StoredEvent]:
        """Read events by their positions.

        :param queue: name of the queue.
        :param positions: any number; those that are not there are left out.
        :return: in the order of their positions.
        :raises InboxUnavailableError: the database does not answer now.
        """
        found: list[StoredEvent] = []
        for some in chunks(sorted(positions)):
            with self._database.read() as connection:
                found += map(_stored, connection.execute(self._read, {"of_queue": queue, "some_positions": some}))
        return sorted(found, key=lambda each: each.position)

    def newest(
        self,
        queue: str | None = None,
        *,
        before: Cursor | None = None,
        limit: int = 100,
        **filters: Unpack[EventFilters],
    ) -> list[StoredEvent]:
        """Read events, newest first.

        :param queue: name of the queue; None for all queues.
        :param before: `StoredEvent.cursor` of the last event of the previous page.
        :param limit: how many at most.
        :param filters: which events.
        :raises InboxUnavailableError: the database does not answer now.
        """
        return list(map(_stored, self._listed(self._newest_first, queue, before, limit, filters)))

    def summaries(
        self,
        queue: str | None = None,
        *,
        before: Cursor | None = None,
        limit: int = 100,
        **filters: Unpack[EventFilters],
    ) -> list[EventSummary]:
        """Read events without their bodies, otherwise as `newest` does; bodies of long lists cost most of the time."""
        rows = self._listed(self._summaries, queue, before, limit, filters)
        return [EventSummary(*row) for row in rows]

    def _listed(
        self, statement: Any, queue: str | None, before: Cursor | None, limit: int, filters: EventFilters
    ) -> list[Any]:
        wanted = self._conditions(queue, filters)
        if wanted is None:
            return []
        if before is not None:
            wanted.append(_older_than(before))
        with self._database.read() as connection:
            return list(connection.execute(statement.where(*wanted).limit(limit)))

    def _conditions(self, queue: str | None, filters: EventFilters) -> list[Any] | None:
        """:return: None where no event can fulfil them."""
        equal: dict[Any, str | Collection[str] | None] = {
            self._database.dialect.hide_from_index(_EVENT.queue): queue,
            _EVENT.event_type: filters.get("event_type"),
            _EVENT.vod_task_id: filters.get("vod_task_id"),
            _EVENT.file_id: filters.get("file_id"),
            _EVENT.outcome: filters.get("outcome"),
        }
        wanted: list[Any] = []
        for column, value in equal.items():
            values = [value] if isinstance(value, str) else value
            if values is None:
                continue
            ids = sorted(filter(is_id, values))
            if not ids:
                return None
            wanted.append(column == ids[0] if len(ids) == 1 else column.in_(ids))
        if filters.get("outcome") not in (None, "succeeded"):
            wanted.append(not_succeeded)  # lets the database use its partial index
        if (unread := filters.get("unread")) is not None:
            wanted.append(_EVENT.read_at.is_(None) if unread else _EVENT.read_at.is_not(None))
        if (unparsed := filters.get("unparsed")) is not None:
            wanted.append(_EVENT.error.is_not(None) if unparsed else _EVENT.error.is_(None))
        if (since := filters.get("since")) is not None:
            wanted.append(_EVENT.received_at >= since)
        if (until := filters.get("until")) is not None:
            wanted.append(_EVENT.received_at < until)
        return wanted


def _stored(row: Any) -> StoredEvent:
    return StoredEvent(*row)


def _older_than(cursor: Cursor) -> Any:
    """Compare with a cursor, written so that an index range scan can start there."""
    received_at, queue, position = cursor
    tie = or_(
        _EVENT.received_at < received_at,
        _EVENT.queue < queue,
        and_(_EVENT.queue == queue, _EVENT.position < position),
    )
    return and_(_EVENT.received_at <= received_at, tie)
