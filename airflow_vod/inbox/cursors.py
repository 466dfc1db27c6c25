"""Cursors: up to where somebody who follows a queue has got, for good.

Invariant: a cursor only moves forward, by one statement that compares and sets, so whoever comes late changes nothing.
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

    :param database: where the table is.
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
        """Answer up to which position somebody has followed a queue.

        :param watcher: who, unique within the queue.
        :param start: the position at which he begins, if he is new.
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

        :return: whether it moved: False where it was there already, or further.
        """
        values = {"of_watcher": watcher, "of_queue": queue, "to": position}
        with self._database.write() as connection:
            return connection.execute(self._advance, values | self._database.times()).rowcount == 1
