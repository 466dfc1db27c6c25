"""The values that the inbox takes and returns.

Invariant: no record refers to a database; it stays valid after the store is closed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow_vod.events.parse import VodEvent, parse_event

Source = Literal["pull", "callback", "reconcile"]
SOURCES: frozenset[str] = frozenset(("pull", "callback", "reconcile"))


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one event passed to `InboxStore.receive`.

    :param key: the event's key.
    :param position: of the event in its queue; for a duplicate, that of the first copy.
    :param duplicate: whether the inbox had this event already.
    """

    key: str
    position: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class EventHeader:
    """The part of an event that decides whom it wakes."""

    position: int
    vod_task_id: str | None
    event_type: str | None
    finished: bool
    file_id: str | None


Cursor = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class EventSummary:
    """One event in the inbox, without its body.

    :param queue: name of the VOD queue it belongs to.
    :param position: grows with each event of the queue, in the order in which events became visible; has gaps.
    :param key: the same for every copy of the event.
    :param finished: whether the event says that its VOD task has ended.
    :param outcome: how that task ended: `succeeded`, `partly_failed` or `failed`; None if `finished` is false.
    :param source: how it arrived, one of `SOURCES`.
    :param error: why it could not be parsed; None for an event that could.
    :param received_at: Unix seconds by the database's clock.
    :param read_at: when it was first read, in Unix seconds by the database's clock; None if it has not been.
    :param read_by: who read it first.
    """

    queue: str
    position: int
    key: str
    event_type: str | None
    vod_task_id: str | None
    file_id: str | None
    status: str | None
    finished: bool
    outcome: str | None
    source: str
    error: str | None
    received_at: float
    read_at: float | None
    read_by: str | None

    @property
    def cursor(self) -> Cursor:
        """The place of this event in a listing; `InboxStore.newest(before=event.cursor)` continues after it."""
        return (self.received_at, self.queue, self.position)


@dataclass(frozen=True, slots=True)
class StoredEvent(EventSummary):
    """One event in the inbox.

    :param text: the body as stored, in JSON.
    """

    text: str = field(repr=False)

    @property
    def body(self) -> Any:
        """The event as it was delivered, without its handle and nulls."""
        return json.loads(self.text)

    def event(self) -> VodEvent:
        """Parse the body.

        :raises EventParseError: it cannot be parsed, and `error` says why.
        """
        return parse_event(self.body)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who pulls a queue.

    :param acquired_at: Unix seconds by the database's clock, since when the holder has held it without interruption.
    :param expires_at: Unix seconds by the database's clock at which it expires unless renewed; 0.0 after it was released.
    :param expired: whether it had expired, or was released, when it was read.
    :param info: what the holder reported about itself when it last renewed or released the lease.
    """

    queue: str
    holder: str
    acquired_at: float
    expires_at: float
    expired: bool
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Waiter:
    """Somebody who waits for an event.

    :param id: one per wait, chosen by the waiter; unique within the queue.
    :param vod_task_id: the VOD task; None if the waiter wants events of some type.
    :param event_types: the types that count; empty for any.
    :param waiter: its name, for people: ``dag/run/task``.
    :param deadline: Unix seconds at which the wait is given up; None for never.
    :param since: Unix seconds by the database's clock; the store sets it when the waiter is first added.
    :param asked_at: Unix seconds by the database's clock at which VOD was last asked about the task; `mark_asked` sets it.
    :param answer: what VOD said then, in words; None if it was not asked.
    :param unannounced: whether VOD announces no end of such a task, so that it has to be asked; None where that is not known.
    """

    id: str
    vod_task_id: str | None = None
    event_types: tuple[str, ...] = ()
    waiter: str = ""
    deadline: float | None = None
    since: float | None = None
    asked_at: float | None = None
    answer: str | None = None
    unannounced: bool | None = None

    @classmethod
    def of(
        cls, waiter: str, vod_task_id: str | None, event_types: Collection[str] = (), deadline: float | None = None
    ) -> Waiter:
        """Make the record of a wait, with the same id wherever the task waits and whichever process records it.

        :param waiter: its name, ``dag/run/task``.
        :param vod_task_id: the VOD task, or None.
        :param event_types: the types that count; empty for any.
        :param deadline: as above.
        """
        digest = hashlib.sha256(f"{waiter}\0{vod_task_id or ''}".encode()).hexdigest()
        return cls(digest[:32], vod_task_id, tuple(sorted(event_types)), waiter, deadline)


@dataclass(frozen=True, slots=True)
class Slice:
    """Statistics of one slice of time.

    :param start: Unix seconds by the database's clock.
    :param events: how many events were received.
    :param failed: how many of them belong to VOD tasks that failed, wholly or in part.
    :param mean_wait: seconds from receiving an event to its first reading, on average; None if none was read.
    :param longest_wait: the longest such time, in seconds.
    """

    start: float
    events: int
    failed: int
    mean_wait: float | None
    longest_wait: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much one queue of the inbox holds.

    :param oldest: Unix seconds at which the oldest event was received; None for an empty queue.
    :param newest: the same for the newest event.
    """

    events: int
    unread: int
    unparsed: int
    waiters: int
    oldest: float | None
    newest: float | None
