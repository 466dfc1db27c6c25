"""Which events came, and which ends of VOD tasks are known only because VOD was asked.

Invariant: what is read here goes by an index, and is as much as was asked for, however many events there are.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, select

from airflow_vod.inbox.tables import vod_event
from airflow_vod.inbox.values import chunks, is_id

if TYPE_CHECKING:
    from airflow_vod.inbox.database import Database

_EVENT = vod_event.c


class Asked(NamedTuple):
    """The end of a VOD task that was learnt by asking VOD, and whose event has not come.

    :param text: the body as stored, in JSON.
    :param received_at: Unix seconds by the database's clock at which VOD said so.
    """

    position: int
    vod_task_id: str
    event_type: str
    status: str | None
    text: str
    received_at: float


class Neighbours(NamedTuple):
    """The events of one type that were pulled next to a moment, by when they were received, in Unix seconds.

    :param unparsed: whether something that cannot be read was received between the two.
    """

    before: float
    after: float
    unparsed: bool


class Arrivals:
    """What came into one database, and how.

    :param database: with the tables in it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        queue = bindparam("of_queue", type_=_EVENT.queue.type)
        moment, end = (bindparam(name, type_=_EVENT.received_at.type) for name in ("moment", "end"))
        self._asked = (
            select(*(getattr(_EVENT, "body" if name == "text" else name) for name in Asked._fields))
            .where(
                _EVENT.queue == queue,
                _EVENT.position > bindparam("after", type_=_EVENT.position.type),
                _EVENT.position <= bindparam("up_to", type_=_EVENT.position.type),
                _EVENT.source == "reconcile",
                _EVENT.vod_task_id.is_not(None),
                _EVENT.event_type.is_not(None),
            )
            .order_by(_EVENT.position.desc())
            .limit(bindparam("most", type_=_EVENT.position.type))
        )
        came = _EVENT.queue == queue, _EVENT.source != "reconcile", _EVENT.finished
        self._came = database.dialect.select_each((_EVENT.vod_task_id,), _EVENT.vod_task_id, "ids", *came)
        of_queue = database.dialect.hide_from_index(_EVENT.queue) == queue
        pulled = _EVENT.event_type == bindparam("of_type", type_=_EVENT.event_type.type), _EVENT.source == "pull"
        newest_first = _EVENT.received_at.desc(), _EVENT.queue.desc(), _EVENT.position.desc()
        oldest_first = _EVENT.received_at, _EVENT.queue, _EVENT.position
        received = select(_EVENT.received_at)
        self._before = received.where(*pulled, of_queue, _EVENT.received_at <= moment).order_by(*newest_first).limit(1)
        self._after = received.where(*pulled, of_queue, _EVENT.received_at > moment).order_by(*oldest_first).limit(1)
        self._unparsed = received.where(
            _EVENT.error.is_not(None), of_queue, _EVENT.received_at >= moment, _EVENT.received_at <= end
        ).limit(1)

    def asked(self, queue: str, after: int, up_to: int, limit: int) -> list[Asked]:
        """Read ends of tasks that were learnt by asking VOD.

        :param queue: name of the queue.
        :param after: only behind this position.
        :param up_to: and not behind this one; each event in between is looked at.
        :param limit: how many at most; the newest.
        :raises InboxUnavailableError: the database does not answer now.
        """
        values = {"of_queue": queue, "after": after, "up_to": up_to, "most": limit}
        with self._database.read() as connection:
            return [Asked(*row) for row in connection.execute(self._asked, values)]

    def came(self, queue: str, vod_task_ids: Collection[str]) -> set[str]:
        """Select the tasks whose end came as an event.

        :param queue: name of the queue.
        :param vod_task_ids: any number.
        :raises InboxUnavailableError: the database does not answer now.
        """
        found = set[str]()
        for some in chunks(set(filter(is_id, vod_task_ids))):
            with self._database.read() as connection:
                found.update(connection.execute(self._came, {"of_queue": queue, "ids": some}).scalars())
        return found

    def neighbours(self, queue: str, event_type: str, moment: float) -> Neighbours | None:
        """Find the events of a type that were pulled next to a moment.

        :param queue: name of the queue.
        :param event_type: the type.
        :param moment: Unix seconds.
        :return: None where there is none on one of the sides.
        :raises InboxUnavailableError: the database does not answer now.
        """
        values: dict[str, Any] = {"of_queue": queue, "of_type": event_type, "moment": moment}
        with self._database.read() as connection:
            before = connection.execute(self._before, values).scalar()
            after = connection.execute(self._after, values).scalar()
            if before is None or after is None:
                return None
            between = {"of_queue": queue, "moment": before, "end": after}
            return Neighbours(before, after, connection.execute(self._unparsed, between).first() is not None)
