"""Receives VOD's HTTP callbacks ("normal callback").

Invariants: nothing is stored before the sender is authenticated, and 200 is sent only after the commit. A refusal reveals
neither what was wrong nor whether the connection exists, and takes the same time for all. Nothing of the request is echoed.
What strangers send costs no thread, lock or memory that a genuine callback needs.

The connection says how a callback is authenticated: by the application's SignKey (see `signature`), by a token at the end of the
URL, or, if both are configured, by both. If neither is, no callback is accepted.

Source: VOD's guide of the normal callback (POST, JSON, 5 s) and ModifyEventConfig (SignKey).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from airflow_vod import metrics
from airflow_vod.events.parse import UnparsedEvent, VodEvent
from airflow_vod.exceptions import VodError
from airflow_vod.web import bodies
from airflow_vod.web.bodies import Bodies, BodyError
from airflow_vod.web.budgets import HourlyBudget
from airflow_vod.web.proof import Verdict, judge, may_be_signed, presented_by, reason_of_refusal
from airflow_vod.web.redaction import event_in, load
from airflow_vod.web.signature import claim_in, is_genuine
from airflow_vod.web.threads import Threads

if TYPE_CHECKING:
    from airflow_vod.tencent.settings import VodSettings
    from airflow_vod.web.connections import Connections
    from airflow_vod.web.intake import Intake

log = logging.getLogger(__name__)

# Hides what it took to refuse it (longer than `connections.UNKNOWN_TIMEOUT`), and lets a flood wait instead of genuine callbacks.
REFUSED_AFTER = 3.0  # seconds from the arrival of a callback; VOD waits for 5
MAX_HELD = 1000  # refusals that are held back at once, per process; further ones are sent at once
UNPARSED_PER_HOUR = 60  # bodies kept per queue and process
REFUSALS_PER_HOUR = 10  # log lines per reason and process
FAILURES_PER_HOUR = 60  # log lines per queue and process


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
        self._bodies = Bodies()
        self._parsing = Threads("vod-callback-parse", 1)
        self._held = 0
        self._unparsed = HourlyBudget(UNPARSED_PER_HOUR, clock)
        self._refused = HourlyBudget(REFUSALS_PER_HOUR, clock)
        self._failed = HourlyBudget(FAILURES_PER_HOUR, clock)

    async def callback(self, request: Request) -> Response:
        """Receive one callback.

        :param request: from anybody.
        :return: 200 once its event is stored; 400 if it is not an event; 403 if it is not authenticated; 408 or 413 if its body
            is late or too large; 503 if it was not stored and should be sent again.
        """
        refuse_at_monotonic = time.monotonic() + REFUSED_AFTER
        conn_id = request.path_params["conn_id"]
        presented = presented_by(request)
        settings = await self._connections.settings(conn_id)
        verdict = judge(settings, presented, self._clock())
        try:
            body, genuine = await self._body(request, settings, verdict)
        except BodyError as error:
            return Response(status_code=error.status)
        if settings is None or not genuine:
            self._report_refusal(conn_id, reason_of_refusal(settings, presented, body))
            return await self._refuse(refuse_at_monotonic)
        self._connections.trust(conn_id)
        on_first, self._on_first = self._on_first, None
        if on_first is not None:
            on_first()
        return await self._store(settings.queue, await self._read(body, settings))

    async def _body(self, request: Request, settings: VodSettings | None, verdict: Verdict) -> tuple[bytes, bool]:
        """:return: the body, as far as it is needed, and whether the request is authenticated."""
        if verdict is Verdict.GENUINE:
            return await self._bodies.read(request), True
        if verdict is Verdict.REFUSED or settings is None or settings.callback_secret is None:
            await self._bodies.discard(request)
            return b"", False
        body, sign_key = await self._bodies.read_unproven(request), settings.callback_secret
        if not may_be_signed(body, sign_key, self._clock()):
            return body, False
        content = await self._parsing.run(lambda: load(body)) if len(body) > bodies.SMALL else load(body)
        return body, is_genuine([claim_in(content)], sign_key, self._clock())

    async def _read(self, body: bytes, settings: VodSettings) -> VodEvent | UnparsedEvent:
        """Read the event; large bodies in a thread, to keep the event loop responsive."""
        if len(body) <= bodies.SMALL:
            return event_in(body, settings)
        return await self._parsing.run(lambda: event_in(body, settings))

    async def _refuse(self, at_monotonic: float) -> Response:
        """Refuse at a time that does not depend on why."""
        if self._held < MAX_HELD:
            self._held += 1
            try:
                await asyncio.sleep(at_monotonic - time.monotonic())
            finally:
                self._held -= 1
        return Response(status_code=403)

    def _report_refusal(self, conn_id: str, reason: str) -> None:
        """Report why, for those who look for missing events; requests can flood neither the log nor the memory."""
        metrics.count("callbacks.refused", reason=reason)
        if self._refused.take(reason):
            log.warning("A callback for connection %.100r was rejected: %s", conn_id, reason)

    async def _store(self, queue: str, event: VodEvent | UnparsedEvent) -> Response:
        status = 200
        if isinstance(event, UnparsedEvent):
            status = 400
            if not self._unparsed.take(queue):
                if self._refused.take(f"dropped {queue}"):
                    log.warning("Too many callbacks for queue %s are not events; further ones are dropped", queue)
                return Response(status_code=status)
            log.warning("A callback for queue %s is not an event: %s", queue, event.error)
        try:
            await self._intake.receive(queue, event)
        except Exception as error:  # whatever it is, the sender must be told to retry
            unexpected = not isinstance(error, VodError)
            if self._failed.take(queue):
                log.error("A callback for queue %s could not be stored: %s", queue, error, exc_info=unexpected)
            return Response(status_code=503, headers={"Retry-After": "5"})
        return Response(status_code=status)
