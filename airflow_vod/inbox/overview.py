"""Statistics of the inbox, for people.

Invariant: each takes one statement over one index; nothing here is called in a loop that waits for an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, or_, select, union

from airflow_vod.inbox.columns import Seconds
from airflow_vod.inbox.leases import BESIDE
from airflow_vod.inbox.records import Slice
from airflow_vod.inbox.tables import vod_event, vod_lease, vod_queue, vod_waiter

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database


class Overview:
    """The statistics of one database.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        table = vod_event.c
        start, width = bindparam("start", type_=Seconds), bindparam("width", type_=Seconds)
        number = database.dialect.truncate((table.received_at - start) / width).label("number")
        failed = case((table.outcome.in_(("failed", "partly_failed")), 1))
        self._history = (
            select(
                number,
                func.count(),
                func.count(failed),
                func.avg(table.read_at - table.received_at),
                func.max(table.read_at - table.received_at),
            )
            .where(table.received_at >= start)
            .group_by(number)
        )
        lease, waiter, now = vod_lease.c, vod_waiter.c, database.now
        # One that never had an event is a queue too, for whoever waits for its first.
        self._queues = union(
            select(vod_queue.c.name),
            select(lease.queue).where(lease.queue.not_like(f"{BESIDE}%")),
            select(waiter.queue),
        )
        listed = waiter.owner.is_not(None), or_(waiter.deadline.is_(None), waiter.deadline > now)
        self._holders = union(select(lease.holder).where(lease.expires_at > now), select(waiter.owner).where(*listed))

    def queues(self) -> list[str]:
        """List the names of all queues that ever received an event, were pulled or are waited for, sorted.

        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            return sorted(connection.execute(self._queues).scalars())

    def hosts(self) -> set[str]:
        """Name the hosts whose processes hold a lease now or wait, of all queues.

        :raises InboxUnavailableError: the database does not answer now.
        """
        with self._database.read() as connection:
            holders = connection.execute(self._holders, self._database.times()).scalars()
            return {host for holder in holders if (host := holder.partition(":")[0])}

    def history(self, queue: str | None = None, *, seconds: float = 86400.0, slices: int = 48) -> list[Slice]:
        """Count events over time. Reads every event of that time, so do not call it in a loop.

        :param queue: name of the queue; None for all queues.
        :param seconds: how far back to go.
        :param slices: into how many slices to divide that time.
        :return: one for each slice, the oldest first.
        :raises InboxUnavailableError: the database does not answer now.
        """
        statement, width = self._history, seconds / slices
        if queue is not None:
            # The index on the time has fewer rows to read than the one on the queue, which does not hold the time.
            statement = statement.where(self._database.dialect.hide_from_index(vod_event.c.queue) == queue)
        with self._database.read() as connection:
            now = connection.execute(select(self._database.now.label("now")), self._database.times()).scalar_one()
            start = now - seconds
            rows = connection.execute(statement, {"start": start, "width": width}).all()
        # Events received since `now` was read would be in one slice too many.
        known = {int(row[0]): row for row in rows if int(row[0]) < slices}
        return [
            Slice(start + number * width, *known.get(number, (0, 0, 0, None, None))[1:]) for number in range(slices)
        ]
