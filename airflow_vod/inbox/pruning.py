"""Removes old events.

Invariant: events go by their age alone, in transactions so short that writers get their turn in between.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select

from airflow_vod.inbox.tables import vod_event
from airflow_vod.inbox.values import chunks

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database

_TARGET = 0.1  # seconds that one transaction should take
_FIRST_BATCH = 100  # events


class Pruning:
    """Removes old events from one database.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        event = vod_event.c
        self._oldest = (
            select(event.queue, event.position)
            .where(event.received_at < bindparam("cutoff", type_=event.received_at.type))
            .order_by(event.received_at, event.queue, event.position)
            .limit(bindparam("most", type_=event.position.type))
            .with_for_update(skip_locked=True)  # so that concurrent prunings share the work
        )
        self._remove = delete(vod_event).where(
            event.queue == bindparam("of_queue", type_=event.queue.type),
            event.position.in_(bindparam("some_positions", expanding=True, type_=event.position.type)),
        )

    def remove_before(self, cutoff: float, batch: int) -> int:
        """Remove all events received before a point in time, oldest first; sleep as long as each transaction took.

        :param cutoff: Unix seconds by the database's clock.
        :param batch: events per transaction at most; fewer are removed at once where the database is slow.
        :return: how many events were removed.
        :raises InboxUnavailableError: the database does not answer now; what was removed until then stays removed.
        """
        removed, size = 0, min(batch, _FIRST_BATCH)
        while True:
            started_monotonic = time.monotonic()
            some = self._remove_some(cutoff, size)
            removed += some
            if some < size:
                return removed
            took = max(time.monotonic() - started_monotonic, 1e-6)
            time.sleep(took)
            size = max(1, min(batch, 2 * size, int(size * _TARGET / took)))

    def _remove_some(self, cutoff: float, batch: int) -> int:
        with self._database.write() as connection:
            oldest: dict[str, list[int]] = {}
            for queue, position in connection.execute(self._oldest, {"cutoff": cutoff, "most": batch}):
                oldest.setdefault(queue, []).append(position)
            for queue, positions in oldest.items():
                for some in chunks(positions):
                    connection.execute(self._remove, {"of_queue": queue, "some_positions": some})
        return sum(map(len, oldest.values()))
