"""The state of a queue as the inbox knows it: who pulls, who waits, what is wrong and since when.

Invariant: the page, ``airflow-vod relay status`` and ``airflow-vod doctor`` all show this one record, in its words; it is read
from the inbox alone, also after the last relay has gone, and asks VOD nothing.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_vod.relay.health import RelayHealth, trouble_of

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore
    from airflow_vod.inbox.records import Waiter

WAITERS = 10


def state_of(
    store: InboxStore, queue: str, *, by_callback: bool | None = None, waiters: int = WAITERS, now: float | None = None
) -> dict[str, Any]:
    """Gather what the inbox knows of a queue.

    :param store: the inbox.
    :param queue: its name.
    :param by_callback: as `trouble_of` takes it.
    :param waiters: of how many to tell, those who have waited longest.
    :param now: Unix seconds; None for now.
    :return: plain JSON: ``queue``; ``holder`` of the lease, ``held_since`` and ``lease_seconds_left``, each None where nobody
        pulls; ``relay``, what the holder says of itself or the last one said at its end (see `RelayHealth`), None where there
        was none; ``events``, ``unread``, ``unparsed``, ``waiters``, ``oldest`` and ``newest``, see `Counts`;
        ``longest_waiters``, each with ``waiter``, ``vod_task_id``, ``event_types``, ``since``, ``deadline``, ``asked_at`` and
        ``seconds``; ``trouble``, see `trouble_of`; and ``healthy``, whether there is none.
    :raises InboxUnavailableError: the database does not answer now.
    """
    now = time.time() if now is None else now
    lease, counts = store.leases.read(queue), store.counts(queue)
    longest = [_waiter(each, now) for each in store.waiters.longest(queue, max(waiters, 1))]
    held = lease if lease and not lease.expired else None
    waited = max((each["seconds"] or 0 for each in longest), default=0)
    trouble = trouble_of(lease, waited, now, by_callback=by_callback)
    return {
        "queue": queue,
        "holder": held.holder if held else None,
        "held_since": held.acquired_at if held else None,
        "lease_seconds_left": round(held.expires_at - now, 1) if held else None,
        "relay": RelayHealth.from_dict(lease.info).to_dict() if lease else None,
        **asdict(counts),
        "longest_waiters": longest[:waiters],
        "trouble": trouble,
        "healthy": trouble is None,
    }


def _waiter(waiter: Waiter, now: float) -> dict[str, Any]:
    return {
        "waiter": waiter.waiter,
        "vod_task_id": waiter.vod_task_id,
        "event_types": list(waiter.event_types),
        "since": waiter.since,
        "deadline": waiter.deadline,
        "asked_at": waiter.asked_at,
        "seconds": round(now - waiter.since) if waiter.since else None,
    }
