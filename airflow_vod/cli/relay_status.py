"""How the relay of a queue is doing, for people on call.

Invariant: it only reads; asking costs the queue nothing.
"""

from __future__ import annotations

import json
import time
from typing import Any, TextIO

from airflow_vod.cli.output import age
from airflow_vod.exceptions import VodApiError, printable
from airflow_vod.hooks.server import ServerHook
from airflow_vod.relay.health import RelayHealth, utc
from airflow_vod.relay.state import state_of
from airflow_vod.tencent.client import VodClient


def status_of(vod_conn_id: str, sub_app_id: int | None = None) -> dict[str, Any]:
    """Gather what is known of a queue.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: another application than the connection's.
    :return: what `state_of` returns, and ``inbox``, its URL without password; ``mode`` (of the application, PULL or PUSH; None
        where VOD did not say); ``waiting_in_vod`` (approximate, about three minutes old; None with ``waiting_in_vod_error``
        where VOD did not say).
    :raises VodError: the connection or the inbox cannot be used.
    """
    hook = ServerHook(vod_conn_id, sub_app_id=sub_app_id)
    settings, store = hook.get_settings(), hook.get_inbox()
    client = VodClient(settings)
    asked: dict[str, Any] = {"mode": None, "waiting_in_vod": None}
    try:
        asked["waiting_in_vod"] = client.describe_events_state()
        asked["mode"] = client.describe_event_config().get("Mode")
    except VodApiError as error:
        asked["waiting_in_vod_error"] = str(error)
    finally:
        client.close()
    by_callback = None if asked["mode"] is None else asked["mode"] == "PUSH" and settings.takes_callbacks
    return state_of(store, settings.queue, by_callback=by_callback) | {"inbox": store.url} | asked


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
        f"newest {_ago(status['newest'])}",
        f"Waiters   {status['waiters']}",
    ]
    if relay.failing_since_at:
        since = f"{_ago(relay.failing_since_at)}, {utc(relay.failing_since_at)}"
        lines.insert(3, f"Trouble   pulls have failed since {since}: {relay.failure}")
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
