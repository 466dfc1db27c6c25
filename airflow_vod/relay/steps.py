"""Moves events from a VOD queue into the inbox: pull, receive, confirm.

Invariants: nothing is confirmed before it is committed to the inbox; nothing that was pulled is dropped, not even an event
that cannot be read; only the holder of the queue's lease pulls. An event that is not confirmed comes back after 30 s, so a
failure anywhere costs time and a duplicate, which the inbox recognises.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent, VodEvent, read_event
from airflow_vod.exceptions import (
    InboxError,
    InboxUnavailableError,
    VodApiError,
    VodAuthenticationError,
    VodInvalidRequestError,
    VodPushModeError,
)
from airflow_vod.inbox.leases import new_holder
from airflow_vod.relay.health import RelayHealth
from airflow_vod.relay.upkeep import Upkeep
from airflow_vod.tencent.client import PULL_HOLD, PULL_LIMIT
from airflow_vod.tencent.pacing import pacer

if TYPE_CHECKING:
    from airflow_vod.inbox.store import InboxStore, Received
    from airflow_vod.tencent.client import VodClient

log = logging.getLogger(__name__)

CONFIRM_WINDOW = 30.0 - PULL_HOLD  # seconds; the queue takes a handle for 30 s after it was handed out (VOD API)
MODE_EVERY = 600.0  # seconds between checks whether VOD puts events into the queue at all
DEPTH_EVERY = 60.0  # seconds without catching up after which a relay asks how much is in the queue, and asks again
# A pull that is open when the lease runs out harms nothing: VOD hides from the next holder what it brings, and it is stored and
# confirmed here as always. So the lease may be shorter than a long poll, and a killed holder is replaced the sooner.
LEASE_TTL = 4.0  # seconds without renewal after which another process takes over
NO_PULL_BEFORE_END = (
    1.0  # seconds of it in which no pull starts: those of two holders never count against one second's limit
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as the queue delivered it.

    :param event: what it says, or why it cannot be read.
    :param handle: VOD's receipt for this very delivery; None for a body that carries none and so cannot be confirmed.
    :param pulled_monotonic: when the queue handed it out, by the relay's clock; at most `PULL_HOLD` too late.
    """

    event: VodEvent | UnparsedEvent
    handle: str | None
    pulled_monotonic: float


