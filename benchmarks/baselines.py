"""Triggers to compare with.

Invariant: each does the least that its way of waiting needs.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

INTERVAL = 5.0  # seconds between two looks of a trigger that looks for itself


class IdleTrigger(BaseTrigger):
    """Waits for what never comes: Airflow's own cost of a trigger."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Write this trigger as Airflow stores it."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        await asyncio.Event().wait()
        yield TriggerEvent({})


class LookingTrigger(IdleTrigger):
    """Looks into the inbox for itself, again and again."""

    def __init__(self, vod_task_id: str) -> None:
        super().__init__()
        self.vod_task_id = vod_task_id

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something."""
        from airflow_vod.hooks.config import inbox_url, open_inbox
        from airflow_vod.inbox.lookup import look

        store = await asyncio.to_thread(open_inbox, inbox_url())
        await asyncio.sleep(random.uniform(0, INTERVAL))
        while not (await asyncio.to_thread(look, store, "queue", [self.vod_task_id])).complete:  # noqa: ASYNC110
            await asyncio.sleep(INTERVAL)
        yield TriggerEvent({"status": "found"})


def idle(vod_task_id: str) -> BaseTrigger:
    """:return: a trigger that waits for nothing."""
    return IdleTrigger()


def looking(vod_task_id: str) -> BaseTrigger:
    """:return: a trigger that looks for itself."""
    return LookingTrigger(vod_task_id)
