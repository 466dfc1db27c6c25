"""How the relay of a queue is doing, for people on call.

Invariant: it only reads; asking costs the queue nothing.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TextIO

from airflow_vod.cli.output import age
from airflow_vod.exceptions import VodApiError, printable
from airflow_vod.hooks.server import ServerHook
from airflow_vod.relay.health import RelayHealth, trouble_of
from airflow_vod.tencent.client import VodClient

if TYPE_CHECKING:
    from airflow_vod.inbox.records import Lease
    from airflow_vod.tencent.settings import VodSettings

_WAITERS_SHOWN = 10


def status_of(vod_conn_id: str, sub_app_id: int | None = None) -> dict[str, Any]:
    """Gather what is known of a queue.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :return: plain JSON: ``queue``, ``inbox``, ``holder`` and since when, ``lease_seconds_left``, ``relay`` (what the holder
        says of itself, or said at its end), ``mode`` (of the application, PULL or PUSH; None where VOD did not say),
        ``waiting_in_vod`` (approximate, about three minutes old; None with
        ``waiting_in_vod_error`` where VOD did not say), ``events``, ``unread``, ``unparsed``, ``waiters`` and the
        ``longest_waiters``, ``trouble`` (see `trouble_of`) and ``healthy``: whether there is none.
    :raises VodError: the connection or the inbox cannot be used.
    """
    hook = ServerHook(vod_conn_id, sub_app_id=sub_app_id)
    settings, store = hook.get_settings(), hook.get_inbox()
    lease, counts = store.leases.read(settings.queue), store.counts(settings.queue)
    now = time.time()
    status: dict[str, Any] = {
        "queue": settings.queue,
        "inbox": store.url,
        "holder": lease.holder if lease and not lease.expired else None,
        "held_since": lease.acquired_at if lease and not lease.expired else None,
        "lease_seconds_left": round(lease.expires_at - now, 1) if lease and not lease.expired else None,
        "relay": RelayHealth.from_dict(lease.info).to_dict() if lease else None,
        "events": counts.events,
        "unread": counts.unread,
        "unparsed": counts.unparsed,
        "newest_event_at": counts.newest,
        "waiters": counts.waiters,
        "longest_waiters": [
            {
                "waiter": waiter.waiter,
                "vod_task_id": waiter.vod_task_id,
                "event_types": list(waiter.event_types),
                "seconds": round(now - waiter.since) if waiter.since else None,
            }
            for waiter in store.waiters.longest(settings.queue, _WAITERS_SHOWN)
        ],
    }
    client = VodClient(settings)
    status |= {"mode": None, "waiting_in_vod": None}
    try:
        status["waiting_in_vod"] = client.describe_events_state()
        status["mode"] = client.describe_event_config().get("Mode")
    except VodApiError as error:
        status["waiting_in_vod_error"] = str(error)
    finally:
        client.close()
    status["trouble"] = _trouble(status, lease, settings)
    status["healthy"] = status["trouble"] is None
    return status


def _trouble(status: dict[str, Any], lease: Lease | None, settings: VodSettings) -> str | None:
    waited = max((each["seconds"] or 0 for each in status["longest_waiters"]), default=0)
    by_callback = None if status["mode"] is None else status["mode"] == "PUSH" and settings.takes_callbacks
    return trouble_of(lease, waited, time.time(), by_callback=by_callback)


def print_status(vod_conn_id: str, sub_app_id: int | None, out: TextIO, *, as_json: bool) -> int:
    """Print `status_of`.

    :param out: where.
    :return: exit status: 0, or 2 where it is not healthy.
    """
    status = status_of(vod_conn_id, sub_app_id)
    print(json.dumps(status, indent=2) if as_json else _text(status), file=out)
    return 0 if status["healthy"] else 2


def _text(status: dict[str, Any]) -> str:
    relay = RelayHealth.from_dict(status["relay"] or {})
    lines = [
        f"Queue     {status['queue']}, inbox {status['inbox']}",
        f"Lease     {_lease(status)}",
        f"Last pull {_ago(relay.last_pull_at)}; caught up with the queue {_ago(relay.caught_up_at)}",
        f"In VOD    {_backlog(status)}",
        f"In inbox  {status['events']} events, {status['unread']} unread, {status['unparsed']} that cannot be read; "
        f"newest {_ago(status['newest_event_at'])}",
        f"Waiters   {status['waiters']}",
    ]
    if relay.failing_since_at:
        lines.insert(3, f"Trouble   pulls have failed since {_ago(relay.failing_since_at)}: {relay.failure}")
    if status["trouble"]:
        lines.append(f"Unhealthy {status['trouble']}")
    lines += [f"          {_waiter(each)}, {age(each['seconds'] or 0)}" for each in status["longest_waiters"]]
    return "\n".join(map(printable, lines))


def _waiter(waiter: dict[str, Any]) -> str:
    wanted = waiter["vod_task_id"] or " or ".join(waiter["event_types"]) or "any event"
    return waiter["waiter"] if wanted in waiter["waiter"] else f"{waiter['waiter']} for {wanted}"


def _lease(status: dict[str, Any]) -> str:
    if not status["holder"]:
        return "nobody pulls"
    return f"{status['holder']}, since {_ago(status['held_since'])}, {status['lease_seconds_left']} s left"


def _backlog(status: dict[str, Any]) -> str:
    if status["mode"] == "PUSH":
        return "nothing: events come by callback (PUSH)"
    if status["waiting_in_vod"] is None:
        return f"unknown: {status['waiting_in_vod_error']}"
    return f"about {status['waiting_in_vod']} events (VOD's own count, some minutes old)"


def _ago(when: float | None) -> str:
    return "never" if when is None else f"{age(time.time() - when)} ago"