class Relay:
    """The steps of a relay for one queue, and the lease that permits them.

    Pulls and confirms may run concurrently with each other and with everything else; commits, lease renewals and the
    accounting (``count_…``) run in one thread each, not necessarily the same.

    :param client: the application whose queue is relayed.
    :param store: the inbox.
    :param on_received: called after each commit that stored something new, in the thread of the commit.
    :param retention: seconds for which events stay in the inbox; None for ever.
    :param clock: monotonic seconds.
    :param wall_clock: Unix seconds, for people.
    :param rng: spreads the prunings of many relays.
    """

    def __init__(
        self,
        client: VodClient,
        store: InboxStore,
        *,
        on_received: Callable[[], None] | None = None,
        retention: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.client = client
        self.store = store
        self.queue = client.settings.queue
        self.holder = new_holder()
        self.health = RelayHealth()
        self.summary = self.health.summary
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311
        self.pull_pacer = pacer(client.settings.account, "PullEvents")
        self._wall_clock = wall_clock
        self._on_received = on_received
        # Monotonic, as all that `clock` tells:
        self._check_mode_due = float("-inf")
        self._ask_depth_due = clock() + DEPTH_EVERY
        self._lease_until = float("-inf")
        self.upkeep = Upkeep(
            store, self.queue, self.health, retention, clock=clock, wall_clock=wall_clock, rng=self.rng
        )

    # Whether there is anything to pull

    def mode_due(self) -> bool:
        """Say whether it is time to `check_mode` again; true once for each time."""
        if self.clock() < self._check_mode_due:
            return False
        self._check_mode_due = self.clock() + MODE_EVERY
        return True

    def check_mode(self) -> bool:
        """Ask VOD how the application announces its events.

        :return: whether to pull: False if it calls back and this installation receives callbacks.
        :raises VodPushModeError: it calls back, and this installation does not receive callbacks.
        """
        try:
            config = self.client.describe_event_config()
        except VodApiError as error:
            log.info("VOD does not say whether queue %s is in use, so it is pulled: %s", self.queue, error)
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
            "connection callback_secret or callback_token to receive callbacks.",
        )

    def count_mode(self, in_use: bool) -> None:
        """Take down what `check_mode` returned."""
        self.health.by_callback = not in_use
        if not in_use:
            self.health.failing_since_at, self.health.failure = None, ""

    # How much is in the queue

    def depth_due(self) -> bool:
        """Say whether it is time to `ask_depth` again; true once for each time, and never while pulls empty the queue."""
        if self.clock() < self._ask_depth_due:
            return False
        self._ask_depth_due = self.clock() + DEPTH_EVERY
        return True

    def ask_depth(self) -> int | None:
        """Ask VOD how many events are in the queue.

        :return: VOD's own count; None if it does not say, which is harmless.
        """
        try:
            return self.client.describe_events_state(tries=1)
        except VodApiError as error:
            log.debug("VOD does not say how much is in queue %s: %s", self.queue, error)
            return None

    def count_depth(self, events: int | None) -> None:
        """Take down what `ask_depth` returned."""
        if events is not None:
            self.health.in_queue, self.health.in_queue_at = events, self._wall_clock()
            metrics.gauge("queue.depth", events, queue=self.queue)

    # The lease

    def acquire_lease(self) -> bool:
        """Acquire the lease of the queue, or renew it, now.

        :return: whether this relay holds it.
        :raises InboxUnavailableError: the database did not answer; what is left of the lease still counts.
        """
        if self._lease_until == float("-inf"):
            self._inherit()
        asked = self.clock()
        held = self.store.leases.acquire(self.queue, self.holder, LEASE_TTL, info=self.health.to_dict())
        self._lease_until = asked + LEASE_TTL if held else float("-inf")
        return held

    def _inherit(self) -> None:
        """Learn what the previous holder of the lease saw of the queue, because this relay overwrites its record."""
        lease = self.store.leases.read(self.queue)
        before = RelayHealth.from_dict(lease.info if lease else {})
        self.health.last_pull_at = _later(self.health.last_pull_at, before.last_pull_at)
        self.health.caught_up_at = _later(self.health.caught_up_at, before.caught_up_at)
        if (
            self.health.last_pull_at == before.last_pull_at
        ):  # until a pull succeeds it is the same trouble, whoever pulls
            self.health.failing_since_at, self.health.failure = before.failing_since_at, before.failure
            self.health.pulls_refused = before.pulls_refused
        self.health.rivals, self.health.rivals_until_at = before.rivals, before.rivals_until_at

    def holds_lease(self) -> bool:
        """Say whether a pull may start now; it may end after the lease."""
        return self.clock() + NO_PULL_BEFORE_END <= self._lease_until

    def release_lease(self) -> None:
        """Let another process pull at once; does nothing if the lease was not held."""
        held, self._lease_until = self._lease_until > float("-inf"), float("-inf")
        if not held:
            return
        try:
            self.store.leases.release(self.queue, self.holder, info=self.health.to_dict())
        except InboxError as error:
            log.warning("The lease of queue %s could not be released and will expire by itself: %s", self.queue, error)

    # The steps

    def pull(self) -> list[Delivery]:
        """Pull once and read what came.

        :return: the events; empty if there was none.
        :raises VodApiError: the pull failed.
        """
        started = self.clock()
        items = self.client.pull_events()
        # The answer may have travelled for long, but the server has not held the pull for longer than it may.
        pulled_monotonic = min(self.clock(), started + PULL_HOLD)
        return [Delivery(read_event(item), _handle(item), pulled_monotonic) for item in items]

    def count_pull(self, deliveries: Sequence[Delivery]) -> None:
        """Account for a pull that was answered."""
        health, now = self.health, self._wall_clock()
        health.last_pull_at = now
        health.failing_since_at, health.failure, health.pulls_refused = None, "", False
        self.summary.pulls += 1
        self.summary.pulled += len(deliveries)
        if len(deliveries) < PULL_LIMIT:
            health.caught_up_at = now
            self._ask_depth_due = self.clock() + DEPTH_EVERY
            self.count_depth(0)
        if health.caught_up_at:
            metrics.gauge("queue.age", now - health.caught_up_at, queue=self.queue)

    def count_pull_failure(self, error: VodApiError) -> None:
        """Account for a pull that failed."""
        self.summary.pull_failures += 1
        self.health.failing_since_at = self.health.failing_since_at or self._wall_clock()
        self.health.failure = str(error)
        self.health.pulls_refused = isinstance(error, (VodAuthenticationError, VodInvalidRequestError))
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
            # One of them cannot be stored: it must not block the others.
            half = len(deliveries) // 2
            return self.receive(deliveries[:half]) + self.receive(deliveries[half:])
        metrics.timing("relay.lag", self.clock() - min(each.pulled_monotonic for each in deliveries), queue=self.queue)
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
                log.warning("Stored an event of queue %s that cannot be read: %s", self.queue, delivery.event.error)
        if self._on_received and not all(outcome.duplicate for outcome in outcomes):
            self._on_received()

    def _confirmable(self, stored: list[Delivery]) -> list[Delivery]:
        if self.client.settings.confirm_policy == "all":
            return stored
        try:
            awaited = self.store.waiters.awaited(self.queue, {each.event.key: _vod_task_id(each) for each in stored})
        except InboxUnavailableError as error:
            log.info(
                "%d events of queue %s wait for their next delivery to be confirmed: %s", len(stored), self.queue, error
            )
            return []
        return [each for each in stored if each.event.key in awaited]

    def confirm(self, deliveries: Sequence[Delivery]) -> VodApiError | None:
        """Confirm events that are in the inbox.

        :return: why it failed, or None: a failure is harmless, because the events come back and are recognised.
        """
        try:
            self.client.confirm_events([each.handle for each in deliveries if each.handle])
        except VodApiError as error:
            return error
        return None

    def count_confirm(self, number: int, error: VodApiError | None) -> None:
        """Account for a confirm.

        :param number: of its events.
        :param error: what `confirm` returned.
        """
        if error is None:
            self.summary.confirmed += number
            return
        self.summary.confirm_failures += number
        metrics.count("confirm.failures", number, queue=self.queue)
        log.info("%d events of queue %s were not confirmed and will come again: %s", number, self.queue, error)


def _handle(item: Any) -> str | None:
    handle = item.get("EventHandle") if isinstance(item, dict) else None
    return handle if isinstance(handle, str) and handle else None


def _later(*moments: float | None) -> float | None:
    return max((moment for moment in moments if moment), default=None)


def _vod_task_id(delivery: Delivery) -> str | None:
    return delivery.event.vod_task_id if isinstance(delivery.event, VodEvent) else None
