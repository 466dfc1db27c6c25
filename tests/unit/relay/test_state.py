"""The one record of a queue that all who look after it are shown."""

from __future__ import annotations

import json

from airflow_vod.inbox import InboxStore, Waiter
from airflow_vod.relay.state import state_of
from tests.samples import concat_event

QUEUE = "vod/1"


def test_a_queue_that_nobody_knows(inbox: InboxStore) -> None:
    """It has no relay, no waiters and no trouble."""
    state = state_of(inbox, QUEUE)
    assert (state["relay"], state["holder"], state["waiters"], state["trouble"]) == (None, None, 0, None)
    assert state["healthy"]


def test_what_the_last_relay_said_stays(inbox: InboxStore) -> None:
    """Also after it has gone: its trouble is told, with cause and time, while somebody waits, and nobody is said to pull."""
    inbox.waiters.add(QUEUE, [Waiter.of(f"dag/run/{n}", f"Concat-{n}") for n in range(3)], "host:1:x")
    info = {"failing_since_at": 1_800_000_000.0, "failure": "Connection refused"}
    for ttl in (60.0, 0.0):
        inbox.leases.acquire(QUEUE, "host:1:x", ttl, info=info)
        [longest, *_] = inbox.waiters.longest(QUEUE)
        state = state_of(inbox, QUEUE, now=(longest.since or 0.0) + 300, waiters=2)
        assert (state["holder"] is not None) == (ttl > 0)
        assert state["relay"]["failure"] == "Connection refused"
        assert "pulls have failed since 2027-01-15 08:00:00 UTC, Connection refused" in state["trouble"]
        assert [each["seconds"] for each in state["longest_waiters"]] == [300, 300]
        assert (state["waiters"], state["healthy"]) == (3, False)
        json.dumps(state)


def test_it_counts(inbox: InboxStore) -> None:
    """What is in the inbox is counted."""
    inbox.receive(QUEUE, [concat_event("Concat-1")], "pull")
    state = state_of(inbox, QUEUE)
    assert (state["events"], state["unread"], state["unparsed"]) == (1, 1, 0)
    assert state["newest"] == inbox.newest(QUEUE)[0].received_at
