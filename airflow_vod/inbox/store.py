"""The inbox: every event that VOD handed over, kept once.

Invariants:

- An event is in the inbox once, however often and by whatever road it comes.
- Positions of a queue become visible in their order. Who has read up to a position and asks for what is behind it skips
  nothing, however many processes write: the row of the queue is locked from the moment a position is taken until the
  commit, so no transaction with a lower position can end after one with a higher.
- A method returns after its commit, or raises and has committed nothing; only a connection that breaks off during the
  commit leaves that open, and then the same call may be made again.

A store may be used by several threads at once, and in a child of a fork.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent
from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.inbox.cursors import Cursors
from airflow_vod.inbox.database import Database
from airflow_vod.inbox.leases import Leases
from airflow_vod.inbox.news import News
from airflow_vod.inbox.overview import Overview
from airflow_vod.inbox.records import (
    SOURCES,
    Counts,
    Cursor,
    EventHeader,
    Received,
    Source,
    StoredEvent,
)
from airflow_vod.inbox.schema import ensure_schema
from airflow_vod.inbox.tables import ID_LENGTH, not_succeeded, vod_event, vod_queue
from airflow_vod.inbox.values import checked_id, chunks, is_id, row_of, storable
from airflow_vod.inbox.waiters import Waiters

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_vod.events.parse import VodEvent

__all__ = ["InboxStore", "Received"]

_PRUNE_SECONDS = 0.1  # that a transaction which removes events may take


class InboxStore:
    """An inbox in one database. Made by `InboxStore.open`.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = _Statements(database)
        self.leases = Leases(database)
        self.waiters = Waiters(database)
        self.cursors = Cursors(database)
        self.overview = Overview(database)
        self._news = News(lambda: database.dialect.listener(database.engine, self._positions))

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] | None = None) -> InboxStore:
        """Open an inbox; make or upgrade its tables where that is needed.

        :param url: SQLAlchemy URL of a SQLite, PostgreSQL or MySQL database.
        :param clock: Unix seconds, for tests; without it the database's clock tells the time.
        :raises InboxSchemaError: the tables belong to a newer version of this package.
        :raises InboxUnavailableError: the database cannot be reached or is locked.
        :raises InboxError: the URL or the database cannot be used.
        """
        database = Database(url, clock)
        try:
            ensure_schema(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def url(self) -> str:
        """Where the inbox is, without password."""
        return self._database.url

    def __repr__(self) -> str:
        return f"InboxStore({self.url!r})"

    def close(self) -> None:
        """Close the connections, and end all waits for news."""
        self._news.close()
        self._database.close()

    # Events in

    def receive(self, queue: str, events: Sequence[VodEvent | UnparsedEvent], source: Source) -> list[Received]:
        """Store events in one transaction; those that are there already change nothing.

        :param queue: name of the VOD queue they belong to.
        :param events: at best some dozens at a time.
        :param source: the road they came by.
        :return: for each event, in the order given, whether it was new.
        :raises InboxUnavailableError: nothing is stored, or nobody knows; try again.
        """
        if source not in SOURCES:
            raise InboxError(f"The source of an event is one of {', '.join(sorted(SOURCES))}, not {source!r:.40}.")
        checked_id(queue, "The name of a queue")
        rows = [row_of(event) for event in events]
        if not rows:
            return []
        with self._database.write() as connection:
            position, now = self._lock_queue(connection, queue)
            known = self._known(connection, queue, [row[0] for row in rows])
            new, received = [], []
            for row in rows:
                key = row[0]
                duplicate = key in known
                if not duplicate:
                    position += 1
                    known[key] = position
                    new.append((position, *row))
                received.append(Received(key, known[key], duplicate))
            if new:
                per_call = {"queue": queue, "source": source, "received_at": now}
                self._database.dialect.insert_events(connection, per_call, new)
                connection.execute(self._sql.move_queue, {"of_queue": queue, "to": position})
                self._database.dialect.announce(connection, queue)
        self._count(queue, source, received, events)
        return received

    def _count(
        self, queue: str, source: str, received: list[Received], events: Sequence[VodEvent | UnparsedEvent]
    ) -> None:
        stored = [event for event, each in zip(events, received, strict=True) if not each.duplicate]
        metrics.count("events.received", len(stored), queue=queue, source=source)
        metrics.count("events.duplicates", len(events) - len(stored), queue=queue, source=source)
        metrics.count("events.unparsed", sum(isinstance(event, UnparsedEvent) for event in stored), queue=queue)

    def _lock_queue(self, connection: Connection, queue: str) -> tuple[int, float]:
        values = {"of_queue": queue, **self._database.times()}
        row = connection.execute(self._sql.lock_queue, values).first()
        if row is None:
            connection.execute(self._sql.add_queue, {"name": queue, "position": 0})
            row = connection.execute(self._sql.lock_queue, values).one()
        return row[0], row[1]

    def _known(self, connection: Connection, queue: str, keys: list[str]) -> dict[str, int]:
        known: dict[str, int] = {}
        for some in chunks(keys):
            found = connection.execute(self._sql.known, {"of_queue": queue, "some_keys": some})
            known.update((key, position) for key, position in found)
        return known

    # Events out

    def find(
        self, queue: str, vod_task_ids: Collection[str], event_types: Collection[str] | None = None
    ) -> dict[str, StoredEvent]:
        """Look for events that say that a VOD task has ended.

        :param vod_task_ids: any number.
        :param event_types: the types that will do; None for any.
        :return: by VOD task id, for those that have one: the first such event.
        """
        wanted, found = set(filter(is_id, vod_task_ids)), dict[str, StoredEvent]()
        for some in chunks(wanted):
            with self._database.read() as connection:
                rows = connection.execute(self._sql.find, {"of_queue": queue, "ids": some}).all()
            for event in sorted(map(_stored, rows), key=lambda each: each.position):
                # The database was asked the same, but some compare less exactly than Python.
                if event.vod_task_id in wanted and (event_types is None or event.event_type in event_types):
                    found.setdefault(event.vod_task_id, event)
        return found

    def position(self, queue: str) -> int:
        """Answer the position of the newest event of a queue, 0 where none ever came."""
        with self._database.read() as connection:
            return connection.execute(self._sql.position, {"of_queue": queue}).scalar() or 0

    def headers_after(self, queue: str, position: int, limit: int = 1000) -> list[EventHeader]:
        """Read what came after a position.

        :param limit: how many at most.
        :return: in the order of their positions.
        """
        values = {"of_queue": queue, "after": position, "most": limit}
        with self._database.read() as connection:
            return [EventHeader(*row) for row in connection.execute(self._sql.headers_after, values)]

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
        """Read, oldest first, the events that may be what somebody looks for by their content.

        :param after: a position; only events behind it.
        :param since: Unix seconds by the database's clock; only events that came then or later.
        :param event_types: the types that will do; empty for any.
        :param file_id: only events about this file, or about none or several files.
        :param limit: how many at most.
        """
        table = vod_event.c
        if not all(map(is_id, (queue, *event_types, *filter(None, (vod_task_id, file_id))))):
            return []
        wanted = [table.queue == queue, table.position > after, table.error.is_(None)]
        if since is not None:
            wanted.append(table.received_at >= since)
        if event_types:
            wanted.append(table.event_type.in_(sorted(event_types)))
        if vod_task_id is not None:
            wanted.append(table.vod_task_id == vod_task_id)
        if file_id is not None:
            wanted.append(or_(table.file_id == file_id, table.file_id.is_(None)))
        with self._database.read() as connection:
            rows = connection.execute(self._sql.stored.where(*wanted).order_by(table.position).limit(limit))
            return [_stored(row) for row in rows]

    def get(self, queue: str, position: int) -> StoredEvent | None:
        """Read one event."""
        with self._database.read() as connection:
            row = connection.execute(self._sql.get, {"of_queue": queue, "at": position}).first()
        return None if row is None else _stored(row)

    def newest(
        self,
        queue: str | None = None,
        *,
        event_type: str | None = None,
        vod_task_id: str | None = None,
        file_id: str | None = None,
        outcome: str | None = None,
        unread: bool | None = None,
        unparsed: bool | None = None,
        before: Cursor | None = None,
        limit: int = 100,
    ) -> list[StoredEvent]:
        """List events, newest first.

        :param queue: of one queue; None for all.
        :param outcome: only of VOD tasks that ended so: `succeeded`, `partly_failed` or `failed`.
        :param unread: only those that nobody has read (True), or that somebody has (False).
        :param unparsed: only those that could not be read as events (True), or that could (False).
        :param before: `StoredEvent.cursor` of the last event of the page before.
        :param limit: how many at most.
        """
        table = vod_event.c
        equal: dict[Any, str | None] = {
            self._database.dialect.hide_from_index(table.queue): queue,
            table.event_type: event_type,
            table.vod_task_id: vod_task_id,
            table.file_id: file_id,
            table.outcome: outcome,
        }
        if not all(value is None or is_id(value) for value in equal.values()):
            return []
        statement = self._sql.newest_first.where(*(name == value for name, value in equal.items() if value is not None))
        if outcome not in (None, "succeeded"):
            statement = statement.where(not_succeeded)  # by which the database knows that its index will do
        if unread is not None:
            statement = statement.where(table.read_at.is_(None) if unread else table.read_at.is_not(None))
        if unparsed is not None:
            statement = statement.where(table.error.is_not(None) if unparsed else table.error.is_(None))
        if before is not None:
            statement = statement.where(_behind(before))
        with self._database.read() as connection:
            return [_stored(row) for row in connection.execute(statement.limit(limit))]

    def counts(self, queue: str) -> Counts:
        """Count what is there. Reads an index from end to end: for people, not for loops."""
        with self._database.read() as connection:
            counted: list[Any] = [connection.execute(each, {"of_queue": queue}).scalar() for each in self._sql.counts]
        events, unread, unparsed, oldest, newest = counted
        return Counts(events, unread, unparsed, self.waiters.count(queue), oldest, newest)

    # Upkeep

    def replay(self, queue: str, position: int) -> int | None:
        """Let an event come again: to the end of its queue, unread, as if it had been received now.

        :return: its new position; None where there is no such event.
        """
        if self.get(queue, position) is None:
            return None
        with self._database.write() as connection:
            newest, now = self._lock_queue(connection, queue)
            values = {"of_queue": queue, "at": position, "to": newest + 1, "now_at": now}
            if connection.execute(self._sql.replay, values).rowcount == 0:
                return None
            connection.execute(self._sql.move_queue, {"of_queue": queue, "to": newest + 1})
            self._database.dialect.announce(connection, queue)
        return newest + 1

    def mark_read(self, queue: str, positions: Collection[int], read_by: str) -> int:
        """Write down who has read events first.

        :param read_by: who, for people.
        :return: how many of them nobody had read before.
        """
        by, marked = storable(read_by, ID_LENGTH), 0
        for some in chunks(sorted(positions)):
            values = {"of_queue": queue, "some_positions": some, "by": by}
            with self._database.write() as connection:
                marked += connection.execute(self._sql.mark_read, values | self._database.times()).rowcount
        return marked

    def prune(self, older_than: float, *, batch: int = 1000) -> int:
        """Remove events by their age alone, and waiters whose deadline is as long ago.

        Works in short transactions and rests as long as it works, so that writers get their turn.

        :param older_than: seconds.
        :param batch: events per transaction at most; fewer where the database is slow.
        :return: how many events were removed.
        """
        with self._database.read() as connection:
            cutoff = connection.execute(self._sql.now, self._database.times()).scalar_one() - older_than
        self.waiters.expire(cutoff)
        removed, size = 0, min(batch, 100)
        while True:
            began = time.monotonic()
            some = self._prune_some(cutoff, size)
            removed += some
            if some < size:
                return removed
            took = max(time.monotonic() - began, 1e-6)
            time.sleep(took)
            size = max(1, min(batch, 2 * size, int(size * _PRUNE_SECONDS / took)))

    def _prune_some(self, cutoff: float, batch: int) -> int:
        with self._database.write() as connection:
            oldest: dict[str, list[int]] = {}
            for queue, position in connection.execute(self._sql.oldest, {"cutoff": cutoff, "most": batch}):
                oldest.setdefault(queue, []).append(position)
            for queue, positions in oldest.items():
                for some in chunks(positions):
                    connection.execute(self._sql.remove, {"of_queue": queue, "some_positions": some})
        return sum(map(len, oldest.values()))

    # News

    def wait_for_news(self, queue: str | None = None, *, timeout: float, stop: threading.Event | None = None) -> bool:
        """Block until somebody, in whatever process, has committed events.

        Look into the inbox after each call, and now and then after a False as well: a database that cannot be reached is
        no news.

        :param queue: of one queue; None for any.
        :param timeout: seconds.
        :param stop: ends the wait early, within half a second.
        :return: whether there may be news since this thread last got True; the first call of a thread returns True at once.
        """
        return self._news.wait(queue, timeout, stop)

    def _positions(self) -> Mapping[str, int] | None:
        try:
            with self._database.read() as connection:
                return dict(connection.execute(self._sql.positions).all())
        except InboxUnavailableError:
            return None


def _stored(row: Any) -> StoredEvent:
    return StoredEvent(*row)


def _behind(cursor: Cursor) -> Any:
    """Order by key, written so that an index can be entered at the cursor."""
    table, (received_at, queue, position) = vod_event.c, cursor
    tie = or_(
        table.received_at < received_at,
        table.queue < queue,
        and_(table.queue == queue, table.position < position),
    )
    return and_(table.received_at <= received_at, tie)


class _Statements:
    """Built once: what SQLAlchemy compiles for an object it finds again by that object."""

    def __init__(self, database: Database) -> None:
        event, queue, now = vod_event.c, vod_queue.c, database.now
        of_queue = bindparam("of_queue", type_=queue.name.type)
        most = bindparam("most", type_=event.position.type)
        in_queue = event.queue == of_queue
        some_positions = event.position.in_(bindparam("some_positions", expanding=True, type_=event.position.type))
        stored_columns = (
            event.queue,
            event.position,
            event.key,
            event.event_type,
            event.vod_task_id,
            event.file_id,
            event.status,
            event.finished,
            event.outcome,
            event.source,
            event.error,
            event.received_at,
            event.read_at,
            event.read_by,
            event.body,
        )
        self.stored = stored = select(*stored_columns)

        self.now = select(now.label("now"))
        self.add_queue = database.dialect.upsert(vod_queue, ())
        self.lock_queue = select(queue.position, now.label("now")).where(queue.name == of_queue).with_for_update()
        self.move_queue = update(vod_queue).where(queue.name == of_queue).values(position=bindparam("to"))
        self.position = select(queue.position).where(queue.name == of_queue)
        self.positions = select(queue.name, queue.position)
        select_each = database.dialect.select_each
        self.known = select_each((event.key, event.position), event.key, "some_keys", in_queue)
        self.find = select_each(stored_columns, event.vod_task_id, "ids", in_queue, event.finished)
        self.headers_after = (
            select(event.position, event.vod_task_id, event.event_type, event.finished, event.file_id)
            .where(in_queue, event.position > bindparam("after", type_=event.position.type))
            .order_by(event.position)
            .limit(most)
        )
        self.get = stored.where(in_queue, event.position == bindparam("at", type_=event.position.type))
        self.newest_first = stored.order_by(event.received_at.desc(), event.queue.desc(), event.position.desc())
        self.replay = (
            update(vod_event)
            .where(in_queue, event.position == bindparam("at", type_=event.position.type))
            .values(position=bindparam("to"), received_at=bindparam("now_at"), read_at=None, read_by=None)
        )
        self.mark_read = (
            update(vod_event)
            .where(in_queue, some_positions, event.read_at.is_(None))
            .values(read_at=now, read_by=bindparam("by"))
        )
        self.oldest = (
            select(event.queue, event.position)
            .where(event.received_at < bindparam("cutoff", type_=event.received_at.type))
            .order_by(event.received_at, event.queue, event.position)
            .limit(most)
            .with_for_update(skip_locked=True)  # two that prune at once share the work
        )
        self.remove = delete(vod_event).where(in_queue, some_positions)
        number = select(func.count()).select_from(vod_event)
        # Not by the index on the queue, which would mean to look at every row: by the one made for the question.
        anywhere = database.dialect.hide_from_index(event.queue) == of_queue
        at = select(event.received_at).where(anywhere).limit(1)
        self.counts = (
            number.where(in_queue),
            number.where(event.read_at.is_(None), anywhere),
            number.where(event.error.is_not(None), anywhere),
            at.order_by(event.received_at),
            at.order_by(event.received_at.desc()),
        )
