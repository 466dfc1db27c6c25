"""A relay that kills itself at one step, as hard as a process can die: ``python crashing_relay.py '{"url": ...}'``.

Invariant: nothing is tidied up. SIGKILL runs no handler, no `finally` and no exit function, and ends all threads at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

sys.path.insert(0, str(Path(__file__).parents[2]))  # whoever runs this file has set no path

from airflow_vod.inbox import InboxStore
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from tests import tempo


class Doom:
    """Knows where to die: at the first time after a batch of events has gone all the way.

    :param step: name of the step; one that never comes lets the relay live.
    """

    def __init__(self, step: str) -> None:
        self._step = step
        self._armed = False

    def arm(self) -> None:
        """From now on the step is deadly."""
        self._armed = True

    def at(self, step: str) -> None:
        """Die here, if this is where to."""
        if self._armed and step == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def watch_steps(client: Any, store: Any, doom: Doom) -> None:
    """Put a hook before and behind every step of a relay that others can see."""
    pull, confirm, receive, acquire = client.pull_events, client.confirm_events, store.receive, store.leases.acquire
    release = store.leases.release

    def pull_events() -> Any:
        doom.at("before a pull")
        if events := pull():
            doom.at("a pull is answered")
        return events

    def receive_events(*args: Any) -> Any:
        doom.at("before receiving")
        received = receive(*args)
        doom.at("after the commit")
        return received

    def confirm_events(handles: Any) -> None:
        doom.at("before a confirm")
        confirm(handles)
        doom.at("after a confirm")
        doom.arm()

    def acquire_lease(*args: Any, **more: Any) -> bool:
        doom.at("before a renewal")
        held = acquire(*args, **more)
        doom.at("after a renewal")
        if held:
            print("leading", flush=True)
        return held

    def release_lease(*args: Any, **more: Any) -> bool:
        doom.at("before the release")
        return release(*args, **more)

    client.pull_events, client.confirm_events, store.receive = pull_events, confirm_events, receive_events
    store.leases.acquire, store.leases.release = acquire_lease, release_lease
    _die_in_commits(store._database.engine, doom)


def _die_in_commits(engine: Any, doom: Doom) -> None:
    inserted: set[Callable[..., Any]] = set()

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, _: Any, statement: str, *__: Any) -> None:
        if "vod_event" in statement and "INSERT" in statement:
            inserted.add(connection)

    @event.listens_for(engine, "commit")
    def before_commit(connection: Any) -> None:
        if connection in inserted:
            inserted.discard(connection)
            doom.at("before the commit")


def main(url: str, endpoint: str, secret_id: str, secret_key: str, sub_app_id: int, step: str) -> None:
    """Relay until death, or until SIGTERM."""
    tempo.hurry()
    settings = VodSettings(secret_id=secret_id, secret_key=secret_key, endpoint=endpoint, sub_app_id=sub_app_id)
    client, store = VodClient(settings), InboxStore.open(url)
    watch_steps(client, store, Doom(step))
    pipeline = Pipeline(Relay(client, store))
    signal.signal(signal.SIGTERM, lambda *_: pipeline.stop())
    pipeline.run()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
