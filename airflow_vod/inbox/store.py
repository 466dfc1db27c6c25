"""The inbox: every event that VOD handed over, kept once.

Invariants:

- An event is in the inbox once, however often it arrives and from whichever source.
- Positions of a queue become visible in order, however many processes write: the row of the queue is locked from the moment
  a position is taken until the commit, so no transaction with a lower position can commit after one with a higher.
- A method returns after its commit, or raises and has committed nothing. Only if the connection breaks during the commit is
  the result unknown; the same call may then be repeated.

A store may be used by several threads at once, and in the child of a fork.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent
from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.inbox.arrivals import Arrivals
from airflow_vod.inbox.columns import ID_LENGTH
from airflow_vod.inbox.cursors import Cursors
from airflow_vod.inbox.database import Database
from airflow_vod.inbox.leases import Leases
from airflow_vod.inbox.news import News
from airflow_vod.inbox.overview import Overview
from airflow_vod.inbox.pruning import Pruning
from airflow_vod.inbox.reader import InboxReader
from airflow_vod.inbox.records import SOURCES, Counts, Received, Source
from airflow_vod.inbox.schema import ensure_schema
from airflow_vod.inbox.submissions import Submissions
from airflow_vod.inbox.tables import vod_event, vod_queue
from airflow_vod.inbox.values import checked_id, chunks, row_of, storable
from airflow_vod.inbox.waiters import Waiters

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_vod.events.parse import VodEvent

__all__ = ["InboxStore", "Received"]

_POSITIONS = select(vod_queue.c.name, vod_queue.c.position)


class InboxStore(InboxReader):
    """An inbox in one database. Made by `InboxStore.open`.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.leases = Leases(database)
        self.waiters = Waiters(database)
        self.cursors = Cursors(database)
        self.submissions = Submissions(database)
        self.overview = Overview(database)
        self.arrivals = Arrivals(database)
        self._pruning = Pruning(database)
        self._news = News(lambda: database.dialect.listener(database.engine, self._positions))
        self._prepare_writes()
        self._prepare_counts()

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], float] | None = None) -> InboxStore:
        """Open an inbox; create or upgrade its tables if necessary.

        :param url: SQLAlchemy URL of a SQLite, PostgreSQL or MySQL database.
        :param clock: returns Unix seconds, for tests; None for the database's clock.
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
        """The URL of the inbox, without password."""
        return self._database.url

    def __repr__(self) -> str:
        return f"InboxStore({self.url!r})"

    def close(self) -> None:
        """Close the connections, and end all waits for news."""
        self._news.close()
        self._database.close()

    # Writing

    def _prepare_writes(self) -> None:
        event, queue, now = vod_event.c, vod_queue.c, self._database.now
        of_queue = bindparam("of_queue", type_=queue.name.type)
        in_queue = event.queue == of_queue
        self._now = select(now.label("now"))
        self._add_queue = self._database.dialect.upsert(vod_queue, ())
        self._lock = select(queue.position, now.label("now")).where(queue.name == of_queue).with_for_update()
        self._move_queue = update(vod_queue).where(queue.name == of_queue).values(position=bindparam("to"))
        self._known_keys = self._database.dialect.select_each(
            (event.key, event.position, event.source), event.key, "some_keys", in_queue
        )
        self._replay = (
            update(vod_event)
            .where(in_queue, event.position == bindparam("at", type_=event.position.type))
            .values(position=bindparam("to"), received_at=bindparam("now_at"), read_at=None, read_by=None)
        )
        some_positions = bindparam("some_positions", expanding=True, type_=event.position.type)
        self._mark_read = (
            update(vod_event)
            .where(in_queue, event.position.in_(some_positions), event.read_at.is_(None))
            .values(read_at=now, read_by=bindparam("by"))
        )
        self._set_source = (
            update(vod_event).where(in_queue, event.position.in_(some_positions)).values(source=bindparam("by"))
        )

    def receive(self, queue: str, events: Sequence[VodEvent | UnparsedEvent], source: Source) -> list[Received]:
        """Store events in one transaction; events that are already there change nothing, but for one word.

        A task whose end was learnt by asking VOD has ``reconcile`` as its source until its event comes after all.

        :param queue: name of the queue they belong to.
        :param events: a few dozen to a few hundred at a time are best.
        :param source: how they arrived.
        :return: what became of each event, in the order given.
        :raises InboxUnavailableError: nothing is stored, or the result is unknown; try again.
        :raises InboxError: the name of the queue, or the source, is not valid.
        """
        if source not in SOURCES:
            raise InboxError(f"The source of an event is one of {', '.join(sorted(SOURCES))}, not {source!r:.40}.")
        checked_id(queue, "The name of a queue")
        rows = [row_of(event) for event in events]
        if not rows:
            return []
        with self._database.write() as connection:
            position, now = self._lock_queue(connection, queue)
            known, asked = self._known(connection, queue, [row[0] for row in rows])
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
                connection.execute(self._move_queue, {"of_queue": queue, "to": position})
                self._database.dialect.announce(connection, queue)
            if asked and source != "reconcile":
                connection.execute(self._set_source, {"of_queue": queue, "some_positions": sorted(asked), "by": source})
        _count(queue, source, received, events)
        return received

    def _lock_queue(self, connection: Connection, queue: str) -> tuple[int, float]:
        values = {"of_queue": queue, **self._database.times()}
        row = connection.execute(self._lock, values).first()
        if row is None:
            connection.execute(self._add_queue, {"name": queue, "position": 0})
            row = connection.execute(self._lock, values).one()
        return row[0], row[1]

    def _known(self, connection: Connection, queue: str, keys: list[str]) -> tuple[dict[str, int], set[int]]:
        """:return: positions by key, and those of events that VOD was asked for and that had not come."""
        known, asked = dict[str, int](), set[int]()
        for some in chunks(keys):
            for key, position, source in connection.execute(self._known_keys, {"of_queue": queue, "some_keys": some}):
                known[key] = position
                if source == "reconcile":
                    asked.add(position)
        return known, asked

    def replay(self, queue: str, position: int) -> int | None:
        """Deliver an event again: move it to the end of its queue, unread, as if it had been received now.

        :param queue: name of the queue.
        :param position: of the event.
        :return: its new position; None if there is no such event.
        :raises InboxUnavailableError: nothing has changed, or the result is unknown.
        """
        if self.get(queue, position) is None:
            return None
        with self._database.write() as connection:
            newest, now = self._lock_queue(connection, queue)
            values = {"of_queue": queue, "at": position, "to": newest + 1, "now_at": now}
            if connection.execute(self._replay, values).rowcount == 0:
                return None
            connection.execute(self._move_queue, {"of_queue": queue, "to": newest + 1})
            self._database.dialect.announce(connection, queue)
        return newest + 1

    def mark_read(self, queue: str, positions: Collection[int], read_by: str) -> int:
        """Record who read events first.

        :param queue: name of the queue.
        :param positions: of the events, any number.
        :param read_by: who, for people.
        :return: how many of them had not been read before.
        :raises InboxUnavailableError: not all of them are marked; try again.
        """
        by, marked = storable(read_by, ID_LENGTH), 0
        for some in chunks(sorted(positions)):
            values = {"of_queue": queue, "some_positions": some, "by": by}
            with self._database.write() as connection:
                marked += connection.execute(self._mark_read, values | self._database.times()).rowcount
        return marked

    def prune(self, older_than: float, *, batch: int = 1000) -> int:
        """Remove old events, read or not, waiters whose deadline passed as long ago, and submissions, which are kept longer.

        :param older_than: seconds.
        :param batch: events per transaction at most; fewer where the database is slow.
        :return: how many events were removed.
        :raises InboxUnavailableError: the database does not answer now; what was removed until then stays removed.
        """
        with self._database.read() as connection:
            now = connection.execute(self._now, self._database.times()).scalar_one()
        cutoff = now - older_than
        self.waiters.expire(cutoff)
        self.submissions.prune(now, older_than)
        return self._pruning.remove_before(cutoff, batch)

    # Counting

    def _prepare_counts(self) -> None:
        event = vod_event.c
        of_queue = bindparam("of_queue", type_=event.queue.type)
        # The index on the queue would lead to every row; the partial indexes are made for these questions.
        anywhere = self._database.dialect.hide_from_index(event.queue) == of_queue
        number = select(func.count()).select_from(vod_event)
        at = select(event.received_at).where(anywhere).limit(1)
        self._counts = (
            number.where(event.queue == of_queue),
            number.where(event.read_at.is_(None), anywhere),
            number.where(event.error.is_not(None), anywhere),
            at.order_by(event.received_at),
            at.order_by(event.received_at.desc()),
        )

    def counts(self, queue: str) -> Counts:
        """Count what a queue holds. Scans an index from end to end, so do not call it in a loop.

        :param queue: name of the queue.
        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            counted: list[Any] = [connection.execute(each, {"of_queue": queue}).scalar() for each in self._counts]
        events, unread, unparsed, oldest, newest = counted
        return Counts(events, unread, unparsed, self.waiters.count(queue), oldest, newest)

    # News

    def wait_for_news(self, queue: str | None = None, *, timeout: float, stop: threading.Event | None = None) -> bool:
        """Block until some process has committed events.

        Read the inbox after each call, and from time to time after a False too: while the database cannot be reached, there
        is no news.

        :param queue: name of the queue; None for any.
        :param timeout: seconds.
        :param stop: ends the wait early, within half a second.
        :return: whether there may be news since this thread last got True; the first call of a thread returns True at once.
        """
        return self._news.wait(queue, timeout, stop)

    def _positions(self) -> Mapping[str, int] | None:
        try:
            with self._database.read() as connection:
                return dict(connection.execute(_POSITIONS).all())
        except InboxUnavailableError:
            return None


def _count(queue: str, source: Source, received: list[Received], events: Sequence[VodEvent | UnparsedEvent]) -> None:
    stored = [event for event, each in zip(events, received, strict=True) if not each.duplicate]
    metrics.count("events.received", len(stored), queue=queue, source=source)
    metrics.count("events.duplicates", len(events) - len(stored), queue=queue, source=source)
    metrics.count("events.unparsed", sum(isinstance(event, UnparsedEvent) for event in stored), queue=queue)
