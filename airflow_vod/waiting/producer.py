"""The asset watcher's side of Airflow's shared streams, which exist from Airflow 3.3 on.

Invariant: an event is acknowledged only when Airflow says that it, and every one before it, is stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

if TYPE_CHECKING:
    from airflow_vod.waiting.feed import Feed


@dataclass(slots=True)
class Handed:
    """One event on its way through Airflow.

    :param event: what becomes the asset event's payload.
    :param position: where it is in the inbox.
    :param over: whether Airflow has taken it from the trigger. A trigger that is cancelled before that looks to Airflow as if it
        had passed the event by on purpose, and so as done with it.
    """

    event: dict[str, Any]
    position: int
    over: bool = False


class VodEventProducer(SharedStreamProducer):
    """Hands the events of a feed to Airflow.

    :param feed: of one watcher.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._broken = False  # an event was not stored: the next producer starts with it

    async def open_stream(self) -> AsyncIterator[tuple[Handed, Handed]]:
        """Hand out events."""
        async for event, position in self._feed.events():
            handed = Handed(event, position)
            yield handed, handed

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Acknowledge what is stored, up to the first event that is not."""
        stored = None
        for handed, outcome in batch:
            self._broken = self._broken or not outcome.is_clean or not handed.over
            if not self._broken:
                stored = handed.position
        if stored is not None:
            await self._feed.acknowledge(stored)

    async def aclose(self) -> None:
        """Let another process go on at once."""
        await self._feed.aclose()
