"""Faults of taking callbacks in, and of noticing how an application announces its events."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

from airflow_vod.inbox import Received
from airflow_vod.relay.steps import Relay
from airflow_vod.web import callbacks
from airflow_vod.web.intake import Intake
from tests.simulation.faults.planting import Set, fault_of

bug = fault_of("callbacks")


@bug
def answered_before_the_commit(change: Set) -> None:
    """A callback is answered as soon as its event is at hand."""
    receive = Intake.receive

    async def soon(self: Intake, queue: str, event: Any) -> Received:
        task = asyncio.ensure_future(receive(self, queue, event))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Received(event.key, 0, duplicate=False)

    change(Intake, "receive", soon)


@bug
def a_failed_commit_is_a_commit(change: Set) -> None:
    """Who waits for a commit that failed is told that it worked."""
    store = Intake._store

    async def optimistic(self: Intake, queue: str, group: Any) -> None:
        futures = [stored for _, stored in group]
        shadow = [(event, asyncio.get_running_loop().create_future()) for event, _ in group]
        await store(self, queue, shadow)
        for (event, outcome), stored in zip(shadow, futures, strict=True):
            outcome.exception()
            if not stored.done():
                stored.set_result(Received(event.key, 0, duplicate=False))

    change(Intake, "_store", optimistic)


@bug
def half_a_group(change: Set) -> None:
    """Of callbacks that come together only the first is stored."""
    store = Intake._store

    async def first(self: Intake, queue: str, group: Any) -> None:
        await store(self, queue, group[:1])
        for event, stored in group[1:]:
            if not stored.done():
                stored.set_result(Received(event.key, 0, duplicate=False))

    change(Intake, "_store", first)


@bug
def a_callback_is_another_event(change: Set) -> None:
    """What comes by callback is not recognised when it comes again."""
    event_in, count = callbacks.event_in, itertools.count()

    def anew(body: bytes, settings: Any) -> Any:
        event = event_in(body, settings)
        return replace(event, key=f"{next(count)}{event.key}"[:64])

    change(callbacks, "event_in", anew)


@bug
def the_mode_is_asked_once(change: Set) -> None:
    """A relay that has seen PUSH never pulls again."""
    due = Relay.mode_due

    def once(self: Relay) -> bool:
        asked, self._mode_was_asked = getattr(self, "_mode_was_asked", False), True  # type: ignore[attr-defined]
        return not asked and due(self)

    change(Relay, "mode_due", once)
