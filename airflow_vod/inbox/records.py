"""What goes into the inbox and comes out of it, as values.

Invariant: nothing here refers to a database; a record stays valid after the store is closed.
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
    """What became of one event that was handed to `InboxStore.receive`.

    :param key: the event's key.
    :param position: where the event is in its queue: for a duplicate, where the first copy is.
    :param duplicate: whether the inbox had this event already.
    """

    key: str
    position: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class EventHeader:
    """The little of an event that decides whom it wakes."""

    position: int
    vod_task_id: str | None
    event_type: str | None
    finished: bool
    file_id: str | None


Cursor = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event in the inbox.

    :param queue: name of the VOD queue it belongs to.
    :param position: grows with each event of the queue, in the order in which they became visible; has gaps.
    :param finished: whether it says that its VOD task has ended.
    :param outcome: how that task ended, `succeeded`, `partly_failed` or `failed`; None where `finished` is false.
    :param source: the road it came by.
    :param error: why it could not be read as an event; None for all others.
    :param received_at: Unix seconds by the database's clock.
    :param read_at: Unix seconds of the first reader, if any.
    :param read_by: who that was.
    :param text: the body as stored, JSON.
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
    text: str = field(repr=False)

    @property
    def body(self) -> Any:
        """The event as it was delivered, without its handle and nulls."""
        return json.loads(self.text)

    @property
    def cursor(self) -> Cursor:
        """Where this event stands in a list: `InboxStore.newest(before=event.cursor)` goes on behind it."""
        return (self.received_at, self.queue, self.position)

    def event(self) -> VodEvent:
        """Read the body again.

        :raises EventParseError: it cannot be read, and `error` says why.
        """
        return parse_event(self.body)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who pulls a queue.

    :param acquired_at: Unix seconds by the database's clock, since when the holder has held it without a break.
    :param expires_at: when it is over unless renewed.
    :param expired: whether it was over when it was read.
    :param info: what the holder said of itself at its last renewal.
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

    :param id: one per wait, chosen by who waits; unique within the queue.
    :param vod_task_id: the VOD task, or None for who waits for a type of event.
    :param event_types: the types that will do; empty for any.
    :param waiter: who it is, for people: ``dag/run/task``.
    :param deadline: Unix seconds at which the wait is given up, if it ever is.
    :param since: Unix seconds by the database's clock; the store sets it when the waiter is first added.
    :param asked_at: Unix seconds by the database's clock at which VOD was last asked about the task; `mark_asked` sets it.
    """

    id: str
    vod_task_id: str | None = None
    event_types: tuple[str, ...] = ()
    waiter: str = ""
    deadline: float | None = None
    since: float | None = None
    asked_at: float | None = None

    @classmethod
    def of(
        cls, waiter: str, vod_task_id: str | None, event_types: Collection[str] = (), deadline: float | None = None
    ) -> Waiter:
        """Make the record of a wait: the same one wherever the task waits, and whichever process tells.

        :param waiter: who it is, ``dag/run/task``.
        :param vod_task_id: the VOD task, or None.
        :param event_types: the types that will do; empty for any.
        :param deadline: as above.
        """
        digest = hashlib.sha256(f"{waiter}\0{vod_task_id or ''}".encode()).hexdigest()
        return cls(digest[:32], vod_task_id, tuple(sorted(event_types)), waiter, deadline)


@dataclass(frozen=True, slots=True)
class Slice:
    """What happened in one stretch of time.

    :param start: Unix seconds by the database's clock.
    :param events: how many came.
    :param failed: of how many VOD tasks among them some output failed, or all.
    :param mean_wait: seconds until somebody read an event, in the mean; None where nobody has.
    :param longest_wait: the longest of these.
    """

    start: float
    events: int
    failed: int
    mean_wait: float | None
    longest_wait: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is in one queue of the inbox.

    :param oldest: Unix seconds at which the oldest event came; None for an empty queue.
    :param newest: the same of the newest.
    """

    events: int
    unread: int
    unparsed: int
    waiters: int
    oldest: float | None
    newest: float | None
