"""Receives what VOD announces by HTTP ("normal callback").

Invariants: nothing is stored before it has proved itself, and 200 is answered only after the commit. A refusal says neither
what was wrong nor whether the connection exists. Nothing that was sent is echoed.

What a callback must prove itself with stands in the connection: the application's SignKey (see `signature`), or a token at
the end of the URL; where both are configured, both are asked for, and where none is, nothing is accepted.

Source: VOD's guide of the normal callback (POST, JSON, 5 s) and ModifyEventConfig (SignKey).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent, VodEvent, read_event
from airflow_vod.exceptions import VodError
from airflow_vod.web.signature import claim_in, is_genuine, without_claim

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.web.connections import Connections
    from airflow_vod.web.intake import Intake

log = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024  # bytes; events of VOD have a few thousand
BODY_TIMEOUT = 5.0  # seconds for the body to arrive
UNPARSED_PER_HOUR = 60  # of each queue, by each process
REFUSALS_PER_HOUR = 10  # lines in the log for each reason, by each process
UNPARSED_KEPT = 16_384  # bytes of each
_LARGE = 64 * 1024  # bytes, from which on a body is read in a thread: the event loop has others to serve
_NOBODYS = secrets.token_hex(16)  # stands in for a secret that is not configured; nobody knows it


def callback_router(
    connections: Connections,
    intake: Intake,
    clock: Callable[[], float] = time.time,
    on_first: Callable[[], object] | None = None,
) -> APIRouter:
    """Make the routes.

    :param connections: where settings come from.
    :param intake: where events go.
    :param clock: Unix seconds.
    :param on_first: called once, when the first callback has proved itself.
    """
    receiver = Receiver(connections, intake, clock, on_first)
    router = APIRouter()
    router.add_api_route("/callbacks/{conn_id}", receiver.callback, methods=["POST"])
    router.add_api_route("/callbacks/{conn_id}/{token}", receiver.callback, methods=["POST"])
    return router


class Receiver:
    """Answers callbacks; see `callback_router`."""

    def __init__(
        self,
        connections: Connections,
        intake: Intake,
        clock: Callable[[], float],
        on_first: Callable[[], object] | None,
    ) -> None:
        self._connections = connections
        self._intake = intake
        self._clock = clock
        self._on_first = on_first
        self._unparsed = HourlyBudget(UNPARSED_PER_HOUR, clock)
        self._refused = HourlyBudget(REFUSALS_PER_HOUR, clock)

    async def callback(self, request: Request) -> Response:
        """Receive one event."""
        query = _query(request)
        token = request.path_params.get("token") or query.get("token", "")
        body, status = await _body(request)
        if body is None:
            return Response(status_code=status)
        settings = await self._connections.settings(request.path_params["conn_id"])
        content = await asyncio.to_thread(_load, body) if len(body) > _LARGE else _load(body)
        claims = [claim_in(each) for each in (request.headers, query, content)]
        signed = is_genuine(claims, _sign_key(settings), self._clock())
        if not _proves_itself(settings, token, signed):
            self._note_refusal(request.path_params["conn_id"], _lack(settings, signed, any(claims)))
            return Response(status_code=403)
        assert settings is not None  # noqa: S101 - nothing proves itself without
        on_first, self._on_first = self._on_first, None
        if on_first is not None:
            on_first()
        if isinstance(content, dict):
            content = without_claim(content)
        event = await asyncio.to_thread(read_event, content) if len(body) > _LARGE else read_event(content)
        return await self._store(settings.queue, event, body)

    def _note_refusal(self, conn_id: str, why: str) -> None:
        """Say why, to whoever looks for events that do not come; strangers can fill neither the log nor this memory."""
        metrics.count("callbacks.refused", reason=why)
        if self._refused.take(why):
            log.warning("A callback for connection %.100r was refused: %s", conn_id, why)

    async def _store(self, queue: str, event: VodEvent | UnparsedEvent, body: bytes) -> Response:
        status = 200
        if isinstance(event, UnparsedEvent):
            status = 400
            if not self._unparsed.take(queue):
                log.warning("A callback for queue %s is no event; it is not kept, for too many were none", queue)
                return Response(status_code=status)
            log.warning("A callback for queue %s is no event: %s", queue, event.error)
            if len(body) > UNPARSED_KEPT:
                event = read_event(body[:UNPARSED_KEPT])
        try:
            await self._intake.receive(queue, event)
        except Exception as error:  # the sender must hear that it is to come again, whatever it was
            unforeseen = not isinstance(error, VodError)
            log.error("A callback for queue %s was not stored: %s", queue, error, exc_info=unforeseen)
            return Response(status_code=503, headers={"Retry-After": "5"})
        return Response(status_code=status)


class HourlyBudget:
    """So many of each kind in each hour, and no more.

    :param most: how many.
    :param clock: seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._hour = 0
        self._taken: dict[str, int] = {}

    def take(self, kind: str) -> bool:
        """Take one, if there is one left."""
        hour = int(self._clock() // 3600)
        if hour != self._hour:
            self._hour, self._taken = hour, {}
        self._taken[kind] = self._taken.get(kind, 0) + 1
        return self._taken[kind] <= self._most


def _sign_key(settings: VodSettings | None) -> str:
    return (settings and settings.callback_sign_key) or _NOBODYS


def _proves_itself(settings: VodSettings | None, token: str, signed: bool) -> bool:
    """Weigh the proofs; all of them are looked at whatever the first one says."""
    expected = settings and settings.callback_token
    has_token = hmac.compare_digest((expected or _NOBODYS).encode(), token.encode("utf-8", "replace"))
    if settings is None or not (settings.callback_sign_key or expected):
        return False
    return (signed or not settings.callback_sign_key) and (has_token or not expected)


def _lack(settings: VodSettings | None, signed: bool, claimed: bool) -> str:
    """Say what a callback lacks that does not prove itself."""
    if settings is None:
        return "there is no such connection, or it cannot be read"
    if not settings.takes_callbacks:
        return "the connection has neither callback_sign_key nor callback_token"
    if signed or not settings.callback_sign_key:
        return "its token is missing or wrong"
    return "its signature is wrong or too old" if claimed else "it is not signed"


def _query(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.scope["query_string"].decode("latin-1"), max_num_fields=50))
    except ValueError:
        return {}


async def _body(request: Request) -> tuple[bytes | None, int]:
    """Read the body up to its limits.

    :return: the body, or None and the status to answer with.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > MAX_BODY:
        return None, 413
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > MAX_BODY:
                    return None, 413
    except TimeoutError:
        return None, 408
    return b"".join(parts), 200


def _load(body: bytes) -> Any:
    """Load JSON; what is none stays as it came, and is told so when it is read as an event."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
