"""Receives VOD's HTTP callbacks ("normal callback").

Invariants: nothing is stored before the sender is authenticated, and 200 is sent only after the commit. A rejection reveals
neither what was wrong nor whether the connection exists. Nothing of the request is echoed.

The connection says how a callback is authenticated: by the application's SignKey (see `signature`), by a token at the end of the
URL, or, if both are configured, by both. If neither is, no callback is accepted.

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

MAX_BODY = 1024 * 1024  # bytes; VOD's events have a few thousand
BODY_TIMEOUT = 5.0  # seconds for the body to arrive
UNPARSED_PER_HOUR = 60  # bodies kept per queue and process
REFUSALS_PER_HOUR = 10  # log lines per reason and process
UNPARSED_KEPT = 16_384  # bytes kept of each such body
_LARGE = 64 * 1024  # bytes; larger bodies are parsed in a thread, to keep the event loop responsive
_UNKNOWN_SECRET = secrets.token_hex(16)  # stands in for a secret that is not configured


def callback_router(
    connections: Connections,
    intake: Intake,
    clock: Callable[[], float] = time.time,
    on_first: Callable[[], object] | None = None,
) -> APIRouter:
    """Build the routes.

    :param connections: settings of the connections that callbacks name.
    :param intake: stores events.
    :param clock: Unix seconds.
    :param on_first: called once, when the first callback has been authenticated.
    :return: the routes.
    """
    receiver = Receiver(connections, intake, clock, on_first)
    router = APIRouter()
    router.add_api_route("/callbacks/{conn_id}", receiver.callback, methods=["POST"])
    router.add_api_route("/callbacks/{conn_id}/{token}", receiver.callback, methods=["POST"])
    return router


class Receiver:
    """Handles callbacks; parameters as for `callback_router`."""

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
        """Receive one callback.

        :param request: from anybody.
        :return: 200 once its event is stored; 400 if it is not an event; 403 if it is not authenticated; 408 or 413 if its body
            is late or too large; 503 if it was not stored and should be sent again.
        """
        query = _query(request)
        token = request.path_params.get("token") or query.get("token", "")
        body, status = await _body(request)
        if body is None:
            return Response(status_code=status)
        settings = await self._connections.settings(request.path_params["conn_id"])
        content = await asyncio.to_thread(_load, body) if len(body) > _LARGE else _load(body)
        claims = [claim_in(each) for each in (request.headers, query, content)]
        signed = is_genuine(claims, _sign_key(settings), self._clock())
        if not _is_authentic(settings, token, signed):
            self._report_rejection(request.path_params["conn_id"], _rejection_reason(settings, signed, any(claims)))
            return Response(status_code=403)
        assert settings is not None  # noqa: S101 - implied by `_is_authentic`
        on_first, self._on_first = self._on_first, None
        if on_first is not None:
            on_first()
        if isinstance(content, dict):
            content = without_claim(content)
        event = await asyncio.to_thread(read_event, content) if len(body) > _LARGE else read_event(content)
        return await self._store(settings.queue, event, body)

    def _report_rejection(self, conn_id: str, reason: str) -> None:
        """Report why, for those who look for missing events; requests can flood neither the log nor the memory."""
        metrics.count("callbacks.refused", reason=reason)
        if self._refused.take(reason):
            log.warning("A callback for connection %.100r was rejected: %s", conn_id, reason)

    async def _store(self, queue: str, event: VodEvent | UnparsedEvent, body: bytes) -> Response:
        status = 200
        if isinstance(event, UnparsedEvent):
            status = 400
            if not self._unparsed.take(queue):
                log.warning(
                    "A callback for queue %s is not an event; it is dropped, as there were too many of them",
                    queue,
                )
                return Response(status_code=status)
            log.warning("A callback for queue %s is not an event: %s", queue, event.error)
            if len(body) > UNPARSED_KEPT:
                event = read_event(body[:UNPARSED_KEPT])
        try:
            await self._intake.receive(queue, event)
        except Exception as error:  # whatever it is, the sender must be told to retry
            unexpected = not isinstance(error, VodError)
            log.error("A callback for queue %s could not be stored: %s", queue, error, exc_info=unexpected)
            return Response(status_code=503, headers={"Retry-After": "5"})
        return Response(status_code=status)


class HourlyBudget:
    """A limit per kind and hour.

    :param limit: maximum number of each kind per hour.
    :param clock: Unix seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._hour = 0
        self._taken: dict[str, int] = {}

    def take(self, kind: str) -> bool:
        """Use up one unit.

        :param kind: what is limited.
        :return: whether the limit had not been reached.
        """
        hour = int(self._clock() // 3600)
        if hour != self._hour:
            self._hour, self._taken = hour, {}
        self._taken[kind] = self._taken.get(kind, 0) + 1
        return self._taken[kind] <= self._limit


def _sign_key(settings: VodSettings | None) -> str:
    return (settings and settings.callback_secret) or _UNKNOWN_SECRET


def _is_authentic(settings: VodSettings | None, token: str, signed: bool) -> bool:
    """Evaluate all proofs, whatever the first one yields, so that the time taken reveals nothing."""
    expected = settings and settings.callback_token
    has_token = hmac.compare_digest((expected or _UNKNOWN_SECRET).encode(), token.encode("utf-8", "replace"))
    if settings is None or not (settings.callback_secret or expected):
        return False
    return (signed or not settings.callback_secret) and (has_token or not expected)


def _rejection_reason(settings: VodSettings | None, signed: bool, claimed: bool) -> str:
    """Say why a callback was not authenticated."""
    if settings is None:
        return "the connection does not exist or cannot be read"
    if not settings.takes_callbacks:
        return "the connection has neither callback_secret nor callback_token"
    if signed or not settings.callback_secret:
        return "its token is missing or wrong"
    return "its signature is wrong or has expired" if claimed else "it is not signed"


def _query(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl(request.scope["query_string"].decode("latin-1"), max_num_fields=50))
    except ValueError:
        return {}


async def _body(request: Request) -> tuple[bytes | None, int]:
    """Read the body within the limits of size and time.

    :return: the body, or None, and the status to answer with.
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
    """Parse JSON; anything else is returned as is, and fails when it is parsed as an event."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body
