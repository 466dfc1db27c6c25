"""A process with a watch, for tests of several processes: ``python -m tests.relay_process URL ENDPOINT SECRET_ID KEY``.

Takes lines on its standard input: ``wait ID`` waits for a VOD task and prints ``got ID``; ``leave`` ends the main thread
as it is, with whatever still waits.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from typing import Any

from airflow_vod.inbox import InboxStore
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch
from tests.relays import SUB_APP_ID


async def wait(watch: Watch, vod_task_id: str) -> None:
    """Wait for one task and say when it came."""
    waiter = TaskWaiter([vod_task_id], name=f"process/{vod_task_id}")
    watch.add(waiter)
    print("waits", flush=True)
    while waiter.missing:
        await waiter.next(300)
    print("got", vod_task_id, flush=True)
    watch.discard(waiter)


async def main(url: str, endpoint: str, secret_id: str, secret_key: str) -> str:
    """Do what the lines say, and answer the last of them."""
    settings = VodSettings(secret_id, secret_key, endpoint=endpoint, sub_app_id=SUB_APP_ID)
    watch = Watch(settings, InboxStore.open(url))
    watch.start()
    print("ready", flush=True)
    tasks: set[asyncio.Task[Any]] = set()
    while (line := await asyncio.to_thread(sys.stdin.readline)).startswith("wait "):
        tasks.add(asyncio.create_task(wait(watch, line.split()[1])))
    return line.strip()


if __name__ == "__main__":
    last = asyncio.run(main(*sys.argv[1:]))
    print("left", flush=True)
    if last == "exit":
        atexit._run_exitfuncs()
        os._exit(0)
