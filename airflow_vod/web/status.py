"""How the relay of a queue is doing and who waits, as the page "VOD events" shows it.

Invariant: health is judged by `airflow_vod.relay.health` alone, whoever holds the lease and whether anybody does; so the page
says what ``airflow-vod relay status`` says.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_vod.relay.health import RelayHealth, trouble_of

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore, Waiter

WAITERS_SHOWN = 100
_WAITERS_READ = 1000  # of those that are not found by an id


def status_of(store: InboxStore, queue: str) -> dict[str, Any]:
    """Gather the state of a queue. Reads a few rows, so that trouble is never shown late.

    :param store: the inbox.
    :param queue: name of the queue.
    :return: plain JSON: ``holder`` of the lease and since when, both None where nobody pulls; what the last holder said of
        itself (``relay``); since when somebody has waited; ``trouble``, a sentence, None where all is well.
    :raises InboxUnavailableError: the database does not answer now.
    """
    lease, now = store.leases.read(queue), time.time()
    held = lease is not None and not lease.expired
    waiting_since = min((each.since for each in store.waiters.longest(queue, 1) if each.since), default=None)
    return {
        "queue": queue,
        "holder": lease.holder if lease and held else None,
        "held_since": lease.acquired_at if lease and held else None,
        "relay": RelayHealth.from_dict(lease.info if lease else {}).to_dict(),
        "waiting_since": waiting_since,
        "trouble": trouble_of(lease, now - waiting_since if waiting_since else 0.0, now),
    }


def waiters_of(
    store: InboxStore, queues: Collection[str], vod_task_ids: Collection[str], event_type: str | None
) -> list[dict[str, Any]]:
    """List who waits, the longest wait first.

    :param store: the inbox.
    :param queues: names of the queues.
    :param vod_task_ids: only waiters for these VOD tasks; empty for all.
    :param event_type: only waiters that such an event may end; None for all.
    :return: plain JSON, one more than `WAITERS_SHOWN` at most.
    :raises InboxUnavailableError: the database does not answer now.
    """
    found: list[tuple[str, Waiter]] = []
    for queue in queues:
        some = (
            store.waiters.of_tasks(queue, vod_task_ids) if vod_task_ids else store.waiters.longest(queue, _WAITERS_READ)
        )
        found += [
            (queue, each) for each in some if event_type is None or event_type in (each.event_types or [event_type])
        ]
    found.sort(key=lambda each: each[1].since or 0.0)
    return [{"queue": queue, **asdict(waiter)} for queue, waiter in found[: WAITERS_SHOWN + 1]]
