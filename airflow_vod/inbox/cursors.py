"""Cursors: how far each follower of a queue has got, kept permanently.

Invariant: a cursor only moves forward, in one compare-and-set statement, so a late writer changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update

from airflow_vod.inbox.tables import vod_cursor
from airflow_vod.inbox.values import checked_id

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database


class Cursors:
    """The cursors in one database.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        table, now = vod_cursor.c, database.now
        mine = (
            table.watcher == bindparam("of_watcher", type_=table.watcher.type),
            table.queue == bindparam("of_queue", type_=table.queue.type),
        )
        to = bindparam("to", type_=table.position.type)
        self._now = select(now.label("now"))
        self._read = select(table.position).where(*mine)
        self._add = database.dialect.upsert(vod_cursor, ())
        self._advance = update(vod_cursor).where(*mine, table.position < to).values(position=to, updated_at=now)

    def get(self, watcher: str, queue: str, start: int) -> int:
        """Read how far a follower has got; the first call for a new one creates its cursor.

        :param watcher: name of the follower, unique within the queue.
        :param queue: name of the queue.
        :param start: the position at which a new follower starts.
        :return: the position up to which it has followed the queue.
        :raises InboxError: a name is not valid.
        :raises InboxUnavailableError: the database does not answer now.
        """
        mine = {
            "of_watcher": checked_id(watcher, "The name of a watcher"),
            "of_queue": checked_id(queue, "The name of a queue"),
        }
        with self._database.read() as connection:
            position = connection.execute(self._read, mine).scalar()
        if position is not None:
            return position
        with self._database.write() as connection:
            now = connection.execute(self._now, self._database.times()).scalar_one()
            row = {"watcher": watcher, "queue": queue, "position": start, "updated_at": now}
            connection.execute(self._add, row)
            return connection.execute(self._read, mine).scalar_one()

    def advance(self, watcher: str, queue: str, position: int) -> bool:
        """Move a cursor forward.

        :param watcher: name of the follower.
        :param queue: name of the queue.
        :param position: the new position.
        :return: whether it moved; False if it was at this position already, or further.
        :raises InboxUnavailableError: it has not moved, or the result is unknown; try again.
        """
        values = {"of_watcher": watcher, "of_queue": queue, "to": position}
        with self._database.write() as connection:
            return connection.execute(self._advance, values | self._database.times()).rowcount == 1
