"""What starts and stops a thousand times leaves nothing behind.

`ROUNDS=1000` makes it a thousand, which takes a minute; one leak in fifty rounds shows in fewer.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airflow_vod.emulator import Emulator, EmulatorOptions
from airflow_vod.inbox import InboxStore
from airflow_vod.relay.pipeline import Pipeline
from airflow_vod.relay.steps import Relay
from airflow_vod.tencent.client import VodClient
from airflow_vod.tencent.settings import VodSettings
from airflow_vod.waiting.waiter import TaskWaiter
from airflow_vod.waiting.watch import Watch

ROUNDS = int(os.environ.get("ROUNDS", "120"))
WARM_UP = 20  # rounds in which pools and caches may fill


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A queue that answers at once and as often as it is asked."""
    with Emulator(options=EmulatorOptions(hold=0.005, rate_limit=None)) as emulator:
        yield emulator


@pytest.fixture
def settings(emulator: Emulator) -> VodSettings:
    """How to reach it."""
    return VodSettings(secret_id=emulator.secret_id, secret_key=emulator.secret_key, endpoint=emulator.endpoint)


def _relay(url: str, settings: VodSettings, until_pulled: Callable[[], None]) -> None:
    """One life of a relay of its own."""
    client, store = VodClient(settings), InboxStore.open(url)
    pipeline = Pipeline(Relay(client, store))
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    until_pulled()
    pipeline.stop()
    thread.join()
    client.close()
    store.close()


def _watch(url: str, settings: VodSettings, until_pulled: Callable[[], None]) -> None:
    """One life of a watch, with a waiter that gives up."""
    store = InboxStore.open(url)
    watch = Watch(settings, store)
    watch.start()

    async def wait() -> None:
        waiter = TaskWaiter(["Concat-1"], name="dag/run/task")
        assert watch.add(waiter)
        assert not await waiter.next(0.001)
        watch.discard(waiter)

    asyncio.run(wait())
    until_pulled()
    watch.end()
    watch.join()
    store.close()


@pytest.mark.parametrize("live", [_relay, _watch])
def test_nothing_is_left_behind(
    live: Callable[..., None], sqlite_inbox: Path, emulator: Emulator, settings: VodSettings, tmp_path: Path
) -> None:
    """After many starts and stops, each with a pull at least, there are no more threads, sockets and files than before."""
    url = f"sqlite:///{shutil.copy(sqlite_inbox, tmp_path / 'inbox.db')}"

    def rounds(number: int) -> dict[str, int]:
        for _ in range(number):
            wanted = emulator.calls.count("PullEvents") + 1
            live(url, settings, functools.partial(_until_pulled, emulator, wanted))
        return _held()

    before = rounds(WARM_UP)
    assert rounds(ROUNDS) == before


def _until_pulled(emulator: Emulator, wanted: int) -> None:
    emulator.wait_until(lambda: emulator.calls.count("PullEvents") >= wanted, 20)


def _held() -> dict[str, int]:
    """What this process holds, once those who serve it have noticed that their clients have gone."""
    process, give_up = psutil.Process(), time.monotonic() + 5
    while True:
        gc.collect()
        held = {
            "threads": process.num_threads(),
            "sockets": sum(each.status != psutil.CONN_LISTEN for each in process.net_connections()),
            "files": len(process.open_files()),
            "descriptors": process.num_fds(),
        }
        if held["sockets"] == 0 or time.monotonic() > give_up:
            return held
        time.sleep(0.05)
