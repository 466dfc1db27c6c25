"""Faults of relays, leases and the inbox."""

from __future__ import annotations

from typing import Any

from airflow_vod.exceptions import InboxUnavailableError
from airflow_vod.inbox.leases import Leases
from airflow_vod.inbox.store import InboxStore
from airflow_vod.relay import steps
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from tests.simulation.faults.planting import Set, fault_of

bug = fault_of("relays")


@bug
def confirm_first(change: Set) -> None:
    """Events are confirmed before they are committed."""
    receive = Relay.receive

    def both(self: Relay, deliveries: Any) -> Any:
        self.confirm(deliveries)
        return receive(self, deliveries)

    change(Relay, "receive", both)


@bug
def confirm_what_was_not_committed(change: Set) -> None:
    """A commit that failed counts as one that worked."""
    receive = Relay.receive

    def anyway(self: Relay, deliveries: Any) -> Any:
        try:
            return receive(self, deliveries)
        except InboxUnavailableError:
            return list(deliveries)

    change(Relay, "receive", anyway)


@bug
def drop_after_a_failed_commit(change: Set) -> None:
    """Events whose commit failed are confirmed with the next ones."""
    answered = Pipeline._commit_answered

    def drop(self: Pipeline, group: Any, stored: int, answer: Any) -> None:
        if isinstance(answer, InboxUnavailableError):
            self._unconfirmed.extend(group)
            group = []
        answered(self, group, stored, answer)

    change(Pipeline, "_commit_answered", drop)


@bug
def no_lease(change: Set) -> None:
    """Everybody pulls."""
    change(Relay, "holds_lease", lambda self: True)


@bug
def lease_counts_from_the_answer(change: Set) -> None:
    """The lease is believed to last from the database's answer on, not from the question."""

    def acquire(self: Relay) -> bool:
        held = self.store.leases.acquire(self.queue, self.holder, steps.LEASE_TTL, info=self.health.to_dict())
        self._lease_until = self.clock() + 2 * steps.LEASE_TTL if held else float("-inf")
        return held

    change(Relay, "acquire_lease", acquire)


@bug
def stolen_lease(change: Set) -> None:
    """Whoever asks gets the lease."""
    acquire = Leases.acquire

    def steal(self: Leases, queue: str, holder: str, ttl: float, **info: Any) -> bool:
        acquire(self, queue, holder, ttl, **info)
        return True

    change(Leases, "acquire", steal)


@bug
def no_dedupe(change: Set) -> None:
    """A redelivery is stored again."""
    row_of = InboxStore.receive.__globals__["row_of"]
    count = iter(range(10**9))
    change(
        __import__("airflow_vod.inbox.store", fromlist=["x"]),
        "row_of",
        lambda event: (f"{next(count)}{row_of(event)[0]}"[:64], *row_of(event)[1:]),
    )


@bug
def forgotten_confirm(change: Set) -> None:
    """What was confirmed in vain is not confirmed again when it comes again."""
    receive = Relay.receive

    def new_only(self: Relay, deliveries: Any) -> Any:
        before = self.summary.stored
        confirmable = receive(self, deliveries)
        return confirmable if self.summary.stored > before else []

    change(Relay, "receive", new_only)


@bug
def commit_never_ends(change: Set) -> None:
    """After a failed commit nothing is committed any more."""
    answered = Pipeline._commit_answered

    def stuck(self: Pipeline, group: Any, stored: int, answer: Any) -> None:
        answered(self, group, stored, answer)
        self._committing = isinstance(answer, InboxUnavailableError)

    change(Pipeline, "_commit_answered", stuck)


@bug
def half_a_batch(change: Set) -> None:
    """Of a full pull some events are dropped, and confirmed with the others."""
    store_receive = InboxStore.receive

    def some(self: InboxStore, queue: str, events: Any, source: Any) -> Any:
        received = store_receive(self, queue, events[:5], source)
        return [*received, *received[:1] * (len(events) - len(received))]

    change(InboxStore, "receive", some)
