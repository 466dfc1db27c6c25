"""Waits for events by what they say, again and again.

Invariant: a follower is only told that there may be something for it; what that is, its owner reads from the inbox, from
the position it has got to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_vod.waiting.waiter import MatchWaiter

if TYPE_CHECKING:
    from airflow_vod.events.matching import EventMatch
    from airflow_vod.inbox import StoredEvent


class Follower(MatchWaiter):
    """Somebody who follows a queue, such as an asset watcher.

    :param match: what an event must be to count.
    :param name: who follows; for people on call.
    """

    __slots__ = ("_news",)

    def __init__(self, match: EventMatch, *, name: str = "") -> None:
        super().__init__(match, name=name)
        self._news = False

    async def next(self, seconds: float) -> None:
        """Wait until there may be something new, see `MatchWaiter.next`."""
        await super().next(seconds)
        self._news = False

    def _has_news(self) -> bool:
        return self._news

    def note_look(self) -> None:
        """Take the look into the inbox for news: only the owner knows from which position on it is to look."""
        super().note_look()
        self._news = True
        self.wake()

    def deliver(self, event: StoredEvent) -> None:
        """Tell that there is something, in the follower's event loop."""
        self._news = True
        self.wake()
