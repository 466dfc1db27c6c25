"""Who may see the events, and who may replay one.

Invariants: whoever is not logged in to Airflow, or may not read connections in general, sees nothing; whoever may not edit
them changes nothing; and no other site can make a browser change anything.

Why connections: events belong to a connection's queue, and the inbox shows them whichever DAG they concern.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails
from airflow.api_fastapi.core_api.security import GetUserDep  # noqa: TC002 - FastAPI reads annotations when it runs
from fastapi import HTTPException, Request

CSRF_HEADER = "X-Requested-With"
CSRF_VALUE = "vod-events"


def _require(method: Literal["GET", "PUT"], user: Any, what: str) -> None:
    if not get_auth_manager().is_authorized_connection(method=method, details=ConnectionDetails(), user=user):
        raise HTTPException(403, f"To {what}, a user needs Airflow's permission to {_VERBS[method]} connections.")


_VERBS = {"GET": "read", "PUT": "edit"}


def may_read(user: GetUserDep) -> None:
    """Let pass who may read connections.

    :raises HTTPException: 401 for who is not logged in, 403 for who may not.
    """
    _require("GET", user, "see VOD events")


def may_replay(user: GetUserDep) -> None:
    """Let pass who may edit connections.

    :raises HTTPException: 401 for who is not logged in, 403 for who may not.
    """
    _require("PUT", user, "replay VOD events")


def same_site(request: Request) -> None:
    """Let pass only what a page of this server asked for: browsers send a header of one's own to other sites only by leave.

    :raises HTTPException: 403 for all else.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in (None, "same-origin")
    if site is None and origin is not None:  # older browsers, and plain HTTP, where browsers leave the header out
        foreign = urlsplit(origin).netloc not in (request.headers.get("host"), request.headers.get("x-forwarded-host"))
    if foreign or request.headers.get(CSRF_HEADER) != CSRF_VALUE:
        raise HTTPException(403, f"This changes something, and needs the header {CSRF_HEADER}: {CSRF_VALUE}.")
