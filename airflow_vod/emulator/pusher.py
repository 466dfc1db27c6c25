"""Sends the callbacks of PUSH mode.

Invariants: a callback is posted until it is answered or its attempts are used up, and its outcome is recorded exactly once;
no request outlives the server.

Source: VOD's guide of the normal callback (5 s, and 3 attempts after timeouts).
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import httpx

from airflow_vod.emulator.app import Later
from airflow_vod.emulator.push import Callback

if TYPE_CHECKING:
    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.push import Post

MAX_CONCURRENT = 64
"""Requests in flight."""


class Pusher:
    """Sends callbacks on the server's event loop; to be created there.

    :param api: the state.
    """

    def __init__(self, api: VodApi) -> None:
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(MAX_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()

    def push(self, post: Post) -> None:
        """Start sending a callback, from any thread, without waiting for it.

        :param post: to be made.
        """
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(self._start, post)

    async def stop(self) -> None:
        """Cancel all requests in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, post: Post) -> None:
        task = self._loop.create_task(self._deliver(post))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, post: Post) -> None:
        options = self._api.options
        for attempt in range(1, options.push_tries + 1):
            async with self._free:
                outcome = await self._send(post)
            done = outcome == "200" or (outcome != "timeout" and options.push_again == "timeout")
            if done or attempt == options.push_tries:
                self._api.note_callback(Callback(post, attempt, outcome))
                return
            pause: Later[bool] = Later()
            self._api.after(options.push_pause, lambda pause=pause: pause.set(True))  # type: ignore[misc]
            await pause.future

    async def _send(self, post: Post) -> str:
        """:return: the HTTP status, ``timeout``, or the name of the error."""
        # A bare transport with a connection of its own: no proxies, redirects, cookies or reuse. Of the answer, only the
        # head is read, whose size the transport bounds.
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        try:
            async with asyncio.timeout(self._api.options.push_timeout), transport:
                headers = {**post.headers, "Connection": "close"}
                request = httpx.Request("POST", post.url, headers=headers, content=post.body)
                response = await transport.handle_async_request(request)
                await response.aclose()
                return str(response.status_code)
        except (TimeoutError, httpx.TimeoutException):
            return "timeout"
        except (
            Exception
        ) as error:  # clients choose the URL, and the libraries below fail in many ways: all are recorded
            return type(error).__name__

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # The system's certificates rather than httpx's own. Loading them is slow, and most emulators push nothing.
        return ssl.create_default_context()
