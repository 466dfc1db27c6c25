"""What the one relay of a queue does beside relaying, now and then.

Invariant: a chore writes nothing that the relay writes, so it may run at any time, take long, and be broken off.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from airflow_vod.exceptions import InboxError
from airflow_vod.relay.rivals import LOOK_EVERY, Rivals

if TYPE_CHECKING:
    from airflow_vod.inbox.store import InboxStore
    from airflow_vod.relay.health import RelayHealth

log = logging.getLogger(__name__)

PRUNE_EVERY = 3600.0  # seconds


class Upkeep:
    """Says which chores are due.

    :param store: the inbox.
    :param queue: of the relay.
    :param health: what the relay says of itself.
    :param retention: seconds for which events stay in the inbox; None for ever.
    :param clock: monotonic seconds.
    :param wall_clock: Unix seconds.
    :param rng: spreads the prunings of many relays.
    """

    def __init__(
        self,
        store: InboxStore,
        queue: str,
        health: RelayHealth,
        retention: float | None,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock
        self._rivals = Rivals(store, queue, health, wall_clock)
        self._prune_due = clock() + PRUNE_EVERY * rng.random() / 10
        self._look_due = float("-inf")  # who looked last, in whatever process, is in the inbox

    def due(self) -> Iterator[Callable[[], None]]:
        """Yield each chore that is due; once for each time."""
        now = self._clock()
        if self._retention is not None and now >= self._prune_due:
            self._prune_due = now + PRUNE_EVERY
            yield self.prune
        if now >= self._look_due:
            self._look_due = now + LOOK_EVERY
            yield self._rivals.look

    def prune(self) -> None:
        """Remove events that are older than the retention."""
        if self._retention is None:
            return
        try:
            if removed := self._store.prune(self._retention):
                log.info("Removed %d events older than %g days from the inbox", removed, self._retention / 86400)
        except InboxError as error:
            log.warning("The inbox could not be pruned and will be later: %s", error)
