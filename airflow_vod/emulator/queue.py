"""The queue of one application: at-least-once, competing consumers, no filter.

Invariants:
- An event is kept from its publication until it is confirmed or its retention ends, and is either visible or hidden.
- A handle is a receipt of one delivery, not an identity: each delivery makes a new one, and it dies with the visibility timeout.
- Waiting pulls and visible events never exist at the same time: whichever comes second meets the first, in order of arrival.

Sources: VOD API 2018-07-17, PullEvents and ConfirmEvents (hold 5 s, at most 16 events, 30 s to confirm, 4 days of retention);
where these are silent, the message queue that very probably lies beneath (Tencent CMQ: a fresh handle at each delivery, only the
newest one good).
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
    """One event as handed out: its new handle, and its content as one JSON object in UTF-8."""

    handle: str
    body: bytes


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """What one queue holds and has seen."""

    visible: int
    """Events that the next pull can have."""
    hidden: int
    """Events that were delivered and are neither confirmed nor back yet."""
    confirmed: int
    """Events that are gone because they were confirmed."""
    expired: int
    """Events that are gone because their retention ended."""
    published: int
    """Events that ever came into this queue."""
    delivered: int
    """Deliveries; more than `published` where events came back."""
    waiting: int
    """Pulls that are held now."""
    pushed: int = 0
    """Events published while the application was in PUSH mode: they never come into the queue."""


@dataclass(slots=True, eq=False)
class Poll:
    """One pull that waits; `answer` is called exactly once, unless the poll is abandoned."""

    answer: Callable[[Sequence[Delivery]], None]
    end_of_hold: Entry | None = None

    def finish(self, deliveries: Sequence[Delivery]) -> None:
        """Answer it, for the only time."""
        if self.end_of_hold is not None:
            self.end_of_hold.cancel()
        self.answer(deliveries)


@dataclass(slots=True, eq=False)
class _Message:
    body: bytes
    expires_at: float
    hidden_until: float | None = None
    handles: list[str] = field(default_factory=list)


class EventQueue:
    """Events of one application. Not thread-safe: whoever owns it holds a lock.

    :param schedule: tells the time and calls back.
    :param options: batch size, hold, visibility timeout, retention and order.
    """

    def __init__(self, schedule: Schedule, options: EmulatorOptions) -> None:
        self._schedule = schedule
        self._options = options
        self._random = Random(options.seed)  # noqa: S311 - an order, not a key
        self._kept: OrderedDict[_Message, None] = OrderedDict()
        self._ready: deque[_Message] = deque()
        self._by_handle: dict[str, _Message] = {}
        self._polls: OrderedDict[Poll, None] = OrderedDict()
        self._published = self._delivered = self._confirmed = self._expired = 0

    def publish(self, body: bytes) -> None:
        """Put an event in.

        :param body: one JSON object in UTF-8, without ``EventHandle``.
        """
        self._purge()
        message = _Message(body, self._schedule.now() + self._options.retention)
        self._kept[message] = None
        self._ready.append(message)
        self._published += 1
        self._meet()

    def pull(self, answer: Callable[[Sequence[Delivery]], None]) -> Poll:
        """Hand out what is visible, now or as soon as there is something; nothing, once the hold is over.

        :param answer: called exactly once with the deliveries, at once or later.
        :return: the poll, for abandoning it.
        """
        self._purge()
        poll = Poll(answer)
        self._polls[poll] = None
        self._meet()
        if poll in self._polls and self._options.hold > 0:
            poll.end_of_hold = self._schedule.after(self._options.hold, lambda: self._end_hold(poll))
        elif poll in self._polls:
            self._end_hold(poll)
        return poll

    def abandon(self, poll: Poll) -> bool:
        """Forget a waiting poll: it takes no event any more and is never answered.

        :return: whether it was still waiting.
        """
        if poll not in self._polls:
            return False
        del self._polls[poll]
        if poll.end_of_hold is not None:
            poll.end_of_hold.cancel()
        return True

    def valid(self, handle: str) -> bool:
        """:return: whether this handle can confirm its event now."""
        message = self._by_handle.get(handle)
        return message is not None and message.hidden_until is not None and self._schedule.now() < message.hidden_until

    def confirm(self, handles: Iterable[str]) -> list[str]:
        """Remove the events of all good handles.

        :param handles: as delivered.
        :return: the handles that are unknown, superseded, expired or already used.
        """
        bad = []
        for handle in handles:
            if not self.valid(handle):
                bad.append(handle)
                continue
            self._remove(self._by_handle[handle])
            self._confirmed += 1
        return bad

    def expire_handles(self, handles: Iterable[str] | None = None) -> None:
        """End the visibility timeout now.

        :param handles: of these deliveries; of all when left out.
        """
        chosen = list(self._by_handle) if handles is None else list(handles)
        self._reappear([(h, m) for h in chosen if (m := self._by_handle.get(h)) is not None])

    def counts(self, pushed: int = 0) -> QueueCounts:
        """:return: what is in here, and what was."""
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

    def _meet(self) -> None:
        while self._polls and self._ready:
            poll, _ = self._polls.popitem(last=False)
            poll.finish(self._take())

    def _take(self) -> list[Delivery]:
        if self._options.order == "random":
            self._random.shuffle(self._ready)
        taken = [self._ready.popleft() for _ in range(min(self._options.batch, len(self._ready)))]
        until = self._schedule.now() + self._options.visibility
        receipts = []
        for message in taken:
            handle = f"tdmq{uuid4().int % 10**19:019d}"
            if not self._options.older_handles_stay_good:
                self._forget_handles(message)
            message.hidden_until = until
            message.handles.append(handle)
            self._by_handle[handle] = message
            receipts.append((handle, message))
        self._delivered += len(taken)
        self._schedule.after(self._options.visibility, lambda: self._reappear(receipts, until))
        return [Delivery(handle, message.body) for handle, message in receipts]

    def _reappear(self, receipts: Iterable[tuple[str, _Message]], until: float | None = None) -> None:
        # `until` tells this delivery from a later one of the same event, whose time has not come yet.
        for handle, message in receipts:
            if message.hidden_until is None or handle not in self._by_handle:
                continue
            if until is None or message.hidden_until == until:
                message.hidden_until = None
                self._ready.append(message)
        self._meet()

    def _end_hold(self, poll: Poll) -> None:
        del self._polls[poll]
        poll.finish(())

    def _purge(self) -> None:
        now = self._schedule.now()
        while self._kept and (oldest := next(iter(self._kept))).expires_at <= now:
            if oldest.hidden_until is None:
                self._ready.remove(oldest)
            self._remove(oldest)
            self._expired += 1

    def _remove(self, message: _Message) -> None:
        self._forget_handles(message)
        del self._kept[message]
        message.hidden_until = None

    def _forget_handles(self, message: _Message) -> None:
        for handle in message.handles:
            self._by_handle.pop(handle, None)
        message.handles.clear()
