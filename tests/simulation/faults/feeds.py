"""Faults of the feeds of asset watchers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow_vod.waiting.feed import Feed
from airflow_vod.waiting.producer import VodEventProducer
from tests.simulation.faults.planting import Set, fault_of

bug = fault_of("feeds")


@bug
def the_cursor_passes_open_events(change: Set) -> None:
    """Where no more counts, the cursor goes on although what was handed out is not stored."""

    async def onwards(self: Feed, position: int) -> None:
        if position > self._position:
            self._position = position
            await self.acknowledge(position)

    change(Feed, "_pass", onwards)


@bug
def handed_out_is_stored(change: Set) -> None:
    """The cursor passes an event as soon as Airflow takes it."""
    events = Feed.events

    async def acknowledged(self: Feed) -> AsyncIterator[tuple[dict[str, Any], int]]:
        async for event, position in events(self):
            yield event, position
            await self.acknowledge(position)

    change(Feed, "events", acknowledged)


@bug
def the_latest_stands_for_all(change: Set) -> None:
    """What is stored acknowledges the whole of what was handed out."""
    acknowledge = Feed.acknowledge
    change(Feed, "acknowledge", lambda self, position: acknowledge(self, max(position, self._position)))


@bug
def everybody_hands_out(change: Set) -> None:
    """Of two triggerers that run a watcher both hand out."""
    change(Feed, "_may_hand_out", lambda self: True)


@bug
def the_cursor_stays(change: Set) -> None:
    """What Airflow has stored is not acknowledged."""

    async def forget(self: VodEventProducer, batch: Any) -> None:
        """Do nothing."""

    change(VodEventProducer, "advance", forget)
