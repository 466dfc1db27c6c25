"""Takes events out of a VOD queue into the inbox: pull, receive, confirm.

Invariants: nothing is confirmed before it is committed to the inbox; nothing that was pulled is dropped, not even what
cannot be read; only the holder of the queue's lease pulls. An event that is not confirmed comes back after 30 s, so a
failure anywhere costs time and a duplicate, which the inbox recognises.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent, VodEvent, read_event
from airflow_vod.exceptions import (
    InboxError,
    InboxUnavailableError,
    VodApiError,
    VodAuthenticationError,
    VodPushModeError,
)
from airflow_vod.inbox.leases import new_holder
from airflow_vod.tencent.client import PULL_HOLD, PULL_LIMIT
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from airflow_vod.inbox.store import InboxStore, Received
    from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)

CONFIRM_WINDOW = 30.0 - PULL_HOLD  # seconds; the queue takes a handle for 30 s after it was handed out (VOD API)
MODE_EVERY = 600.0  # seconds between questions whether the queue is in use
DEPTH_EVERY = 60.0  # seconds after which a relay that has not caught up asks how much is in the queue, and asks again
UPKEEP_EVERY = 3600.0  # seconds between prunings by a relay that goes on
UPKEEP_SHARE = 0.01  # of the relays that only drain; nobody else may be there to prune
LEASE_TTL = 12.0  # seconds without renewal after which another process takes over
LEASE_RENEWAL = 2.0  # seconds between renewals


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as the queue delivered it.

    :param event: what it says, or why it cannot be read.
    :param handle: VOD's receipt for this very delivery; None for a body that carries none and so cannot be confirmed.
    :param pulled_at: when the queue handed it out, by the relay's clock; at most `PULL_HOLD` too late.
    """

    event: VodEvent | UnparsedEvent
    handle: str | None
    pulled_at: float


@dataclass(slots=True)
class RelaySummary:
    """What a relay has done so far, in events unless it says otherwise."""

    pulls: int = 0  # calls of PullEvents that were answered
    pulled: int = 0
    stored: int = 0
    duplicates: int = 0
    unparsed: int = 0  # of those stored
    confirmed: int = 0
    left: int = (
        0  # in the inbox but not confirmed: nobody waits for them and the policy is `awaited`, or they have no handle
    )
    refused: int = 0  # the database would not have them; they stay in the queue
    let_go: int = 0  # not committed in time; they come back
    confirm_failures: int = 0  # refused or too late; these events come back and are recognised
    pull_failures: int = 0  # calls

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


