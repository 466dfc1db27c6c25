"""The whole HTTP surface of this package on Airflow's API server, mounted below ``/tencent-vod``.

    POST /callbacks/{conn_id}[/{token}]   VOD, which proves itself by a signature or the token
    GET  /events, /static/{name}          the page "VOD events": who may read connections
    GET  /api/events, /api/event          the newest events, one event
    GET  /api/export                      events as JSON lines
    GET  /api/queues, /api/history        the relay's health, numbers over time
    POST /api/replay                      who may edit connections, from this very page

Invariant: what is not in this list is 404 or 405; all but the callbacks is behind Airflow's login.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from airflow_vod.exceptions import InboxError, InboxUnavailableError
from airflow_vod.hooks.config import inbox_url, open_inbox
from airflow_vod.hooks.server import ServerHook
from airflow_vod.web.access import may_read, may_replay, same_site
from airflow_vod.web.api import EventsApi, reading_router, replaying_router
from airflow_vod.web.callbacks import callback_router
from airflow_vod.web.connections import Connections
from airflow_vod.web.headers import DiscreetLogs, SafeHeaders
from airflow_vod.web.intake import Intake
from airflow_vod.web.page import page_router

if TYPE_CHECKING:
    from airflow_vod.inbox import InboxStore


def shared_inbox() -> InboxStore:
    """Open the inbox that all sensors and triggers of this installation share."""
    return open_inbox(inbox_url())


def create_app(
    *,
    connections: Connections | None = None,
    intake: Intake | None = None,
    inbox: Callable[[], InboxStore] = shared_inbox,
    clock: Callable[[], float] = time.time,
    on_first_callback: Callable[[], object] | None = None,
) -> FastAPI:
    """Make the application.

    :param connections: reads the connections that callbacks name.
    :param intake: stores what callbacks bring.
    :param inbox: opens the inbox.
    :param clock: Unix seconds, by which signatures expire.
    :param on_first_callback: called once, when the first callback has proved itself.
    """
    connections = connections or Connections()
    app = FastAPI(
        title="Tencent Cloud VOD",
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_warm(inbox, ServerHook().get_settings),
    )
    api = EventsApi(inbox)
    app.include_router(callback_router(connections, intake or Intake(inbox), clock, on_first_callback))
    app.include_router(page_router(), dependencies=[Depends(may_read)])
    app.include_router(reading_router(api), dependencies=[Depends(may_read)])
    app.include_router(replaying_router(api), dependencies=[Depends(may_replay), Depends(same_site)])
    app.add_exception_handler(InboxError, _inbox_failed)
    app.add_middleware(SafeHeaders)
    app.add_middleware(DiscreetLogs)
    return app


def _warm(*steps: Callable[[], object]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Take steps while the server starts that take most of a second the first time: callbacks wait for nobody long."""

    def take() -> None:
        for step in steps:
            with suppress(Exception):  # the first who needs it hears what is wrong
                step()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=take, name="vod-warm-up", daemon=True).start()
        yield

    return lifespan


def _inbox_failed(request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with the inbox, to people who may read connections; its errors hold no secret."""
    return JSONResponse({"detail": str(error)}, status_code=503 if isinstance(error, InboxUnavailableError) else 500)
