"""The emulator's HTTP interface: the VOD API at ``/``, and a control API below ``/_emulator`` (see `control`).

Invariant: no handler blocks the event loop, and none outlives its connection.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.applications import Starlette
from starlette.routing import Route

from airflow_vod.emulator.control import Control
from airflow_vod.emulator.request import Answer, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from airflow_vod.emulator.api import VodApi
    from airflow_vod.emulator.exchange import Exchange

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

T = TypeVar("T")

MAX_BODY = 10 * 1024 * 1024
"""Bytes (Tencent Cloud API 3.0: a signed POST is limited to 10 MB)."""


def create_app(api: VodApi, endpoint: ApiEndpoint) -> Starlette:
    """Build the application.

    :param api: the state.
    :param endpoint: serves the VOD API.
    :return: all routes of the emulator.
    """
    control = Control(api)
    return Starlette(
        routes=[
            Route("/", endpoint, methods=["GET", "POST"]),
            Route("/_emulator/publish", control.publish, methods=["POST"]),
            Route("/_emulator/tasks", control.tasks, methods=["POST"]),
            Route("/_emulator/tasks/hold", control.hold_tasks, methods=["POST"]),
            Route("/_emulator/tasks/fail", control.fail_task, methods=["POST"]),
            Route("/_emulator/tasks/finish", control.finish_task, methods=["POST"]),
            Route("/_emulator/starts", control.starts, methods=["GET"]),
            Route("/_emulator/faults", control.add_faults, methods=["POST"]),
            Route("/_emulator/faults", control.show_faults, methods=["GET"]),
            Route("/_emulator/faults", control.clear_faults, methods=["DELETE"]),
            Route("/_emulator/calls", control.calls, methods=["GET"]),
            Route("/_emulator/queues", control.queues, methods=["GET"]),
        ]
    )


class ApiEndpoint:
    """Passes requests to the core, and its answers back.

    :param api: the state.
    :param hang_up: closes the connection of a request.
    """

    def __init__(self, api: VodApi, hang_up: Callable[[Scope], None]) -> None:
        self._api = api
        self._hang_up = hang_up
        self._held: set[Exchange] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        body = await _read_body(receive)
        if body is None:
            return
        if len(body) > MAX_BODY:
            await _respond(Answer(b"request entity too large", status=413, content_type="text/plain"), send)
            return
        client = _Client(receive)
        try:
            await self._serve(_request(scope, body), client, scope, send)
        finally:
            client.unwatch()

    def close(self) -> None:
        """Abandon all held calls, because the server stops."""
        for exchange in list(self._held):
            self._api.abandon(exchange)
        self._held.clear()

    async def _serve(self, request: Request, client: _Client, scope: Scope, send: Send) -> None:
        one_way = self._api.options.rtt / 2
        if not await self._sleep(one_way, client):
            return
        answer = await self._answer(request, client)
        if answer is None or not await self._sleep(one_way + answer.delay, client):
            return
        if answer.cut != 0:
            await _respond(answer, send)
        if answer.cut is not None:
            self._hang_up(scope)
            await client.disconnected()

    async def _answer(self, request: Request, client: _Client) -> Answer | None:
        """:return: the core's answer; None when the client disconnected first."""
        later: Later[Answer] = Later()
        exchange = self._api.handle(request, later.set)
        if later.done:
            return later.value
        self._held.add(exchange)
        answer = await client.unless_disconnected(later)
        if answer is None:
            self._api.disconnect(exchange)
        if not exchange.open:
            self._held.discard(exchange)
        return answer

    async def _sleep(self, seconds: float, client: _Client) -> bool:
        """Sleep by the emulator's clock.

        :return: False when the client disconnected meanwhile.
        """
        if seconds <= 0:
            return True
        later: Later[bool] = Later()
        self._api.after(seconds, lambda: later.set(True))
        return await client.unless_disconnected(later) is not None


class Later(Generic[T]):
    """A value that any thread can set once, for a task of this loop that waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.future: asyncio.Future[T] = self._loop.create_future()

    @property
    def done(self) -> bool:
        """Whether the value is set."""
        return self.future.done()

    @property
    def value(self) -> T:
        """The value; only once it is set."""
        return self.future.result()

    def set(self, value: T) -> None:
        """Set the value; ignored once it is set or the loop is closed."""
        if threading.get_ident() == self._thread:
            self._set(value)
            return
        with suppress(RuntimeError):  # the loop is closed: the server has stopped
            self._loop.call_soon_threadsafe(self._set, value)

    def _set(self, value: T) -> None:
        if not self.future.done():
            self.future.set_result(value)


class _Client:
    """The client of a connection, watched for a disconnect only while a handler waits."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._disconnect: asyncio.Task[None] | None = None

    async def unless_disconnected(self, later: Later[T]) -> T | None:
        """:return: the value; None when the client disconnected first."""
        disconnect = self._watch()
        await asyncio.wait((later.future, disconnect), return_when=asyncio.FIRST_COMPLETED)
        return later.value if later.done else None

    async def disconnected(self) -> None:
        """Wait until the connection is closed."""
        await self._watch()

    def unwatch(self) -> None:
        """Stop watching."""
        if self._disconnect is not None:
            self._disconnect.cancel()

    def _watch(self) -> asyncio.Task[None]:
        if self._disconnect is None:
            self._disconnect = asyncio.get_running_loop().create_task(self._wait_for_disconnect())
        return self._disconnect

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _read_body(receive: Receive) -> bytes | None:
    """:return: the body, or as much of it as exceeds `MAX_BODY`; None when the client disconnected."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body") or size > MAX_BODY:
            return b"".join(parts)


def _request(scope: Scope, body: bytes) -> Request:
    return Request(
        method=scope["method"],
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
        query=scope["query_string"].decode("latin-1"),
        path=scope["path"],
    )


async def _respond(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = answer.body if answer.cut is None else answer.body[: answer.cut]
    await send({"type": "http.response.body", "body": body, "more_body": answer.cut is not None})
