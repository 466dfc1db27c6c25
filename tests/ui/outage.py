"""An outage of VOD as the page shows it: tasks wait in a process of their own, and VOD goes away.

    python -m tests.ui.outage URL ENDPOINT SECRET_ID SECRET_KEY

is that process; it waits until its input ends. Invariant: what the page shows was written by a real relay.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from airflow_vod.inbox.tables import vod_lease, vod_waiter
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch
from tests.acceptance.processes import Process
from tests.airflow_home import HOME, environment
from tests.relays import SUB_APP_ID

WAITERS = 10
TASKS = [f"{SUB_APP_ID}-EditMedia-{number:032x}" for number in range(0xA0, 0xA0 + WAITERS)]
RUN = "splices/scheduled__2026-11-26T00:00:00+00:00"


@contextmanager
def waiting(store: InboxStore) -> Iterator[tuple[Emulator, Process]]:
    """Let ten tasks wait for an emulator's events, until the first pull was answered."""
    with Emulator(options=EmulatorOptions(hold=0.2)) as vod:
        words = (store.url, vod.endpoint, vod.secret_id, vod.secret_key)
        with Process([sys.executable, "-m", "tests.ui.outage", *words], environment(HOME)) as process:
            process.wait_for("waits", 60)
            vod.wait_until(lambda: vod.calls.counters.get("PullEvents") is not None, 60)
            yield vod, process


def age(store: InboxStore, queue: str, seconds: float) -> None:
    """Let the outage of a relay that has died have begun earlier: its record, and since when its tasks wait."""
    lease = store.leases.read(queue)
    assert lease is not None
    info = {name: value - seconds if name.endswith("_at") and value else value for name, value in lease.info.items()}
    with store._database.write() as connection:
        connection.execute(update(vod_lease).where(vod_lease.c.queue == queue).values(info=json.dumps(info)))
        connection.execute(
            update(vod_waiter).where(vod_waiter.c.queue == queue).values(since=vod_waiter.c.since - seconds)
        )


async def main(url: str, endpoint: str, secret_id: str, secret_key: str) -> None:
    """Wait for ten tasks until the input ends."""
    settings = VodSettings(secret_id, secret_key, endpoint=endpoint, sub_app_id=SUB_APP_ID)
    watch = Watch(settings, InboxStore.open(url))
    watch.start()
    for number, vod_task_id in enumerate(TASKS):
        watch.add(TaskWaiter([vod_task_id], name=f"{RUN}/wait[{number}]", deadline_at=time.time() + 6 * 3600))
    await asyncio.sleep(1)
    print("waits", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
