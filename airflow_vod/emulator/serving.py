"""One run of the HTTP server, in a thread of its own.

Invariants: it accepts connections when `start` returns; after `stop` none of its threads, sockets, connections or held calls is
left, however many clients wait; and it changes nothing process-wide (signals, logging, event loop policy).
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
    from ssl import SSLContext

    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.clock import Clock

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept open."""


class ServerThread:
    """One run of the server, from `start` to `stop`.

    :param api: the state.
    :param clock: the emulator's time.
    :param host: address to listen on.
    :param port: to listen on; 0 picks a free one.
    :param tls: for HTTPS; None for HTTP.
    :raises OSError: when the port is taken.
    """

    def __init__(self, api: VodApi, clock: Clock, host: str, port: int, tls: SSLContext | None = None) -> None:
        self._api = api
        self._clock = clock
        self._tls = tls
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._ready = threading.Event()
        self._request_stop: Callable[[], object] = lambda: None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"vod-emulator-{self.port}", daemon=True)

    def start(self) -> None:
        """Start the thread, and return once requests are served.

        :raises RuntimeError: when it fails to start.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise RuntimeError("the emulator could not start") from self._failure

    def stop(self) -> None:
        """Stop the server, and return once all connections are closed and the thread has ended.

        :raises RuntimeError: when it does not end within 10 s.
        """
        self._request_stop()
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
        # Not uvicorn's own `serve`, which only checks every 0.1 s whether to stop, and waits for held calls.
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        api = self._api
        endpoint = ApiEndpoint(api, lambda scope: _close_connection(server, scope["client"]))
        server = _uvicorn(create_app(api, endpoint), self._tls)
        timer = _Timer(api, self._clock, loop)
        pusher = Pusher(api)
        api.on_post = pusher.push
        await server.startup(sockets=[self._socket])
        if not isinstance(self._clock, ManualClock):
            api.schedule.on_earlier = timer.reset
            timer.reset()
        self._request_stop = lambda: loop.call_soon_threadsafe(stop.set)
        self._ready.set()
        await stop.wait()
        api.schedule.on_earlier = lambda: None
        timer.stop()
        api.on_post = lambda post: None
        await pusher.stop()
        for listener in server.servers:
            listener.close()
        endpoint.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110 - plain sets: there is nothing to await
            await asyncio.sleep(0.001)


class _Timer:
    """Runs what is due in the core, by a clock that advances on its own."""

    def __init__(self, api: VodApi, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._api = api
        self._clock = clock
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def reset(self) -> None:
        """Set the timer to the earliest entry; callable from any thread."""
        with suppress(RuntimeError):  # the loop has been closed meanwhile: the server has stopped
            self._loop.call_soon_threadsafe(self._set)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._handle is not None:
            self._handle.cancel()

    def _set(self) -> None:
        self.stop()
        due_at = self._api.next_due()
        if due_at is not None:
            self._handle = self._loop.call_later(max(0.0, due_at - self._clock.now()), self._fire)

    def _fire(self) -> None:
        self._api.tick()
        self._set()


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is given explicitly: only then does asyncio disable Nagle's algorithm, which delays answers by 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _uvicorn(app: Any, tls: SSLContext | None) -> uvicorn.Server:
    # Logging is not configured: it belongs to the embedding process. Loop and protocol are given explicitly, so that the
    # way connections are closed does not depend on which packages are installed.
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
    config.ssl = tls
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


def _close_connection(server: uvicorn.Server, client: tuple[str, int]) -> None:
    for connection in list(server.server_state.connections):
        if getattr(connection, "client", None) == tuple(client):
            connection.transport.close()
