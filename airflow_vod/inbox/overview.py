"""What the inbox has seen, in numbers: for people.

Invariant: one statement each, over one index; nothing here is called in a loop that waits for an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, case, func, select

from airflow_vod.inbox.records import Slice
from airflow_vod.inbox.tables import Seconds, vod_event, vod_queue

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database


class Overview:
    """The numbers of one database.

    :param database: where the tables are.
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
        self._queues = select(vod_queue.c.name).order_by(vod_queue.c.name)

    def queues(self) -> list[str]:
        """Name the queues of which anything ever came."""
        with self._database.read() as connection:
            return list(connection.execute(self._queues).scalars())

    def history(self, queue: str | None = None, *, seconds: float = 86400.0, slices: int = 48) -> list[Slice]:
        """Tell what came over time. Reads every event of that time: for people, not for loops.

        :param queue: of one queue; None for all.
        :param seconds: how far back.
        :param slices: into how many stretches of time this is cut.
        :return: one for each stretch, the oldest first.
        """
        statement, width = self._history, seconds / slices
        if queue is not None:
            # Aside, for the index by time has less to go through than the one by queue, which knows no time.
            statement = statement.where(self._database.dialect.hide_from_index(vod_event.c.queue) == queue)
        with self._database.read() as connection:
            now = connection.execute(select(self._database.now.label("now")), self._database.times()).scalar_one()
            start = now - seconds
            rows = connection.execute(statement, {"start": start, "width": width}).all()
        # What came while this was asked is one slice too far.
        known = {int(row[0]): row for row in rows if int(row[0]) < slices}
        return [
            Slice(start + number * width, *known.get(number, (0, 0, 0, None, None))[1:]) for number in range(slices)
        ]
