"""The queue of one application: at-least-once delivery, competing consumers, no filters.

Invariants:
- An event is kept from its publication until it is confirmed or its retention ends, and is either visible or hidden.
- A handle identifies one delivery, not the event: each delivery creates a new one, which expires with the visibility timeout.
- Waiting pulls and visible events never coexist: they are matched at once, in order of arrival.

Sources: VOD API 2018-07-17, PullEvents and ConfirmEvents (hold 5 s, at most 16 events, 30 s to confirm, 4 days of retention);
where these leave something open, the message queue that most likely underlies it (Tencent CMQ: a new handle for each delivery,
only the newest one valid).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_vod.emulator.options import EmulatorOptions
    from airflow_vod.emulator.schedule import Entry, Schedule


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as delivered: its new handle, and its content as one JSON object in UTF-8."""

    handle: str
    body: bytes


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Counts of one queue."""

    visible: int
    """Events that the next pull can take."""
    hidden: int
    """Events that were delivered and neither confirmed nor made visible again."""
    confirmed: int
    """Events removed because they were confirmed."""
    expired: int
    """Events removed because their retention ended."""
    published: int
    """Events ever added to this queue."""
    delivered: int
    """Deliveries; redeliveries count again."""
    waiting: int
    """Pulls currently held."""
    pushed: int = 0
    """Events published in PUSH mode, which bypass the queue."""


@dataclass(slots=True, eq=False)
class Poll:
    """One waiting pull; `answer` is called exactly once, unless the pull is abandoned."""

    answer: Callable[[Sequence[Delivery]], None]
    end_of_hold: Entry | None = None

    def finish(self, deliveries: Sequence[Delivery]) -> None:
        """Answer it; to be called once.

        :param deliveries: empty at the end of the hold.
        """
        if self.end_of_hold is not None:
            self.end_of_hold.cancel()
        self.answer(deliveries)


@dataclass(slots=True, eq=False)
class _Message:
    body: bytes
    expires_at: float
    visible_at: float | None = None
    handles: list[str] = field(default_factory=list)


class EventQueue:
    """Events of one application. Not thread-safe: its owner holds a lock.

    :param schedule: the emulator's time.
    :param options: batch size, hold, visibility timeout, retention and order.
    """

    def __init__(self, schedule: Schedule, options: EmulatorOptions) -> None:
        self._schedule = schedule
        self._options = options
        self._random = Random(options.seed)  # noqa: S311 - not for cryptography
        self._kept: OrderedDict[_Message, None] = OrderedDict()
        self._ready: deque[_Message] = deque()
        self._by_handle: dict[str, _Message] = {}
        self._polls: OrderedDict[Poll, None] = OrderedDict()
        self._published = self._delivered = self._confirmed = self._expired = 0

    def publish(self, body: bytes) -> None:
        """Add an event.

        :param body: one JSON object in UTF-8, without ``EventHandle``.
        """
        self._purge()
        message = _Message(body, self._schedule.now() + self._options.retention)
        self._kept[message] = None
        self._ready.append(message)
        self._published += 1
        self._match()

    def pull(self, answer: Callable[[Sequence[Delivery]], None]) -> Poll:
        """Deliver visible events, now or as soon as there are any; none once the hold is over.

        :param answer: called exactly once with the deliveries, now or later.
        :return: the poll, to abandon it.
        """
        self._purge()
        poll = Poll(answer)
        self._polls[poll] = None
        self._match()
        if poll in self._polls and self._options.hold > 0:
            poll.end_of_hold = self._schedule.after(self._options.hold, lambda: self._end_hold(poll))
        elif poll in self._polls:
            self._end_hold(poll)
        return poll

    def abandon(self, poll: Poll) -> bool:
        """Drop a waiting poll: it takes no more events and is never answered.

        :param poll: from `pull`.
        :return: whether it was still waiting.
        """
        if poll not in self._polls:
            return False
        del self._polls[poll]
        if poll.end_of_hold is not None:
            poll.end_of_hold.cancel()
        return True

    def valid(self, handle: str) -> bool:
        """:return: whether this handle can currently confirm its event."""
        message = self._by_handle.get(handle)
        return message is not None and message.visible_at is not None and self._schedule.now() < message.visible_at

    def confirm(self, handles: Iterable[str]) -> list[str]:
        """Remove the events of all valid handles.

        :param handles: as delivered.
        :return: the handles that are unknown, superseded, expired or already used.
        """
        invalid = []
        for handle in handles:
            if not self.valid(handle):
                invalid.append(handle)
                continue
            self._remove(self._by_handle[handle])
            self._confirmed += 1
        return invalid

    def expire_handles(self, handles: Iterable[str] | None = None) -> None:
        """End the visibility timeout of deliveries now.

        :param handles: of these deliveries; by default all.
        """
        chosen = list(self._by_handle) if handles is None else list(handles)
        self._reappear([(h, m) for h in chosen if (m := self._by_handle.get(h)) is not None])

    def counts(self, pushed: int = 0) -> QueueCounts:
        """:param pushed: events that bypassed the queue.
        :return: current and cumulative counts.
        """
        self._purge()
        return QueueCounts(
            visible=len(self._ready),
            hidden=len(self._kept) - len(self._ready),
            confirmed=self._confirmed,
            expired=self._expired,
            published=self._published,
            delivered=self._delivered,
            waiting=len(self._polls),
            pushed=pushed,
        )

    def _match(self) -> None:
        while self._polls and self._ready:
            poll, _ = self._polls.popitem(last=False)
            poll.finish(self._take())

    def _take(self) -> list[Delivery]:
        if self._options.order == "random":
            self._random.shuffle(self._ready)
        taken = [self._ready.popleft() for _ in range(min(self._options.batch, len(self._ready)))]
        visible_at = self._schedule.now() + self._options.visibility
        receipts = []
        for message in taken:
            handle = f"tdmq{uuid4().int % 10**19:019d}"
            if not self._options.older_handles_stay_valid:
                self._forget_handles(message)
            message.visible_at = visible_at
            message.handles.append(handle)
            self._by_handle[handle] = message
            receipts.append((handle, message))
        self._delivered += len(taken)
        self._schedule.after(self._options.visibility, lambda: self._reappear(receipts, visible_at))
        return [Delivery(handle, message.body) for handle, message in receipts]

    def _reappear(self, receipts: Iterable[tuple[str, _Message]], visible_at: float | None = None) -> None:
        # `visible_at` tells this delivery from a later one of the same event, whose timeout has not ended yet.
        for handle, message in receipts:
            if message.visible_at is None or handle not in self._by_handle:
                continue
            if visible_at is None or message.visible_at == visible_at:
                message.visible_at = None
                self._ready.append(message)
        self._match()

    def _end_hold(self, poll: Poll) -> None:
        del self._polls[poll]
        poll.finish(())

    def _purge(self) -> None:
        now = self._schedule.now()
        while self._kept and (oldest := next(iter(self._kept))).expires_at <= now:
            if oldest.visible_at is None:
                self._ready.remove(oldest)
            self._remove(oldest)
            self._expired += 1

    def _remove(self, message: _Message) -> None:
        self._forget_handles(message)
        del self._kept[message]
        message.visible_at = None

    def _forget_handles(self, message: _Message) -> None:
        for handle in message.handles:
            self._by_handle.pop(handle, None)
        message.handles.clear()
