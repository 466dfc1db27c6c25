"""Processes with an event loop: triggerers, which run the product's triggers, and API servers, which take VOD's callbacks in.

Invariant: a process has its own watches, its own way to the inbox and to VOD, and its own clock, as on a machine of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from airflow_vod.exceptions import VodConnectionError
from airflow_vod.relay import steps as steps_module
from airflow_vod.tencent import client as client_module
from airflow_vod.triggers import base as trigger_module
from airflow_vod.waiting import feed as feed_module
from airflow_vod.waiting import watch as watch_module
from airflow_vod.waiting import watches as watches_module
from airflow_vod.waiting.watches import Watches
from tests.simulation.cloud import Client, Cloud
from tests.simulation.databases import Server, store_of
from tests.simulation.loops import Loop
from tests.simulation.machine import here
from tests.simulation.world import Process

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.waiting.watch import Watch


class AsyncProcess(Process):
    """A process that runs an event loop until it is stopped.

    :param cloud: VOD.
    :param server: the database.
    :param name: for the trace.
    :param settings: reads the connection as it is now.
    """

    def __init__(self, cloud: Cloud, server: Server, name: str, settings: Callable[[], VodSettings]) -> None:
        super().__init__(cloud.world, name)
        self.cloud = cloud
        self.settings = settings
        self.store = store_of(server, self, cloud.weather)
        self.watches = Watches()
        self.made: list[Watch] = []
        self.loop = Loop(self)
        self._stop: asyncio.Future[None] = self.loop.create_future()
        self.tasks: set[asyncio.Task[None]] = set()
        self.start(lambda: self.loop.run(self._main()), f"{name} loop")

    async def _main(self) -> None:
        await self._stop
        for task in self.tasks:
            task.cancel()
        while self.tasks:
            await asyncio.wait(self.tasks)
        for watch in self.made:
            watch.end()

    def stop(self) -> None:
        """Let it end in order; from the world."""
        self.loop.call_soon_threadsafe(lambda: None if self._stop.done() else self._stop.set_result(None))

    def spawn(self, make: Callable[[], Coroutine[Any, Any, None]], note: Callable[[asyncio.Task[None]], None]) -> None:
        """Run a coroutine in its loop; from the world.

        :param make: makes it, in the loop.
        :param note: is given its task.
        """

        def begin() -> None:
            task = self.loop.create_task(make())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            note(task)

        self.loop.call_soon_threadsafe(begin)

    def book_keeping(self) -> list[str]:
        """Name what is left in it of waits that are over."""
        found = [f"task {task.get_name()}" for task in self.tasks]
        found += ["a connection that is being resolved"] * len(self.watches._resolving)
        for watch in self.made:
            index = watch._index
            parts = (
                index._waiters,
                index._by_task,
                index._by_key,
                index._fields,
                index._types,
                index._by_name,
                index._loops,
            )
            found += [f"an entry of the index: {part}" for part in parts if part]
            found += ["a group of the lookout"] * bool(watch._lookout._groups and watch._failure is None)
            found += ["a watch that has not ended"] * watch._thread.is_alive()
        return found


class _Hook:
    """Reads the connection; as `airflow_vod.hooks.vod.VodHook`."""

    def __init__(self, vod_conn_id: str, *, sub_app_id: Any = None) -> None:
        self._process = _current()

    async def aget_settings(self) -> VodSettings:
        """See `VodHook.aget_settings`."""
        rng = self._process.world.rng
        settings = self._process.settings()
        await asyncio.sleep(rng.uniform(0, 0.2))
        if rng.random() < self._process.cloud.weather.before_commit / 4:
            raise VodConnectionError("Airflow does not answer")
        return settings


class _Finder:
    """The watches of the process that runs."""

    def find(self, *args: Any) -> Coroutine[Any, Any, Watch]:
        """See `Watches.find`."""
        return _current().watches.find(*args)


def _current() -> AsyncProcess:
    process = here()
    assert isinstance(process, AsyncProcess)
    return process


class _Watch(watch_module.Watch):
    """A watch whose process knows it."""

    def start(self) -> None:
        """See `Watch.start`."""
        _current().made.append(self)
        super().start()


def connect(change: Callable[[Any, str, Any], None]) -> None:
    """Let the product find the process that it runs in.

    :param change: changes an attribute for as long as worlds run.
    """
    change(watches_module, "_watches", _Finder())
    change(watches_module, "VodHook", _Hook)
    change(watches_module, "Watch", _Watch)
    change(watches_module, "open_inbox", lambda _: _current().store)
    change(watches_module, "inbox_url", lambda: "sqlite://")
    change(watches_module, "inbox_retention", lambda: None)
    change(watch_module, "LOOK_AGAIN", float("inf"))  # what is found in time must not be found by it
    change(steps_module, "MODE_EVERY", 20.0)  # ten minutes would make a run long
    change(feed_module, "WINDOW", 5)  # events: with 100 none would ever be full
    change(client_module, "VodClient", lambda settings: Client(_current(), _current().cloud, settings))
    change(trigger_module.VodWaitTrigger, "log", logging.getLogger("airflow_vod.simulated"))
    for module in (trigger_module, feed_module):
        change(module, "inbox_file_problem", lambda: None)
