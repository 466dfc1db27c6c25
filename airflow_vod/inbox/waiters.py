"""Who waits for what, recorded for `confirm_policy=awaited` and for people on call.

Invariants: nothing is found or woken by this table, so a waiter that is missing, or left behind, harms no wait. A row belongs
to the process that wrote it last, and no other removes it before its deadline: a process that was stalled while another took
over its waits does not take the new owner's rows with it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, or_, select, update

from airflow_vod.inbox.columns import ID_LENGTH
from airflow_vod.inbox.records import Waiter
from airflow_vod.inbox.tables import vod_event, vod_waiter
from airflow_vod.inbox.values import MAX_TEXT, checked_id, chunks, is_id, storable, words

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database


class Waiters:
    """The waiters in one database.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        table, now = vod_waiter.c, database.now
        queue = bindparam("of_queue", type_=table.queue.type)
        ids = bindparam("ids", expanding=True, type_=table.id.type)
        in_time = or_(table.deadline.is_(None), table.deadline > now)
        self._now = select(now.label("now"))
        self._add = database.dialect.upsert(vod_waiter, ("vod_task_id", "event_types", "waiter", "deadline", "owner"))
        these = table.queue == queue, table.id.in_(ids)
        self._remove = delete(vod_waiter).where(*these)
        self._remove_owned = self._remove.where(table.owner == bindparam("by", type_=table.owner.type))
        self._mark_asked = (
            update(vod_waiter)
            .where(*these)
            .values(
                asked_at=now,
                answer=func.coalesce(bindparam("said", type_=table.answer.type), table.answer),
                unannounced=func.coalesce(bindparam("is_unannounced", type_=table.unannounced.type), table.unannounced),
            )
        )
        self._expire = delete(vod_waiter).where(table.deadline <= bindparam("cutoff", type_=table.deadline.type))
        select_each, event = database.dialect.select_each, vod_event.c
        read = event.queue == queue, event.read_at.is_not(None)
        self._tasks_awaited = (
            select_each((table.vod_task_id,), table.vod_task_id, "ids", table.queue == queue, in_time),
            select_each((event.vod_task_id,), event.vod_task_id, "ids", *read),
        )
        self._keys_read = select_each((event.key,), event.key, "ids", *read)
        columns = (
            table.id,
            table.vod_task_id,
            table.event_types,
            table.waiter,
            table.deadline,
            table.since,
            table.asked_at,
            table.answer,
            table.unannounced,
        )
        self._read = select(*columns).where(*these)
        self._longest = (
            select(*columns)
            .where(table.queue == queue, in_time)
            .order_by(table.since, table.id)
            .limit(bindparam("most"))
        )
        self._of_tasks = select_each(columns, table.vod_task_id, "ids", table.queue == queue, in_time)
        self._count = select(func.count()).select_from(vod_waiter).where(table.queue == queue, in_time)

    def add(self, queue: str, waiters: Sequence[Waiter], owner: str) -> None:
        """Record waiters. A row that exists is updated and changes its owner, but keeps `since` and what VOD was asked.

        :param queue: name of the queue.
        :param waiters: any number; their `since` is ignored.
        :param owner: who may remove these rows from now on, such as an id from `airflow_vod.inbox.leases.new_holder`.
        :raises InboxError: the name of the queue, or an id of a waiter, is not valid.
        :raises InboxUnavailableError: not all of them are recorded; try again.
        """
        checked_id(queue, "The name of a queue")
        # Sorted by id, so that two processes that add the same waiters do not deadlock.
        rows = [_row(queue, waiter, owner) for waiter in sorted(waiters, key=lambda each: each.id)]
        for some in chunks(rows):
            with self._database.write() as connection:
                now = connection.execute(self._now, self._database.times()).scalar()
                connection.execute(self._add, [{**row, "since": now} for row in some])

    def remove(self, queue: str, ids: Collection[str], owner: str | None) -> int:
        """Remove waiters, except those that another owner has added since.

        :param queue: name of the queue.
        :param ids: of the waiters, any number.
        :param owner: as given to `add`; None removes them whoever owns them, for who knows that the wait itself is over.
        :return: how many were removed.
        :raises InboxUnavailableError: not all of them are removed; try again.
        """
        removed, statement, values = 0, self._remove, {"of_queue": queue}
        if owner is not None:
            statement, values = self._remove_owned, values | {"by": storable(owner, ID_LENGTH)}
        for some in chunks(sorted(filter(is_id, ids))):
            with self._database.write() as connection:
                removed += connection.execute(statement, values | {"ids": some}).rowcount
        return removed

    def mark_asked(
        self, queue: str, ids: Collection[str], answer: str | None = None, *, unannounced: bool | None = None
    ) -> None:
        """Note that VOD was asked just now about the tasks of these waiters. Ids that are not there are ignored.

        :param queue: name of the queue.
        :param ids: of the waiters, any number and whoever owns them.
        :param answer: what VOD said, in words; None keeps what it said before.
        :param unannounced: whether VOD announces no end of such tasks; None keeps what is known.
        :raises InboxUnavailableError: not all of them are marked; try again.
        """
        said = None if answer is None else storable(answer, MAX_TEXT)
        for some in chunks(sorted(filter(is_id, ids))):
            values: dict[str, Any] = {"of_queue": queue, "ids": some, "said": said, "is_unannounced": unannounced}
            with self._database.write() as connection:
                connection.execute(self._mark_asked, values | self._database.times())

    def read(self, queue: str, ids: Collection[str]) -> list[Waiter]:
        """Read waiters by their ids, also those whose deadline has passed.

        :param queue: name of the queue.
        :param ids: of the waiters, any number; those that are not there are left out.
        :raises InboxUnavailableError: the database does not answer now.
        """
        found: list[Waiter] = []
        for some in chunks(sorted(filter(is_id, ids))):
            with self._database.read() as connection:
                found += map(_waiter, connection.execute(self._read, {"of_queue": queue, "ids": some}))
        return found

    def expire(self, cutoff: float) -> None:
        """Remove waiters whose deadline has passed, whoever owns them.

        :param cutoff: Unix seconds; a waiter whose deadline is at this time or earlier is removed.
        :raises InboxUnavailableError: nothing is removed, or the result is unknown; try again.
        """
        with self._database.write() as connection:
            connection.execute(self._expire, {"cutoff": cutoff})

    def awaited(self, queue: str, events: Mapping[str, str | None]) -> set[str]:
        """Select the events that somebody who uses this inbox waits for, or has waited for.

        :param queue: name of the queue.
        :param events: the VOD task id of each event, or None, by the event's key.
        :return: the keys of the events that were read already, or whose VOD task has a waiter with a deadline still to come or
            an event that was read.
        :raises InboxUnavailableError: the database does not answer now.
        """
        tasks = self._found(queue, set(filter(is_id, events.values())), *self._tasks_awaited)
        keys = self._found(queue, set(filter(is_id, events)), self._keys_read)
        return {key for key, vod_task_id in events.items() if vod_task_id in tasks or key in keys}

    def _found(self, queue: str, ids: set[str], *statements: Any) -> set[str]:
        found = set[str]()
        for some in chunks(ids):
            values: dict[str, Any] = {"of_queue": queue, "ids": some, **self._database.times()}
            with self._database.read() as connection:
                for statement in statements:
                    found.update(connection.execute(statement, values).scalars())
        return found & ids

    def count(self, queue: str) -> int:
        """Count the waiters whose deadline has not passed.

        :param queue: name of the queue.
        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            return connection.execute(self._count, {"of_queue": queue} | self._database.times()).scalar_one()

    def longest(self, queue: str, limit: int = 1000) -> list[Waiter]:
        """List the waiters whose deadline has not passed, the longest wait first.

        :param queue: name of the queue.
        :param limit: how many at most.
        :raises InboxUnavailableError: the database does not answer now.
        """
        values = {"of_queue": queue, "most": limit} | self._database.times()
        with self._database.read() as connection:
            return list(map(_waiter, connection.execute(self._longest, values)))

    def of_tasks(self, queue: str, vod_task_ids: Collection[str]) -> list[Waiter]:
        """List the waiters for some VOD tasks whose deadline has not passed, the longest wait first.

        :param queue: name of the queue.
        :param vod_task_ids: of the VOD tasks.
        :raises InboxUnavailableError: the database does not answer now.
        """
        found: list[Waiter] = []
        for some in chunks(sorted(filter(is_id, vod_task_ids))):
            values = {"of_queue": queue, "ids": some} | self._database.times()
            with self._database.read() as connection:
                found += map(_waiter, connection.execute(self._of_tasks, values))
        return sorted(found, key=lambda each: (each.since or 0.0, each.id))


def _waiter(row: Any) -> Waiter:
    return Waiter(
        id=row.id,
        vod_task_id=row.vod_task_id,
        event_types=tuple(json.loads(row.event_types)),
        waiter=row.waiter,
        deadline=row.deadline,
        since=row.since,
        asked_at=row.asked_at,
        answer=row.answer,
        unannounced=None if row.unannounced is None else bool(row.unannounced),
    )


def _row(queue: str, waiter: Waiter, owner: str) -> dict[str, Any]:
    task = waiter.vod_task_id
    return {
        "queue": queue,
        "id": checked_id(waiter.id, "The id of a waiter"),
        "vod_task_id": None if task is None else checked_id(task, "The VOD task id of a waiter"),
        "event_types": words(waiter.event_types),
        "waiter": storable(waiter.waiter, MAX_TEXT),
        "deadline": waiter.deadline,
        "owner": storable(owner, ID_LENGTH),
        "asked_at": waiter.asked_at,
        "answer": None if waiter.answer is None else storable(waiter.answer, MAX_TEXT),
        "unannounced": waiter.unannounced,
    }
