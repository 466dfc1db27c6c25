"""Makes the callbacks of PUSH mode.

Invariants: an event is posted until it was answered or its tries are over, and what came of it stands in the list of callbacks
once; no post outlives the server.

Source: VOD's guide of the normal callback (5 s, and 3 tries after timeouts).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_vod.emulator.app import Later
from airflow_vod.emulator.push import Callback

if TYPE_CHECKING:
    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.push import Post

AT_ONCE = 64
"""Posts that are under way at most."""


class Pusher:
    """Makes the posts, on the loop of the server.

    :param api: the state.
    """

    def __init__(self, api: VodApi) -> None:
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def push(self, post: Post) -> None:
        """Post, from any thread, without waiting for it."""
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(self._start, post)

    async def stop(self) -> None:
        """Break off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, post: Post) -> None:
        task = self._loop.create_task(self._deliver(post))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, post: Post) -> None:
        options = self._api.options
        for tries in range(1, options.push_tries + 1):
            async with self._free:
                outcome = await _outcome(post, options.push_timeout)
            done = outcome == "200" or (outcome != "timeout" and options.push_again == "timeout")
            if done or tries == options.push_tries:
                self._api.note_callback(Callback(post, tries, outcome))
                return
            pause: Later[bool] = Later()
            self._api.after(options.push_pause, lambda pause=pause: pause.set(True))  # type: ignore[misc]
            await pause.future


async def _outcome(post: Post, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await _status(post)
    except TimeoutError:
        return "timeout"
    except (OSError, ValueError, IndexError) as error:
        return type(error).__name__


async def _status(post: Post) -> str:
    url = urlsplit(post.url)
    tls = url.scheme == "https"
    reader, writer = await asyncio.open_connection(url.hostname, url.port or (443 if tls else 80), ssl=tls or None)
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"Host": url.netloc, "Content-Length": len(post.body), "Connection": "close", **post.headers}
        lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1") + post.body)
        await writer.drain()
        return (await reader.readline()).split()[1].decode("ascii")
    finally:
        writer.close()
