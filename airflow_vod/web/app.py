"""The HTTP endpoints of this package on Airflow's API server, mounted at ``/tencent-vod``.

    POST /callbacks/{conn_id}[/{token}]   from VOD, authenticated by a signature or the token
    GET  /logo.svg                        the provider's logo, for Airflow's menu
    GET  /events, /static/{name}          the page "VOD events"
    GET  /api/events, /api/event          a page of events, one event
    GET  /api/export                      events as JSON lines
    GET  /api/queues, /api/waiters        state of the relays, who waits for what
    GET  /api/history                     counts over time
    POST /api/replay                      from that page only

Invariant: everything else is 404 or 405. Apart from callbacks and the logo, all routes require a login to Airflow with the
permission to read connections; the replay requires the permission to edit them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.hooks.config import inbox_url, open_inbox
from airflow_vod.hooks.server import ServerHook
from airflow_vod.web.access import require_edit, require_read, require_same_origin
from airflow_vod.web.api import EventsApi, reading_router, replaying_router
from airflow_vod.web.callbacks import callback_router
from airflow_vod.web.connections import Connections, listed_connections
from airflow_vod.web.headers import RedactedLogs, SafeHeaders
from airflow_vod.web.intake import Intake
from airflow_vod.web.page import logo, page_router

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore


def shared_inbox() -> InboxStore:
    """Open the inbox shared by all sensors and triggers of this installation.

    :return: the inbox; opened once per process.
    :raises InboxError: when it cannot be opened.
    """
    return open_inbox(inbox_url())


def create_app(
    *,
    connections: Connections | None = None,
    intake: Intake | None = None,
    inbox: Callable[[], InboxStore] = shared_inbox,
    clock: Callable[[], float] = time.time,
    on_first_callback: Callable[[], object] | None = None,
) -> FastAPI:
    """Build the application.

    :param connections: settings of the connections that callbacks name.
    :param intake: stores the events of callbacks.
    :param inbox: opens the inbox.
    :param clock: Unix seconds; decides whether a signature has expired.
    :param on_first_callback: called once, when the first callback has been authenticated.
    :return: the application, to be mounted.
    """
    connections = connections or Connections()
    app = FastAPI(
        title="Tencent Cloud VOD",
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_warm(lambda: connections.learn(listed_connections()), inbox, ServerHook().get_settings),
    )
    api = EventsApi(inbox)
    app.include_router(callback_router(connections, intake or Intake(inbox), clock, on_first_callback))
    app.add_api_route("/logo.svg", logo, methods=["GET"])
    app.include_router(page_router(), dependencies=[Depends(require_read)])
    app.include_router(reading_router(api), dependencies=[Depends(require_read)])
    app.include_router(replaying_router(api), dependencies=[Depends(require_edit), Depends(require_same_origin)])
    app.add_exception_handler(InboxError, _inbox_failed)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_middleware(SafeHeaders)
    app.add_middleware(RedactedLogs)
    return app


def _warm(*steps: Callable[[], object]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Run steps that are slow the first time while the server starts, so that no callback has to wait for them."""

    def run() -> None:
        for step in steps:
            with suppress(Exception):  # reported to the first request that needs it
                step()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=run, name="vod-warm-up", daemon=True).start()
        yield

    return lifespan


def _not_valid(request: Request, error: Exception) -> JSONResponse:
    """Name the fields that are not valid. Their values, which FastAPI would repeat, may be impossible to write as UTF-8."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these only
    problems = (f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in error.errors())
    return JSONResponse({"detail": "; ".join(problems).encode("ascii", "replace").decode()}, status_code=400)


def _inbox_failed(request: Request, error: Exception) -> JSONResponse:
    """Report an error of the inbox to users who may read connections; its messages contain no secrets."""
    if isinstance(error, InboxUnavailableError):
        return JSONResponse({"detail": str(error)}, status_code=503, headers={"Retry-After": "5"})
    return JSONResponse({"detail": str(error)}, status_code=500)
