"""One run of the HTTP server, in a thread of its own.

Invariants: it listens when `start` has returned; after `stop` no thread, socket, connection or held call of it is left, however
many clients wait, and nothing has been logged or changed in the process around it (signals, logging, event loop policy).
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from airflow_vod.emulator.app import ApiEndpoint, create_app
from airflow_vod.emulator.clock import ManualClock
from airflow_vod.emulator.pusher import Pusher

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.clock import Clock

KEEP_ALIVE = 75
"""Seconds for which an idle connection stays open."""


class ServerThread:
    """One run of the server, from `start` to `stop`.

    :param api: the state.
    :param clock: tells the time.
    :param host: address to listen on.
    :param port: to listen on; 0 for a free one.
    :raises OSError: when the port is taken.
    """

    def __init__(self, api: VodApi, clock: Clock, host: str, port: int) -> None:
        self._api = api
        self._clock = clock
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._end: Callable[[], object] = lambda: None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"vod-emulator-{self.port}", daemon=True)

    def start(self) -> None:
        """Return once connections are answered."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise RuntimeError("the emulator could not start") from self._failure

    def stop(self) -> None:
        """Return once every connection is closed and the thread has ended."""
        self._end()
        self._thread.join(timeout=10)
        if self._thread.is_alive():
            raise RuntimeError("the emulator did not stop within 10 s")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failure = error
            if self._ready.is_set():
                raise
        finally:
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        # Not uvicorn's own `serve`: that one looks only every 0.1 s whether it is to end, and waits for held calls.
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        api = self._api
        endpoint = ApiEndpoint(api, lambda scope: _close_connection(server, scope["client"]))
        server = _uvicorn(create_app(api, endpoint))
        alarm = _Alarm(api, self._clock, loop)
        pusher = Pusher(api)
        api.on_post = pusher.push
        await server.startup(sockets=[self._socket])
        if not isinstance(self._clock, ManualClock):
            api.schedule.on_earlier = alarm.set_anew
            alarm.set_anew()
        self._end = lambda: loop.call_soon_threadsafe(stop.set)
        self._ready.set()
        await stop.wait()
        api.schedule.on_earlier = lambda: None
        alarm.stop()
        api.on_post = lambda post: None
        await pusher.stop()
        for listener in server.servers:
            listener.close()
        endpoint.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110 - plain sets, nothing to wait on
            await asyncio.sleep(0.001)


class _Alarm:
    """Lets the core do what is due, by a clock that runs by itself."""

    def __init__(self, api: VodApi, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._api = api
        self._clock = clock
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def set_anew(self) -> None:
        """Look again at what is due first; any thread may ask."""
        with suppress(
            RuntimeError
        ):  # the loop was closed since the caller asked for the time: nobody needs the alarm now
            self._loop.call_soon_threadsafe(self._set)

    def stop(self) -> None:
        """Never ring again."""
        if self._handle is not None:
            self._handle.cancel()

    def _set(self) -> None:
        self.stop()
        due_at = self._api.next_due()
        if due_at is not None:
            self._handle = self._loop.call_later(max(0.0, due_at - self._clock.now()), self._ring)

    def _ring(self) -> None:
        self._api.tick()
        self._set()


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named, because asyncio turns Nagle's delay (40 ms per answer) off only where it sees that this is TCP.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _uvicorn(app: Any) -> uvicorn.Server:
    # Logging is left alone: it belongs to the process that the emulator runs in. The protocol and the loop are named, so
    # that what happens to be installed does not change how connections are closed.
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http="httptools" if importlib.util.find_spec("httptools") else "h11",
        timeout_keep_alive=KEEP_ALIVE,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


def _close_connection(server: uvicorn.Server, client: tuple[str, int]) -> None:
    for connection in list(server.server_state.connections):
        if getattr(connection, "client", None) == tuple(client):
            connection.transport.close()
