"""The lease of a queue: which relay pulls it. Work beside that, which one process does for all, has a lease of its own.

Invariant: at any moment of the database's clock a queue has at most one holder. Acquiring and renewing are one compare-and-set
statement, so nothing can happen between the check and the update.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update

from airflow_vod.inbox.columns import Seconds
from airflow_vod.inbox.records import Lease
from airflow_vod.inbox.tables import vod_lease
from airflow_vod.inbox.values import checked_id, small_json

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database


BESIDE = "beside:"  # begins the names of leases that are of no queue


def lease_beside(queue: str, work: str) -> str:
    """Name the lease of some work that one process does for all who look after a queue.

    :param queue: name of the queue.
    :param work: a word for the work.
    :return: a name that no queue has.
    """
    return f"{BESIDE}{work}:{queue[-200:]}"  # the end of a name tells the applications of a host apart


def new_holder() -> str:
    """Make an id for something in this process that holds or owns rows of the inbox.

    :return: ``hostname:pid:random``, different at each call.
    """
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Leases:
    """The leases in one database.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        table, now = vod_lease.c, database.now
        queue, holder = bindparam("of_queue", type_=table.queue.type), bindparam("by", type_=table.holder.type)
        held_already = and_(table.holder == holder, table.expires_at > now)
        self._acquire = (
            update(vod_lease)
            .where(
                table.queue == queue,
                or_(
                    table.holder.is_(None),
                    table.holder == holder,
                    table.expires_at <= now,
                    table.expires_at > now + 2 * bindparam("ttl", type_=Seconds),  # the clock has been set back since
                ),
            )
            # In this order, because in MySQL each expression sees the values assigned before it.
            .ordered_values(
                (table.acquired_at, case((held_already, table.acquired_at), else_=now)),
                (table.expires_at, now + bindparam("ttl", type_=Seconds)),
                (table.holder, holder),
                (table.info, bindparam("about", type_=table.info.type)),
            )
        )
        self._release = (
            update(vod_lease)
            .where(table.queue == queue, table.holder == holder, table.expires_at > 0)
            .values(expires_at=0.0, info=func.coalesce(bindparam("about", type_=table.info.type), table.info))
        )
        self._exists = select(table.queue).where(table.queue == queue)
        self._read = select(
            table.queue, table.holder, table.acquired_at, table.expires_at, table.info, now.label("read_at")
        ).where(table.queue == queue, table.holder.is_not(None))

    def acquire(self, queue: str, holder: str, ttl: float, *, info: Mapping[str, Any] | None = None) -> bool:
        """Take the lease of a queue if it is free, or renew it if `holder` has it.

        :param queue: name of the queue.
        :param holder: from `new_holder`.
        :param ttl: seconds until the lease expires unless renewed.
        :param info: what people on call should know about the holder: a small dictionary that can be written as JSON. Replaces
            the previous one.
        :return: whether `holder` has the lease now.
        :raises InboxUnavailableError: the result is unknown; a lease that was held before still lasts until it expires.
        :raises InboxError: the queue, the holder or the info is not valid.
        """
        values = {
            "of_queue": checked_id(queue, "The name of a queue"),
            "by": checked_id(holder, "The holder of a lease"),
            "ttl": float(ttl),
            "about": small_json(info, "The info of a lease"),
        }
        with self._database.write() as connection:
            values |= self._database.times()
            if connection.execute(self._acquire, values).rowcount == 1:
                return True
            if connection.execute(self._exists, {"of_queue": queue}).first() is not None:
                return False
            connection.execute(self._database.dialect.upsert(vod_lease, ()), {"queue": queue})
            return connection.execute(self._acquire, values).rowcount == 1

    def release(self, queue: str, holder: str, *, info: Mapping[str, Any] | None = None) -> bool:
        """Give the lease back. The last holder and its info stay readable for people on call.

        :param queue: name of the queue.
        :param holder: who gives it back.
        :param info: as in `acquire`; None keeps the previous one.
        :return: whether `holder` had it.
        :raises InboxUnavailableError: the result is unknown; the lease ends at the latest when it expires.
        :raises InboxError: the info is not valid.
        """
        about = None if info is None else small_json(info, "The info of a lease")
        with self._database.write() as connection:
            return connection.execute(self._release, {"of_queue": queue, "by": holder, "about": about}).rowcount == 1

    def read(self, queue: str) -> Lease | None:
        """Read who holds the lease of a queue.

        :param queue: name of the queue.
        :return: None if nobody ever held it. An expired lease is returned too, with `expired` set: it tells who died.
        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            row = connection.execute(self._read, {"of_queue": queue} | self._database.times()).first()
        if row is None:
            return None
        return Lease(
            queue=row.queue,
            holder=row.holder,
            acquired_at=row.acquired_at,
            expires_at=row.expires_at,
            expired=row.expires_at <= row.read_at,
            info=json.loads(row.info or "{}"),
        )
