"""Faults of confirming only what is awaited."""

from __future__ import annotations

from typing import Any

from airflow_vod.inbox.waiters import Waiters
from airflow_vod.relay.steps import Relay
from tests.simulation.faults.planting import Set, fault_of

bug = fault_of("awaited")


@bug
def everything_is_awaited(change: Set) -> None:
    """What nobody waits for is confirmed like the rest."""
    change(Relay, "_confirmable", lambda self, stored: stored)


@bug
def one_that_is_awaited_stands_for_all(change: Set) -> None:
    """Of what was pulled together all is confirmed as soon as somebody waits for one."""
    confirmable = Relay._confirmable
    change(Relay, "_confirmable", lambda self, stored: stored if confirmable(self, stored) else [])


@bug
def nothing_is_awaited(change: Set) -> None:
    """Nothing is confirmed at all."""
    change(Relay, "_confirmable", lambda self, stored: [])


@bug
def who_has_read_is_forgotten(change: Set) -> None:
    """What was read before it could be confirmed counts as foreign."""
    awaited = Waiters.awaited

    def only_listed(self: Waiters, queue: str, events: Any) -> set[str]:
        listed = {line.vod_task_id for line in self.longest(queue)}
        return awaited(self, queue, {key: task for key, task in events.items() if task in listed})

    change(Waiters, "awaited", only_listed)
