"""The watches of this process: one for each application whose queue somebody waits for.

Invariants: a connection is resolved, and the inbox opened, once for all who wait at the same time, and nobody's deadline
stands in line for it; the child of a fork starts with none.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from airflow_vod.hooks.config import inbox_retention, inbox_url, open_inbox
from airflow_vod.hooks.vod import VodHook
from airflow_vod.waiting.watch import Watch

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings

SETTINGS_AGE = 60.0  # seconds for which a resolved connection serves the next waiters

ReadSettings = Callable[[], Awaitable["VodSettings"]]
_Key = tuple[str, str]  # connection and SubAppId


class Watches:
    """The watches of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Two connections to one queue, or one that was edited, have one each.
        self._by_settings: dict[VodSettings, Watch] = {}
        self._resolved: dict[_Key, tuple[Watch, float]] = {}  # with the monotonic time of resolution
        self._resolving: dict[tuple[asyncio.AbstractEventLoop, _Key], asyncio.Task[Watch]] = {}

    async def find(self, vod_conn_id: str, sub_app_id: int | str | None, read_settings: ReadSettings) -> Watch:
        """Answer the watch for a connection's queue, see `watch_of`."""
        key = (vod_conn_id, str(sub_app_id or ""))
        watch, resolved_at = self._resolved.get(key, (None, 0.0))
        if watch and watch.alive and time.monotonic() - resolved_at < SETTINGS_AGE:
            return watch
        where = (asyncio.get_running_loop(), key)
        task = self._resolving.get(where)
        if task is None:
            task = self._resolving[where] = where[0].create_task(self._resolve(key, read_settings))
            task.add_done_callback(lambda done: self._resolved_in(where, done))
        return await asyncio.shield(task)  # a cancelled caller leaves the task to the others

    def _resolved_in(self, where: tuple[asyncio.AbstractEventLoop, _Key], task: asyncio.Task[Watch]) -> None:
        self._resolving.pop(where, None)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: those who still wait have it

    async def _resolve(self, key: _Key, read_settings: ReadSettings) -> Watch:
        settings = await read_settings()
        watch, _ = self._resolved.get(key, (None, 0.0))
        if watch and watch.settings != settings:
            watch.end(retired=True)  # the connection was edited: who waits goes on by what it says now
        watch = await asyncio.to_thread(self._start_or_join, settings)
        self._resolved[key] = (watch, time.monotonic())
        return watch

    def _start_or_join(self, settings: VodSettings) -> Watch:
        inbox = open_inbox(inbox_url())
        with self._lock:
            watch = self._by_settings.get(settings)
            if watch is None or not watch.alive:
                self._by_settings = {each: one for each, one in self._by_settings.items() if one.alive}
                watch = self._by_settings[settings] = Watch(settings, inbox, inbox_retention())
                watch.start()
            return watch


_watches = Watches()


async def watch_of(
    vod_conn_id: str, sub_app_id: int | str | None = None, read_settings: ReadSettings | None = None
) -> Watch:
    """Answer the watch of this process for a connection's queue; start it if there is none.

    A triggerer resolves connections one after the other at about a tenth of a second each, so many waiters share one look.

    :param vod_conn_id: Airflow connection id.
    :param sub_app_id: as in `VodHook`.
    :param read_settings: reads the connection; None reads it as a triggerer does.
    :raises VodSettingsError: the connection cannot work as it is written.
    :raises InboxError: the inbox cannot be opened.
    """
    read = read_settings or VodHook(vod_conn_id, sub_app_id=sub_app_id).aget_settings
    return await _watches.find(vod_conn_id, sub_app_id, read)


def _begin_anew() -> None:
    """In a child of a fork: the threads of the parent's watches are not there, and a lock may have been held."""
    global _watches
    _watches = Watches()


os.register_at_fork(after_in_child=_begin_anew)
