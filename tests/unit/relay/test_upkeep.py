"""The chores of a relay come when they are due."""

from __future__ import annotations

import random

from airflow_vod.inbox import InboxStore
from airflow_vod.relay.health import RelayHealth
from airflow_vod.relay.rivals import LOOK_EVERY
from airflow_vod.relay.upkeep import PRUNE_EVERY, Upkeep
from tests.samples import Clock, concat_event


def upkeep(inbox: InboxStore, clock: Clock, retention: float | None) -> Upkeep:
    """The upkeep of a queue."""
    return Upkeep(inbox, "vod/1", RelayHealth(), retention, clock=clock, wall_clock=clock, rng=random.Random(1))


def test_each_chore_is_due_once_for_each_time(inbox: InboxStore) -> None:
    """Others who pull are looked for at once and then every ten minutes, also where nothing is pruned."""
    clock = Clock(0.0)
    one = upkeep(inbox, clock, None)
    seen = []
    for _ in range(61):
        seen.append(len(list(one.due())))
        clock.now += LOOK_EVERY / 10
    assert (seen[0], sum(seen)) == (1, 7)


def test_what_is_old_goes(open_inbox: object) -> None:
    """By the retention."""
    clock = Clock(1_800_000_000.0)
    inbox = open_inbox(clock=clock)  # type: ignore[operator]
    inbox.receive("vod/1", [concat_event("Concat-1")], "pull")
    clock.now += PRUNE_EVERY
    one = upkeep(inbox, clock, 60.0)
    one.prune()
    assert inbox.newest("vod/1") == []