class Relay:
    """The steps of a relay for one queue, and the lease that lets it take them.

    Pulls and confirms may run beside each other and beside everything else; commits, renewals of the lease and the
    accounts (``count_…``) have one thread each, not necessarily the same.

    :param client: the application whose queue is relayed.
    :param store: the inbox.
    :param on_received: called after each commit that stored something new.
    :param retention: seconds for which events stay in the inbox; None for ever.
    :param clock: seconds that only grow.
    """

    def __init__(
        self,
        client: VodClient,
        store: InboxStore,
        *,
        on_received: Callable[[], None] | None = None,
        retention: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.store = store
        self.queue = client.settings.queue
        self.holder = new_holder()
        self.summary = RelaySummary()
        self.clock = clock
        self.pull_pacer = pacer(client.settings.account, "PullEvents")
        self._on_received = on_received
        self._retention = retention
        self._in_use = True
        self._check_mode_at = float("-inf")
        self._ask_depth_at = clock() + DEPTH_EVERY
        self._upkeep_at = clock() + UPKEEP_EVERY * random.random() / 10  # noqa: S311
        self._lease_until = float("-inf")
        self._renew_at = float("-inf")
        self._last_pull_at: float | None = None  # these are Unix seconds, for people
        self._caught_up_at: float | None = None
        self._failing_since: float | None = None
        self.failure = ""  # why the latest pull failed, until one is answered
        self._depth: tuple[int, float] | None = None  # events in the queue, and when VOD said so

    # Upkeep

    def upkeep_due(self) -> bool:
        """Say whether it is time to `prune` again; true once for each time."""
        if self._retention is None or self.clock() < self._upkeep_at:
            return False
        self._upkeep_at = self.clock() + UPKEEP_EVERY
        return True

    def prune(self) -> None:
        """Remove events that are older than the retention; touches no state of the relay, and may run beside anything."""
        if self._retention is None:
            return
        try:
            if removed := self.store.prune(self._retention):
                log.info(
                    "Removed %d events of the inbox that were older than %g days", removed, self._retention / 86400
                )
        except InboxError as error:
            log.warning("The inbox was not pruned, and will be later: %s", error)

    # Is there a queue at all?

    def mode_due(self) -> bool:
        """Say whether it is time to `check_mode` again; true once for each time."""
        if self.clock() < self._check_mode_at:
            return False
        self._check_mode_at = self.clock() + MODE_EVERY
        return True

    def check_mode(self) -> bool:
        """Ask VOD how the application announces its events.

        :return: whether to pull: False where it calls back and this installation receives callbacks.
        :raises VodPushModeError: it calls back, and nobody here can receive that.
        """
        try:
            config = self.client.describe_event_config()
        except VodApiError as error:
            log.info("Queue %s is pulled although VOD does not say whether it is in use: %s", self.queue, error)
            return True
        if config.get("Mode") != "PUSH":
            return True
        if self.client.settings.takes_callbacks:
            return False
        raise VodPushModeError(
            "DescribeEventConfig",
            "PushMode",
            "the application announces its events by callback (PUSH), so its queue stays empty",
            remedy="Choose reliable callback (PULL) in the VOD console or with `airflow-vod doctor --fix`, or give the "
            "connection callback_sign_key or callback_token to receive callbacks.",
        )

    # How much is in it?

    def depth_due(self) -> bool:
        """Say whether it is time to `ask_depth` again; true once for each time, and never while pulls leave nothing behind."""
        if self.clock() < self._ask_depth_at:
            return False
        self._ask_depth_at = self.clock() + DEPTH_EVERY
        return True

    def ask_depth(self) -> int | None:
        """Ask VOD how many events are in the queue.

        :return: VOD's own count; None where it does not say, which harms nothing.
        """
        try:
            return self.client.describe_events_state(tries=1)
        except VodApiError as error:
            log.debug("VOD does not say how much is in queue %s: %s", self.queue, error)
            return None

    def count_depth(self, events: int | None) -> None:
        """Take down what `ask_depth` said."""
        if events is not None:
            self._depth = events, time.time()
            metrics.gauge("queue.depth", events, queue=self.queue)

    # The lease

    def acquire_lease(self) -> bool:
        """Acquire the lease of the queue, or renew it, now.

        :return: whether this relay holds it.
        :raises InboxUnavailableError: the database did not answer; what is left of the lease still counts.
        """
        if self._lease_until == float("-inf"):
            self._inherit()
        asked_at = self.clock()
        held = self.store.leases.acquire(self.queue, self.holder, LEASE_TTL, info=self._health())
        self._lease_until = asked_at + LEASE_TTL if held else float("-inf")
        self._renew_at = asked_at + LEASE_RENEWAL if held else float("-inf")
        return held

    def _inherit(self) -> None:
        """Learn what who held the lease before has seen of the queue, because this relay writes in its place."""
        lease = self.store.leases.read(self.queue)
        info = lease.info if lease else {}
        self._last_pull_at = _later(self._last_pull_at, info.get("last_pull_at"))
        self._caught_up_at = _later(self._caught_up_at, info.get("caught_up_at"))

    def holds_lease(self) -> bool:
        """Say whether a pull that starts now ends inside the lease, even if the server holds it."""
        return self.clock() + PULL_HOLD + 1 <= self._lease_until

    def _keep_lease(self) -> bool:
        """Renew the lease if a renewal is due."""
        if self.clock() >= self._renew_at:
            self.acquire_lease()
        return self.holds_lease()

    def release_lease(self) -> None:
        """Let another process pull at once."""
        held, self._lease_until, self._renew_at = self._lease_until, float("-inf"), float("-inf")
        if held == float("-inf"):
            return
        try:
            self.store.leases.release(self.queue, self.holder, info=self._health())
        except InboxError as error:
            log.warning("The lease of queue %s was not released and will run out by itself: %s", self.queue, error)

    def _health(self) -> dict[str, Any]:
        """What people on call see in the lease."""
        depth, asked_at = self._depth or (None, None)
        return {
            "last_pull_at": self._last_pull_at,
            "caught_up_at": self._caught_up_at,
            "in_queue": depth,
            "in_queue_at": asked_at,
            "failing_since": self._failing_since,
            "failure": self.failure[:200],
            **asdict(self.summary),
        }

    # The steps

    def pull(self) -> list[Delivery]:
        """Pull once and read what came.

        :raises VodApiError: the pull failed.
        """
        started = self.clock()
        items = self.client.pull_events()
        # The answer may have been long on its way, but the server has not held the pull for longer than it may.
        pulled_at = min(self.clock(), started + PULL_HOLD)
        return [Delivery(read_event(item), _handle(item), pulled_at) for item in items]

    def count_pull(self, deliveries: Sequence[Delivery]) -> None:
        """Account for a pull that was answered."""
        self._last_pull_at = time.time()
        self._failing_since, self.failure = None, ""
        self.summary.pulls += 1
        self.summary.pulled += len(deliveries)
        if len(deliveries) < PULL_LIMIT:
            self._caught_up_at = self._last_pull_at
            self._ask_depth_at = self.clock() + DEPTH_EVERY
            self.count_depth(0)
        if self._caught_up_at:
            metrics.gauge("queue.age", self._last_pull_at - self._caught_up_at, queue=self.queue)

    def count_pull_failure(self, error: VodApiError) -> None:
        """Account for a pull that failed."""
        self.summary.pull_failures += 1
        self._failing_since, self.failure = self._failing_since or time.time(), str(error)
        metrics.count("pull.failures", queue=self.queue)

    def receive(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Commit events to the inbox.

        :param deliveries: any number of events, of one pull or of several.
        :return: those that may be confirmed now.
        :raises InboxUnavailableError: nothing was committed; try again, or let the events come back.
        """
        if not deliveries:
            return []
        try:
            outcomes = self.store.receive(self.queue, [each.event for each in deliveries], "pull")
        except InboxUnavailableError:
            raise
        except Exception as error:
            if len(deliveries) == 1:
                self._refused(error)
                return []
            # One of them cannot be stored: it must not keep the others out.
            half = len(deliveries) // 2
            return self.receive(deliveries[:half]) + self.receive(deliveries[half:])
        metrics.timing("relay.lag", self.clock() - min(each.pulled_at for each in deliveries), queue=self.queue)
        self._count_received(deliveries, outcomes)
        confirmable = self._confirmable([each for each in deliveries if each.handle])
        self.summary.left += len(deliveries) - len(confirmable)
        return confirmable

    def _refused(self, error: Exception) -> None:
        log.error(
            "An event of queue %s cannot be stored and stays in the queue: %s",
            self.queue,
            error,
            exc_info=not self.summary.refused,  # once is enough to find the cause
        )
        self.summary.refused += 1

    def _count_received(self, deliveries: Sequence[Delivery], outcomes: Sequence[Received]) -> None:
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            if outcome.duplicate:
                self.summary.duplicates += 1
                continue
            self.summary.stored += 1
            if isinstance(delivery.event, UnparsedEvent):
                self.summary.unparsed += 1
                log.warning("Stored an event of queue %s unread: %s", self.queue, delivery.event.error)
        if self._on_received and not all(outcome.duplicate for outcome in outcomes):
            self._on_received()

    def _confirmable(self, stored: list[Delivery]) -> list[Delivery]:
        if self.client.settings.confirm_policy == "all":
            return stored
        try:
            awaited = self.store.waiters.awaited(self.queue, {each.event.key: _vod_task_id(each) for each in stored})
        except InboxUnavailableError as error:
            log.info("%d events of queue %s are left to their next delivery: %s", len(stored), self.queue, error)
            return []
        return [each for each in stored if each.event.key in awaited]

    def confirm(self, deliveries: Sequence[Delivery]) -> VodApiError | None:
        """Confirm events that are in the inbox.

        :return: why it failed, if it did: harmless, the events come back and are recognised.
        """
        try:
            self.client.confirm_events([each.handle for each in deliveries if each.handle])
        except VodApiError as error:
            return error
        return None

    def count_confirm(self, number: int, error: VodApiError | None) -> None:
        """Account for a confirm of `number` events."""
        if error is None:
            self.summary.confirmed += number
            return
        self.summary.confirm_failures += number
        metrics.count("confirm.failures", number, queue=self.queue)
        log.info("%d events of queue %s were not confirmed and will come again: %s", number, self.queue, error)

    # One step after the other

    def drain(self, until: Callable[[], bool]) -> bool:
        """Pull, receive and confirm in turn until the queue is empty or `until` is true; for a caller who waits alone.

        :param until: asked after each turn.
        :return: whether this relay was allowed to pull: False where another process holds the lease.
        :raises VodApiError: a pull failed.
        :raises InboxUnavailableError: the inbox did not answer.
        """
        if not self._keep_lease():
            return False
        try:
            if self.mode_due():
                self._in_use = self.check_mode()
            while self._in_use and self._keep_lease():
                self.pull_pacer.wait()
                deliveries = self.pull()
                self.count_pull(deliveries)
                confirmable = self.receive(deliveries)
                if confirmable:
                    error = self.confirm(confirmable)
                    self.count_confirm(len(confirmable), error)
                    if isinstance(error, VodAuthenticationError):
                        raise error
                if not deliveries or until():
                    break
            return True
        finally:
            self.release_lease()
            if random.random() < UPKEEP_SHARE:  # noqa: S311
                self.prune()


def _handle(item: Any) -> str | None:
    handle = item.get("EventHandle") if isinstance(item, dict) else None
    return handle if isinstance(handle, str) and handle else None


def _later(*moments: float | None) -> float | None:
    return max((moment for moment in moments if moment), default=None)


def _vod_task_id(delivery: Delivery) -> str | None:
    return delivery.event.vod_task_id if isinstance(delivery.event, VodEvent) else None
